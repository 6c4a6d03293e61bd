package resource

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Paths in a manifest are relative to its file, and to nothing where it comes from elsewhere.
func TestFolder(t *testing.T) {
	const object = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(object)) }))
	defer elsewhere.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "a.yaml")
	if err := os.WriteFile(file, []byte(object), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{file: dir, "-": here, elsewhere.URL + "/a.yaml": ""} {
		all, err := Reader{In: strings.NewReader(object)}.Read(t.Context(), Files{Names: []string{name}})
		if err != nil || len(all) != 1 || all[0].Folder != want {
			t.Errorf("%s: %v %v, want %q", name, all, err, want)
		}
	}
}

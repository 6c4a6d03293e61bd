package resource

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"
)

func read(t *testing.T, stdin string, names ...string) (string, error) {
	t.Helper()
	all, err := Reader{In: strings.NewReader(stdin), HTTP: http.DefaultClient}.Read(t.Context(), Files{Names: names})
	var out []string
	for _, m := range all {
		out = append(out, m.Object.GetKind()+"/"+m.Object.GetName())
	}
	return strings.Join(out, " "), err
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const pod = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: "

func TestRead(t *testing.T) {
	wide := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(pod + "a\n")) {
		wide = append(wide, byte(u), byte(u>>8))
	}
	tests := []struct{ name, text, want string }{
		{"one", pod + "a\n", "Pod/a"},
		{"several", pod + "a\n---\n" + pod + "b\n--- \n# nothing\n---\n\n---\n" + pod + "c", "Pod/a Pod/b Pod/c"},
		{"CRLF", strings.ReplaceAll(pod+"a\n---\n"+pod+"b\n", "\n", "\r\n"), "Pod/a Pod/b"},
		{"UTF-8 with a mark", "\ufeff" + pod + "a\n", "Pod/a"},
		{"UTF-16", string(wide), "Pod/a"},
		{"JSON", `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}`, "Pod/a"},
		{"JSON after JSON", `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}{"apiVersion":"v1","kind":"Pod","metadata":{"name":"b"}}`, "Pod/a Pod/b"},
		{"flow style", `{apiVersion: v1, kind: Pod, metadata: {name: a}}`, "Pod/a"},
		{"list", "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: a}}\n- {apiVersion: v1, kind: PodList, items: [{apiVersion: v1, kind: Pod, metadata: {name: b}}]}\n", "Pod/a Pod/b"},
		{"a field named items is no list", "apiVersion: v1\nkind: Gadget\nmetadata: {name: a}\nitems: [1]\n", "Gadget/a"},
		{"nothing", "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := read(t, "", write(t, t.TempDir(), "f.yaml", test.text))
			if err != nil || got != test.want {
				t.Errorf("got %q, %v; want %q", got, err, test.want)
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"tab", "a:\n\tb: c\n", "found character that cannot start any token"},
		{"key twice", pod + "a\n  name: b\n", `key "name" already set in map`},
		{"key twice in JSON", `{"apiVersion":"v1","kind":"Pod","kind":"Pod"}`, `duplicate field "kind"`},
		{"untyped", "a: b\n", "[apiVersion not set, kind not set]"},
		{"no kind", "apiVersion: v1\n", "error validating data: kind not set"},
		{"a list item that is no object", "apiVersion: v1\nkind: List\nitems: [1]\n", "items[0] is not an object"},
		{"sequence", "- a\n", "a document must be an object"},
		{"bomb", "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f,*f,*f,*f,*f,*f]\n", "excessive aliasing"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := read(t, "", write(t, t.TempDir(), "f.yaml", pod+"first\n---\n"+test.text))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %q, %v; want an error with %q", got, err, test.want)
			}
			if got != "Pod/first" {
				t.Errorf("what stood before the fault: %q", got)
			}
		})
	}
}

func TestReadPlaces(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "b.yaml", pod+"b\n")
	write(t, dir, "a.json", `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}`)
	write(t, dir, "notes.md", "no manifest")
	write(t, dir, "deep/c.yml", pod+"c\n")
	write(t, dir, "empty/notes.md", "no manifest")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ok" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(pod + "web\n"))
	}))
	defer server.Close()
	for _, test := range []struct {
		names []string
		want  string
	}{
		{[]string{dir}, "Pod/a Pod/b"},
		{[]string{"-"}, "Pod/in"},
		{[]string{filepath.Join(dir, "notes.md")}, ""},
		{[]string{filepath.Join(dir, "*.yaml"), "-"}, "Pod/b Pod/in"},
		{[]string{server.URL + "/ok"}, "Pod/web"},
		{[]string{"-", "-"}, ""},
		{[]string{server.URL + "/missing"}, ""},
		{[]string{filepath.Join(dir, "none.yaml")}, ""},
		{[]string{filepath.Join(dir, "none*.yaml")}, ""},
		{[]string{filepath.Join(dir, "empty")}, ""},
	} {
		got, err := read(t, pod+"in\n", test.names...)
		if got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%q: got %q, %v", test.names, got, err)
		}
	}
	all, err := Reader{}.Read(t.Context(), Files{Names: []string{dir}, Recursive: true})
	if err != nil || len(all) != 3 {
		t.Errorf("recursive: %d manifests, %v", len(all), err)
	}
}

// FuzzDecode: whatever a file holds, reading ends, and every object that comes of it says what it
// is.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{pod + "a\n", "{}", "---\n---", `{"a":1}{"b":2}`, "a: &a [*a]", "- 1", "apiVersion: v1\nkind: List\nitems: [{}]\n", "\xff\xfea"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		all, err := decodeAll("f", strings.NewReader(text))
		for _, m := range all {
			if m.Object.GetKind() == "" || m.Object.GetAPIVersion() == "" {
				t.Errorf("%q: an object without a type: %v (%v)", text, m.Object, err)
			}
		}
		if err != nil && errors.Unwrap(err) == nil && !strings.HasPrefix(err.Error(), "error ") {
			t.Errorf("%q: %v", text, err)
		}
	})
}

package compose

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFaults compares what is said about files that cannot be read.
func TestFaults(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"services:\n  web:\n    image: x\n    healtcheck: {}\n", "compose.yaml:4: services.web.healtcheck: there is no such key; healthcheck is one"},
		{"services:\n  web:\n    image: x\n    nothing-like-it: {}\n", "compose.yaml:4: services.web.nothing-like-it: there is no such key"},
		{"services:\n  web: {image: x}\nvolums: {data: {}}\n", "compose.yaml:3: volums: there is no such key; volumes is one"},
		{"services:\n  web:\n    build:\n      contxt: .\n", "compose.yaml:4: services.web.build.contxt: there is no such key; context is one"},
		{"services:\n  web:\n    image: x\n    healthcheck: {intervall: 1s}\n", "compose.yaml:4: services.web.healthcheck.intervall: there is no such key; interval is one"},
		{"services:\n  a:\n    image: \"${X:?must be set}\"\n", "compose.yaml:3: error while interpolating services.a.image: required variable X is missing a value: must be set"},
		{"services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, depends_on: [a]}\n", "compose.yaml: dependency cycle detected: a -> b -> a"},
		{"include: [compose.yaml]\nservices: {a: {image: x}}\n", "include cycle detected:\ncompose.yaml\n include compose.yaml"},
		{"services:\n  a:\n", "compose.yaml:2: services.a must be a mapping"},
		{"services:\n\ta: {}\n", "compose.yaml: yaml: while scanning for the next token at line 2: found character that cannot start any token"},
		{"name: \"---\"\nservices: {a: {image: x}}\n", "the folder's name, or that in the file, has no letter or digit that a project's name may have: choose one with --project"},
		{"", "compose.yaml: empty compose file"},
	} {
		t.Chdir(t.TempDir())
		if err := os.WriteFile("compose.yaml", []byte(test.text), 0o644); err != nil {
			t.Fatal(err)
		}
		if composed, err := IsComposeFile("compose.yaml"); err != nil || !composed {
			t.Errorf("%q is no compose file: %v", test.text, err)
		}
		_, _, err := Source{}.Load(t.Context())
		if err == nil || err.Error() != test.want {
			t.Errorf("%q:\n got %v\nwant %s", test.text, err, test.want)
		}
	}
}

// TestNamespaces is about projects that are named as namespaces of the cluster are.
func TestNamespaces(t *testing.T) {
	for name, want := range map[string]string{"shop": "shop:Namespace", "default": "default:Service", "kube-system": "error"} {
		dir := t.TempDir()
		file := filepath.Join(dir, "app.yaml")
		if err := os.WriteFile(file, []byte("name: "+name+"\nservices: {a: {image: x}}\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		p, _, err := Source{Files: []string{file}}.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		app, err := Convert(p, "")
		got := "error"
		if err == nil {
			got = app.Namespace + ":" + app.Objects[0].GetKind()
		} else if !strings.Contains(err.Error(), "choose a name with --project") {
			t.Errorf("%s: %v", name, err)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

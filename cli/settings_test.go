package cli

import (
	"os"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"skiff/cli/command"
	"skiff/cli/up"
)

// documented is the settings file of docs/install.md, without its part about the daemon.
const documented = "namespace: shop             # flags of skiff itself\nup:\n  detach: true\n  timeout: 2m\n"

// configured is a world with a settings file, in a folder with manifests.
func configured(t *testing.T, text string) *world {
	t.Helper()
	manifests(t)
	write(t, text)
	w := newWorld(t)
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	w.env["SKIFF_CONFIG"] = here + "/skiff.yaml"
	return w
}

// A namespace in the file is a default: an object may name another one, unless -n or the variable names it.
func TestNamespaceOfTheFile(t *testing.T) {
	w := configured(t, documented)
	const object = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: other}\n"
	if err := os.WriteFile("other.yaml", []byte(object), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, errOut, code := w.run(t.Context(), "apply", "-f", "other.yaml"); code != 0 {
		t.Errorf("%s%s", out, errOut)
	}
	if _, errOut, code := w.run(t.Context(), "apply", "-n", "shop", "-f", "other.yaml"); code == 0 || !strings.Contains(errOut, "does not match the namespace") {
		t.Errorf("-n shop: %d %s", code, errOut)
	}
}

// What is given prevails over a default of the file's that it makes no sense with.
func TestDetachOfTheFile(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{"up -f rc.yaml --dry-run --exit-code-from=rc/kubia", ""},
		{"up -f rc.yaml --dry-run --abort-on-failure", ""},
		{"up -f rc.yaml --dry-run --rm", ""},
		{"up -f rc.yaml --dry-run --rm -d", "--rm does not go with --detach"},
		{"up -f rc.yaml --watch", "--watch copies files by the engine"},
		{"up -f rc.yaml --watch -d", "leave --detach and --wait out"},
		{"up -f rc.yaml --watch --no-start", "--watch does not go with --no-start"},
	} {
		t.Run(test.line, func(t *testing.T) {
			w := configured(t, documented)
			_, errOut, code := w.run(t.Context(), strings.Fields(test.line)...)
			if (code == 0) != (test.want == "") || !strings.Contains(errOut, test.want) {
				t.Errorf("%d %s", code, errOut)
			}
		})
	}
}

// What the application is holds for down, from the file as from variables; how long up may take does not.
func TestSharedSettings(t *testing.T) {
	shared := map[string]bool{}
	for _, f := range up.ApplicationFlags("") {
		shared[f.Names()[0]] = true
	}
	app := Tree()
	set := map[cli.Flag]bool{}
	for _, flags := range settings(app)["up"].Flags {
		for _, f := range flags {
			set[f] = true
		}
	}
	for _, f := range app.Command("down").Flags {
		name := f.Names()[0]
		_, refused := f.(command.Unsupported)
		if variable := len(f.(cli.DocGenerationFlag).GetEnvVars()) > 0; !refused && (variable != shared[name] || set[f] != shared[name]) {
			t.Errorf("down --%s: has a variable %v, is a setting %v, want %v", name, variable, set[f], shared[name])
		}
	}
	if !shared["kustomize"] || shared["timeout"] {
		t.Error("not what an application is")
	}
}

package cli

import (
	"os"
	"slices"
	"testing"

	"github.com/urfave/cli/v2"

	"skiff/cli/command"
)

// Every flag of skiff itself, of up and of a daemon about to start has the variable of its name, and each is a
// setting.
func TestEveryFlagHasItsVariable(t *testing.T) {
	parts := settings(Tree())
	if len(parts) != 3 || len(parts["daemon"].Flags) != 2 {
		t.Fatalf("settings for %d parts, %d daemons", len(parts), len(parts["daemon"].Flags))
	}
	for part, all := range parts {
		for _, f := range slices.Concat(all.Flags...) {
			name := f.Names()[0]
			d, ok := f.(cli.DocGenerationFlag)
			if _, refused := f.(command.Unsupported); refused {
				continue
			}
			if !ok || !slices.Equal(d.GetEnvVars(), []string{command.Variable(name)}) {
				t.Errorf("%s --%s: variables %v", part, name, d.GetEnvVars())
			}
		}
	}
}

// down deletes: what says what it deletes comes from variables, and what it deletes of it does not.
func TestDownDeletesNoMoreForAVariable(t *testing.T) {
	for _, f := range Tree().Command("down").Flags {
		if f.Names()[0] == "volumes" && len(f.(cli.DocGenerationFlag).GetEnvVars()) > 0 {
			t.Error("down --volumes can be switched on by a variable")
		}
	}
}

func TestConfigurationThatIsWrong(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	w.env["SKIFF_CONFIG"] = dir + "/skiff.yaml"
	t.Chdir(dir)
	write(t, "namespace: shop\nup: {dettach: true}\n")
	out, errOut, code := w.run(t.Context(), "get", "pods")
	want := "error: " + dir + `/skiff.yaml:2: unknown setting "dettach": settings are the long flags of skiff up, without their dashes` + "\n"
	if out != "" || errOut != want || code != 1 {
		t.Errorf("%q %q %d", out, errOut, code)
	}
	write(t, "namespace: shop\n")
	if _, errOut, _ = w.run(t.Context(), "get", "pods"); errOut != "No resources found in shop namespace.\n" {
		t.Errorf("the file's namespace is not used: %q", errOut)
	}
}

// write writes the configuration file of this folder.
func write(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile("skiff.yaml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

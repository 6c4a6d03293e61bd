package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"skiff/cli/command"
	"skiff/cli/terminal"
	"skiff/daemon/datadir"
)

const oneSetting = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\n"

const twoSettings = oneSetting + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: two}\n"

// folder makes a folder of files and changes to it.
func folder(t *testing.T, path string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		file := filepath.Join(path, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(path)
}

// The name of a project comes from its folder and its file, the same from everywhere.
func TestProjectNames(t *testing.T) {
	root := t.TempDir()
	folder(t, filepath.Join(root, "My Shop"), map[string]string{"skiff.yaml": oneSetting, "manifests/a.yaml": oneSetting, "k8s/a.yaml": oneSetting, "web.v2.yaml": oneSetting})
	w := newWorld(t)
	for _, test := range []struct{ args, want string }{
		{"", "my-shop"},
		{"-f skiff.yaml", "my-shop"},
		{"-f manifests", "my-shop"},
		{"-f manifests/", "my-shop"},
		{"-f web.v2.yaml", "my-shop-web-v2"},
		{"-f k8s", "my-shop-k8s"},
		{"-f k8s/*.yaml", "my-shop-k8s"},
		{"-f web.v2.yaml -f k8s/a.yaml", "k8s-a"},
		{"-f k8s/a.yaml -f web.v2.yaml", "k8s-a"},
		{"-f web.v2.yaml -p other", "other"},
	} {
		if _, errOut, code := w.run(t.Context(), strings.Fields("up -d "+test.args)...); code != 0 {
			t.Errorf("%s: exit code %d, said %q", test.args, code, errOut)
		}
		if w.server.Get("ConfigMap", "applyset-"+test.want) == nil {
			t.Errorf("%s: not recorded as %s", test.args, test.want)
		}
		w.server.Remove("ConfigMap", "applyset-"+test.want)
	}
}

// What leaves a file is named by the next up and deleted by down; Ctrl-C leaves no record behind.
func TestUpNamesWhatLeft(t *testing.T) {
	folder(t, filepath.Join(t.TempDir(), "shop"), map[string]string{"skiff.yaml": twoSettings})
	w := newWorld(t)
	if _, errOut, code := w.run(t.Context(), "up", "-d"); code != 0 {
		t.Fatal(errOut)
	}
	folder(t, ".", map[string]string{"skiff.yaml": oneSetting})
	if _, errOut, code := w.run(t.Context(), "up", "-d"); code != 0 || !strings.Contains(errOut, "Warning: configmap/two is no longer in the manifests; --prune removes it\n") {
		t.Errorf("exit code %d, said %q", code, errOut)
	}
	if _, errOut, code := w.run(t.Context(), "down"); code != 0 || errOut != "configmap/two deleted\nconfigmap/one deleted\n" && errOut != "configmap/one deleted\nconfigmap/two deleted\n" {
		t.Errorf("exit code %d, said %q", code, errOut)
	}
	manifest := "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: main, image: i}]}\n"
	folder(t, ".", map[string]string{"skiff.yaml": manifest})
	r := w.start(t, "up")
	r.err.await(t, "pod/a created\n")
	if w.server.Get("ConfigMap", "applyset-shop") == nil {
		t.Error("not recorded")
	}
	r.signals <- os.Interrupt
	r.ends(t, 130)
	if w.server.Get("ConfigMap", "applyset-shop") != nil {
		t.Error("the record is left, though there is nothing of the project")
	}
}

// own runs one command line against the world's server as skiff's own.
func (w *world) own(t *testing.T, argv ...string) (stderr string, code int) {
	t.Helper()
	dir := filepath.Join(w.env["XDG_STATE_HOME"], "own")
	text := fmt.Sprintf("apiVersion: v1\nkind: Config\nclusters: [{name: skiff, cluster: {server: %q}}]\ncontexts: [{name: skiff, context: {cluster: skiff, user: skiff}}]\nusers: [{name: skiff}]\ncurrent-context: skiff\n", w.server.URL)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(datadir.Dir(dir).Kubeconfig(), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var errOut bytes.Buffer
	env := &command.Env{Clock: w.clock, Dash: -1, Streams: terminal.Streams{In: strings.NewReader(""), Out: &bytes.Buffer{}, Err: &errOut},
		EnsureDaemon: func(context.Context, datadir.Dir, string) (command.Daemon, error) { return command.Daemon{}, nil },
		Lookup:       func(string) (string, bool) { return "", false }}
	code = run(t.Context(), env, append([]string{"skiff", "--data-dir=" + dir}, argv...), Server{})
	return errOut.String(), code
}

// Two folders of one name are two applications: neither takes the other's objects. A folder that
// was moved goes on with its own, where all folders are on this machine.
func TestProjectsOfOneName(t *testing.T) {
	for _, own := range []bool{false, true} {
		t.Run(fmt.Sprintf("own cluster %t", own), func(t *testing.T) {
			root := t.TempDir()
			w := newWorld(t)
			line := func(argv ...string) (string, int) {
				if own {
					return w.own(t, argv...)
				}
				_, errOut, code := w.run(t.Context(), argv...)
				return errOut, code
			}
			folder(t, filepath.Join(root, "a", "deploy"), map[string]string{"app.yaml": oneSetting})
			if errOut, code := line("up", "-d", "-f", "app.yaml"); code != 0 {
				t.Fatal(errOut)
			}
			folder(t, filepath.Join(root, "b", "deploy"), map[string]string{"app.yaml": strings.Replace(oneSetting, "one", "three", 1)})
			taken := "a project of the name deploy-app was started from " + filepath.Join(root, "a", "deploy", "app.yaml") + ": choose another name with --project, or go on with it by --project deploy-app\n"
			if errOut, code := line("up", "-d", "-f", "app.yaml", "--prune"); code != 0 || errOut != "Warning: objects that leave the manifests will not be noticed: "+taken+"configmap/three created\n" {
				t.Errorf("exit code %d, said %q", code, errOut)
			}
			if errOut, code := line("down", "-f", "app.yaml"); code != 0 || errOut != "Warning: only what the manifests name is deleted: "+taken+"configmap/three deleted\n" {
				t.Errorf("exit code %d, said %q", code, errOut)
			}
			if w.server.Get("ConfigMap", "one") == nil {
				t.Error("the other application's object is gone")
			}
			if err := os.Rename(filepath.Join(root, "a"), filepath.Join(root, "moved")); err != nil {
				t.Fatal(err)
			}
			folder(t, filepath.Join(root, "moved", "deploy"), map[string]string{"app.yaml": strings.Replace(oneSetting, "one", "four", 1)})
			want := "configmap/one deleted\n"
			if !own {
				want = "Warning: only what the manifests name is deleted: " + taken
			}
			if errOut, code := line("down", "-f", "app.yaml"); code != 0 || errOut != want {
				t.Errorf("exit code %d, said %q", code, errOut)
			}
			if errOut, code := line("down", "-p", "deploy-app", "-f", "app.yaml"); code != 0 || w.server.Get("ConfigMap", "applyset-deploy-app") != nil {
				t.Errorf("the record is left; exit code %d, said %q", code, errOut)
			}
		})
	}
}

// An application that may not be recorded runs all the same.
func TestUpWithoutPermissionToRecord(t *testing.T) {
	folder(t, filepath.Join(t.TempDir(), "shop"), map[string]string{"skiff.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: one}\n"})
	w := newWorld(t)
	w.server.Refuse = func(_ string, o *unstructured.Unstructured) error {
		if o.GetKind() == "ConfigMap" {
			return apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, o.GetName(), errors.New("not you"))
		}
		return nil
	}
	_, errOut, code := w.run(t.Context(), "up", "-d")
	if code != 0 || errOut != "Warning: objects that leave the manifests will not be noticed: recording the project's objects in configmap/applyset-shop: configmaps \"applyset-shop\" is forbidden: not you\nsecret/one created\n" {
		t.Errorf("exit code %d, said %q", code, errOut)
	}
	if _, errOut, code := w.run(t.Context(), "down"); code != 0 || errOut != "secret/one deleted\n" {
		t.Errorf("exit code %d, said %q", code, errOut)
	}
}

package watch

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"skiff/cli/develop"
	"skiff/cli/recipe"
)

// tree makes a folder with files, whose text is their name.
func tree(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		write(t, filepath.Join(dir, name), name)
	}
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestPlan: which changes ask for what.
func TestPlan(t *testing.T) {
	dir := tree(t, "src/a.js", "package.json", "conf", ".dockerignore", "Dockerfile", "pages/index.html")
	write(t, filepath.Join(dir, ".dockerignore"), "**/*.log\nnode_modules\n!keep.log\n")
	made := &recipe.Recipe{Image: "app"}
	made.Context = dir
	s := develop.Subject{Service: "web", Recipe: made, Rules: []develop.Rule{
		{Path: filepath.Join(dir, "src"), Action: develop.Sync, Target: "/app/src", Ignore: []string{"gen/", "**/*.md"}},
		{Path: filepath.Join(dir, "pages"), Action: develop.SyncExec, Target: "/www", Include: []string{"**/*.html"}, Exec: []string{"reload"}},
		{Path: filepath.Join(dir, "conf"), Action: develop.SyncRestart, Target: "/etc/"},
		{Path: filepath.Join(dir, "package.json"), Action: develop.Rebuild},
		{Path: filepath.Join(dir, "src", "restart"), Action: develop.Restart},
	}}
	write(t, filepath.Join(dir, "src", "restart"), "")
	m, err := newMatcher(s)
	if err != nil {
		t.Fatal(err)
	}
	for changed, want := range map[string]string{
		"src/a.js":                         "/app/src/a.js<src/a.js",
		"src/deep/b.js pages/x.html":       "/app/src/deep/b.js<src/deep/b.js /www/x.html<pages/x.html exec[reload]",
		"src":                              "",
		"src/gen/x.js src/README.md":       "",
		"src/x.log src/node_modules":       "/app/src/node_modules<src/node_modules", // the build leaves out that of the top alone
		"src/.a.js.swp src/4913 src/a.js~": "",
		"src/.git/HEAD":                    "",
		"pages/style.css":                  "",
		"conf":                             "/etc/conf<conf restart",
		"package.json src/a.js":            "/app/src/a.js<src/a.js rebuild",
		"src/restart":                      "/app/src/restart<src/restart restart",
		"Dockerfile package.json.orig":     "",
	} {
		var paths []string
		for _, name := range strings.Fields(changed) {
			paths = append(paths, filepath.Join(dir, name))
		}
		if got := planText(m.plan(paths), dir); got != want {
			t.Errorf("%s: %q, want %q", changed, got, want)
		}
	}
}

func planText(w Work, dir string) string {
	var out []string
	for _, to := range slices.Sorted(maps.Keys(w.Files)) {
		rel, _ := relative(dir, w.Files[to])
		out = append(out, to+"<"+rel)
	}
	if w.Restart {
		out = append(out, "restart")
	}
	if w.Rebuild {
		out = append(out, "rebuild")
	}
	for _, words := range w.Exec {
		out = append(out, fmt.Sprint("exec", words))
	}
	return strings.Join(out, " ")
}

// TestPrunes: folders that need not be watched.
func TestPrunes(t *testing.T) {
	dir := tree(t, "src/a", "Dockerfile")
	write(t, filepath.Join(dir, ".dockerignore"), "node_modules\nbuild/out\n")
	made := &recipe.Recipe{}
	made.Context = dir
	m, err := newMatcher(develop.Subject{Recipe: made, Rules: []develop.Rule{{Path: dir, Action: develop.Rebuild, Ignore: []string{"docs"}}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{
		"src": false, "node_modules": true, "build": false, "build/out": true, "docs": true, ".git": true, ".": false, "..": false, "../other": true,
	} {
		if got := m.prunes(filepath.Join(dir, name)); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestPathMustBeThere(t *testing.T) {
	_, err := newMatcher(develop.Subject{Service: "web", Rules: []develop.Rule{{Path: "/no/such/folder", Action: develop.Sync}}})
	if err == nil || !strings.Contains(err.Error(), "watching for web: stat /no/such/folder") {
		t.Error(err)
	}
}

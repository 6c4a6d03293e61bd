package compose

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the expected objects anew")

// TestConvert compares what becomes of each testdata/NAME.yaml with NAME.txt: remarks, refusals, objects
// and builds.
func TestConvert(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no compose files", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			got := asText(t, Source{Files: []string{file}, Environ: []string{"PASSWORD=secret"}})
			path := strings.TrimSuffix(file, ".yaml") + ".txt"
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("run with -update after making sure; got\n%s", got)
			}
		})
	}
}

// asText is a project's conversion as text.
func asText(t *testing.T, s Source) string {
	t.Helper()
	p, remarks, err := s.Load(t.Context())
	if err != nil {
		return fmt.Sprintf("error: %v\n", err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	app, err := Convert(p, "")
	var b strings.Builder
	for _, r := range append(remarks, app.Remarks...) {
		fmt.Fprintln(&b, "remark:", r)
	}
	for _, r := range app.Elsewhere {
		fmt.Fprintln(&b, "elsewhere:", r)
	}
	if err != nil {
		for _, line := range strings.Split(err.Error(), "\n") {
			fmt.Fprintln(&b, "error:", line)
		}
		return strings.ReplaceAll(b.String(), here, "HERE")
	}
	for _, o := range app.Objects {
		text, err := yaml.Marshal(o.Object)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "--- # %s\n%s", o.Where, text)
	}
	for _, build := range app.Builds {
		fmt.Fprintf(&b, "build: %s of %s in %s\n", build.Image, build.Service, build.Context)
		for id, value := range build.Secrets {
			fmt.Fprintf(&b, "  secret %s: %s\n", id, value)
		}
	}
	for _, w := range app.Watched {
		fmt.Fprintf(&b, "watch: %s in %s %s/%s of %s, built here: %v\n", w.Container, w.Kind, w.Namespace, w.Name, w.Service, w.Recipe != nil)
		for _, r := range w.Rules {
			fmt.Fprintf(&b, "  %s: %s to %q, ignore %q, include %q, exec %q, initial %v\n", r.Path, r.Action, r.Target, r.Ignore, r.Include, r.Exec, r.Initial)
		}
	}
	return strings.ReplaceAll(b.String(), here, "HERE")
}

// TestFieldsAreNamed holds the tables to the loader's types: a field that a later version of the format
// brings has to be dealt with.
func TestFieldsAreNamed(t *testing.T) {
	for _, test := range []struct {
		of    any
		known map[string]treatment
	}{
		{types.ServiceConfig{}, serviceFields}, {types.DeployConfig{}, deployFields}, {types.ServiceNetworkConfig{}, networkFields}, {types.BuildConfig{}, buildFields},
	} {
		fields := fieldsOf(reflect.ValueOf(test.of))
		for name := range fields {
			if _, ok := test.known[name]; !ok {
				t.Errorf("%T has a field %s that nothing is said of", test.of, name)
			}
		}
		for name := range test.known {
			if _, ok := fields[name]; !ok {
				t.Errorf("%T has no field %s", test.of, name)
			}
		}
	}
}

func TestObjectName(t *testing.T) {
	for name, want := range map[string]string{
		"web": "web", "my_db": "my-db", "Web.App": "web-app", "5.6": "s-5-6", "_": "", "a__b": "a-b", strings.Repeat("x", 70): strings.Repeat("x", 63),
	} {
		if got := ObjectName(name); got != want {
			t.Errorf("%q becomes %q, want %q", name, got, want)
		}
	}
}

func TestLooksLikeCompose(t *testing.T) {
	for text, want := range map[string]bool{
		"services: {web: {image: x}}":                               true,
		"volumes: {data: {}}":                                       true,
		"include: [other.yaml]":                                     true,
		"services:\n  web: {image: x\n":                             true, // it does not parse: the loader says so
		"apiVersion: v1\nkind: List\nservices: []":                  false,
		"apiVersion: v1\nkind: Service\nmetadata: {name: services}": false,
		"apiVersion: v1\nkind: ConfigMap\ndata: {a: 'x\n":           false,
		"": false,
	} {
		if got := looksLikeCompose([]byte(text)); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// TestEscape: what Kubernetes makes of it is the text again (third_party/forked/golang/expansion).
func TestEscape(t *testing.T) {
	for text, want := range map[string]string{
		"plain $X ${Y}": "plain $X ${Y}", "$(date)": "$$(date)", "pa$$word": "pa$$$word", "$$(x)": "$$$$(x)", "a$": "a$", "$$$": "$$$$$",
	} {
		if got := escape(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// TestUsual is about which files are found without being named.
func TestUsual(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"shop/compose.yaml":                     "services: {web: {image: web}}\n",
		"shop/compose.override.yaml":            "services: {web: {image: web:2}}\n",
		"shop/src/deep/main.go":                 "",
		"shop/overlay/kustomization.yaml":       "resources: []\n",
		"shop/chart/Chart.yaml":                 "name: chart\n",
		"shop/chart/templates/compose/a.yaml":   "",
		"named/.env":                            "COMPOSE_FILE=deploy/app.yaml:deploy/more.yaml\n",
		"named/deploy/app.yaml":                 "services: {web: {image: web}}\n",
		"named/deploy/more.yaml":                "services: {web: {image: web:2}}\n",
		"other/.env":                            "not a variable\n",
		"broken/.env":                           "A='unterminated\n",
		"broken/docker-compose.yml":             "services: {web: {image: web}}\n",
		"named/kustomized/kustomization.yaml":   "resources: []\n",
		"environment/somewhere/docker-file.yml": "services: {web: {image: web}}\n",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct{ dir, environ, want string }{
		{"shop", "", "shop/compose.yaml shop/compose.override.yaml"},
		{"shop/src/deep", "", "shop/compose.yaml shop/compose.override.yaml"},
		{"shop/overlay", "", ""},
		{"shop/chart", "", ""},
		{"named", "", "named/deploy/app.yaml named/deploy/more.yaml"},
		{"other", "", ""},
		{"broken", "", "error"},
		{"environment", "COMPOSE_FILE=somewhere/docker-file.yml", "environment/somewhere/docker-file.yml"},
		{"environment", "COMPOSE_FILE=nowhere.yml", "error"},
	} {
		t.Chdir(filepath.Join(root, test.dir))
		found, err := Usual([]string{test.environ})
		got := strings.ReplaceAll(strings.Join(found, " "), root+"/", "")
		if err != nil {
			got = "error"
		}
		if got != test.want {
			t.Errorf("in %s with %q: %q (%v), want %q", test.dir, test.environ, got, err, test.want)
		}
	}
}

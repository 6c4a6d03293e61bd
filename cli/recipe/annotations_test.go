package recipe

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		t.Fatal(err)
	}
	return o
}

// template is a Deployment with annotations and containers "name=image".
func template(annotations string, containers ...string) string {
	text := "kind: Deployment\nmetadata: {name: web}\nspec:\n  template:\n    metadata:\n      annotations: {" + annotations + "}\n    spec:\n      containers:\n"
	for _, c := range containers {
		name, image, _ := strings.Cut(c, "=")
		text += fmt.Sprintf("      - {name: %s, image: %q}\n", name, image)
	}
	return text
}

func TestFromManifest(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "word"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, manifest, want string }{
		{"nothing", template("other/key: x", "web=app"), ""},
		{"one container", template("skiff/build: ./app", "web=app:1"), "deployment/web web app:1 in DIR/app [] Dockerfile target= platform= args= secrets="},
		{"everything", template(`skiff/build: app, skiff/build-dockerfile: dev.Dockerfile, skiff/build-target: dev, skiff/build-platform: linux/arm64, skiff/build-args: "A=1, HOME_OF,NONE", skiff/build-secrets: token=word`, "web=app"),
			"deployment/web web app in DIR/app [] dev.Dockerfile target=dev platform=linux/arm64 args=A=1 HOME_OF=here NONE secrets=token=secret"},
		{"args by lines", template(`skiff/build: /abs, skiff/build-args: "A=1,2\nB= x "`, "web=app"), "deployment/web web app in /abs [] Dockerfile target= platform= args=A=1,2 B= x secrets="},
		{"two containers", template("skiff/build.b: b, skiff/build-target.b: last", "a=other", "b=app"), "deployment/web b app in DIR/b [] Dockerfile target=last platform= args= secrets="},
		{"not said which", template("skiff/build: b", "a=other", "b=app"), "error: x.yaml:1: deployment/web: annotation skiff/build: there are several containers: name one, as in skiff/build.CONTAINER"},
		{"no such container", template("skiff/build.c: b", "a=other"), "error: x.yaml:1: deployment/web: annotation skiff/build.c: there is no container c"},
		{"a word for nothing", template("skiff/build-target: b", "a=other"), "error: x.yaml:1: deployment/web: annotation skiff/build-target: says nothing without skiff/build"},
		{"no image", template("skiff/build: b", "a="), "error: x.yaml:1: deployment/web: container a is to be built and has no image: name the one that the build makes"},
		{"a URL", template("skiff/build: 'https://x/y.git'", "a=app"), "error: x.yaml:1: deployment/web: annotation skiff/build: https://x/y.git is not a folder of this machine"},
		{"no secret", template("skiff/build: b, skiff/build-secrets: token", "a=app"), "error: x.yaml:1: deployment/web: annotation skiff/build-secrets: token names no file: want ID=FILE"},
		{"a pod", "kind: Pod\nmetadata: {name: p, annotations: {skiff/build: .}}\nspec: {containers: [{name: p, image: i}]}", "pod/p p i in DIR [] Dockerfile target= platform= args= secrets="},
		{"a cron job's first container", "kind: CronJob\nmetadata: {name: p}\nspec: {jobTemplate: {spec: {template: {metadata: {annotations: {skiff/build.first: .}}, spec: {initContainers: [{name: first, image: i}], containers: [{name: p, image: j}]}}}}}",
			"cronjob/p first i in DIR [] Dockerfile target= platform= args= secrets="},
	} {
		t.Run(test.name, func(t *testing.T) {
			lookup := func(name string) (string, bool) { return "here", name == "HOME_OF" }
			all, err := FromManifest(Source{Object: object(t, test.manifest), Where: "x.yaml:1", Folder: dir, Lookup: lookup})
			got := describe(all)
			if err != nil {
				got = "error: " + err.Error()
			}
			if got = strings.ReplaceAll(got, dir, "DIR"); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func describe(all []Recipe) string {
	var out []string
	for _, r := range all {
		var args, secrets []string
		for _, name := range sortedKeys(r.Args) {
			if v := r.Args[name]; v != nil {
				name += "=" + *v
			}
			args = append(args, name)
		}
		for _, name := range sortedKeys(r.Secrets) {
			secrets = append(secrets, name+"="+string(r.Secrets[name]))
		}
		out = append(out, fmt.Sprintf("%s %s %s in %s [%s] %s target=%s platform=%s args=%s secrets=%s", r.Service, r.Container, r.Image, r.Context, r.Inline, r.DockerfileName(), r.Target, r.Platform,
			strings.Join(args, " "), strings.Join(secrets, " ")))
	}
	return strings.Join(out, "\n")
}

func TestRelativeToNoFile(t *testing.T) {
	_, err := FromManifest(Source{Object: object(t, template("skiff/build: ./app", "web=app")), Where: "https://x"})
	if err == nil || !strings.Contains(err.Error(), "none of this machine") {
		t.Error(err)
	}
}

func TestKeep(t *testing.T) {
	o := object(t, template("skiff/build.a: b", "a=app", "b=other", "c=app"))
	Keep(o, []Recipe{{Image: "app"}})
	var got []string
	for _, c := range containersOf(podTemplate(o)) {
		got = append(got, fmt.Sprint(c["name"], "=", c["imagePullPolicy"]))
	}
	if want := "a=IfNotPresent b=<nil> c=IfNotPresent"; strings.Join(got, " ") != want {
		t.Errorf("%v", got)
	}
}

func TestDistinct(t *testing.T) {
	a := Recipe{Service: "a", Image: "i", Where: "f:1"}
	a.Context = "/x"
	b := a
	b.Service = "b"
	if all, err := Distinct([]Recipe{a, b}); err != nil || len(all) != 1 {
		t.Errorf("%v %v", all, err)
	}
	b.Context, b.Where = "/y", "f:2"
	if _, err := Distinct([]Recipe{a, b}); err == nil || err.Error() != "f:2: the image i is built in another way for a (f:1): give one of the two another name" {
		t.Error(err)
	}
}

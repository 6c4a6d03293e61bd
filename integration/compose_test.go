package integration

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/image"

	"skiff/integration/harness"
)

// composed is an application of three services: one that keeps something, a step that must come after
// it, and a page that is built and must come last.
const composed = `
name: Composed_App
services:
  web:
    build: ./web
    image: BUILT
    ports: ["PORT:80"]
    depends_on:
      migrate: {condition: service_completed_successfully}
      my_store: {condition: service_healthy}
    volumes: ["./pages:/www/pages:ro"]
    stop_grace_period: 0s
  my_store:
    image: IMAGE
    # Healthy after a moment, and not before.
    command: sh -c "[ -e /data/born ] || date +%s%N >/data/born; sleep 1; touch /tmp/ready; exec httpd -f -p 8000 -h /data"
    healthcheck: {test: "[ -e /tmp/ready ]", interval: 30s}
    volumes: [data:/data]
    stop_grace_period: 0s
  migrate:
    image: IMAGE
    user: keeper
    command: [sh, -c, 'id -un; wget -qO- http://my_store:8000/born; cat /run/secrets/word /etc/plan']
    restart: "no"
    secrets: [word]
    configs: [{source: plan, target: /etc/plan}]
    depends_on: {my_store: {condition: service_healthy}}
  debug:
    image: nobody/has/it
    profiles: [debug]
volumes: {data: }
secrets: {word: {file: ./word}}
configs: {plan: {content: "the plan"}}
`

// TestComposeFile brings a compose file up, changes what it builds, and takes it down and up again.
func TestComposeFile(t *testing.T) {
	t.Parallel()
	d := harness.Start(t)
	c := d.SkiffCLI()
	base := harness.Toolbox(t, d.Engine, map[string]string{"etc/passwd": "root:x:0:0::/:/bin/sh\nkeeper:x:1234:1234::/:/bin/sh\n", "tmp/": "", "www/": "", "data/": ""})
	built := fmt.Sprintf("skiff-test/composed:%d", os.Getpid())
	made := []string{built} // and by its ID what was built before and has lost the name
	t.Cleanup(func() {
		for _, name := range made {
			_, _ = d.Engine.ImageRemove(context.WithoutCancel(t.Context()), name, image.RemoveOptions{Force: true, PruneChildren: true})
		}
	})
	port := freePort(t)
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	page := func(text string) {
		write("web/Dockerfile", "FROM "+base+"\nCOPY page /www/index.html\nCMD [\"httpd\", \"-f\", \"-p\", \"80\", \"-h\", \"/www\"]\n")
		write("web/page", text)
	}
	page("first")
	write("pages/index.html", "mounted")
	write("word", "secret\n")
	write("compose.yaml", strings.NewReplacer("IMAGE", base, "BUILT", built, "PORT", fmt.Sprint(port)).Replace(composed))
	up := func(args ...string) string {
		t.Helper()
		r := c.Try("", append([]string{"up", "-d", "--timeout=2m", "-f", filepath.Join(dir, "compose.yaml")}, args...)...)
		if r.Code != 0 {
			t.Fatalf("up %v: %+v", args, r)
		}
		return r.Err
	}
	url := fmt.Sprintf("http://127.0.0.1:%d/", port)
	serves := func(path, want string) {
		t.Helper()
		harness.Until(t, soon, url+path+" is "+want, func() bool { return fetch(url+path) == want })
	}
	born := func() string { return c.Do("exec", "-n", "composed-app", "deploy/my-store", "--", "cat", "/data/born") }

	said := up()
	inOrder(t, said, "web: building "+built, "deployment.apps/my-store created\n", "deployment/my-store: 1/1 ready\n", "job.batch/migrate created\n", "job/migrate: 1/1 complete\n", "deployment.apps/web created\n", "deployment/web: 1/1 ready\n")
	if strings.Contains(said, "nobody/has/it") {
		t.Errorf("a service of a profile that is not enabled:\n%s", said)
	}
	serves("", "first")
	serves("pages/", "mounted")
	if got, want := c.Do("logs", "-n", "composed-app", "job/migrate"), "keeper\n"+born()+"secret\nthe plan"; got != want {
		t.Errorf("the step saw %q, want %q", got, want)
	}

	if said := up(); strings.Contains(said, "created\n") || strings.Contains(said, "configured\n") || strings.Contains(said, "rolled") || strings.Contains(said, "building") {
		t.Errorf("the same again:\n%s", said)
	}
	before, err := d.Engine.ImageInspect(t.Context(), built)
	if err != nil {
		t.Fatal(err)
	}
	made = append(made, before.ID)
	page("second")
	inOrder(t, up("--build"), "deployment.apps/web is rolled out: the image "+built+" is a new one", "deployment/web: 1/1 ready\n")
	serves("", "second")

	write("word", "another\n")
	inOrder(t, up(), "job.batch/migrate has changed since it completed, and is run again\n", "job/migrate: 1/1 complete\n")
	if got := c.Do("logs", "-n", "composed-app", "job/migrate"); !strings.Contains(got, "another\n") {
		t.Errorf("with another secret the step saw %q", got)
	}
	for _, step := range [][2]string{{"stop", "stopped"}, {"start", "started"}} {
		if out := c.Do(step[0], "-f", filepath.Join(dir, "compose.yaml")); out != "deployment.apps/my-store "+step[1]+"\ndeployment.apps/web "+step[1]+"\n" {
			t.Errorf("%s: %q", step[0], out)
		}
		pods := c.Do("get", "pods", "-n", "composed-app", "--field-selector=status.phase!=Succeeded", "-o", "name")
		if step[0] == "stop" && pods != "" {
			t.Errorf("stopped, and there is %s", pods)
		}
	}
	serves("", "second")
	c.Do("stop", "-n", "composed-app", "web")
	up()
	serves("", "second")

	first := born()
	down := func(args ...string) string {
		t.Helper()
		r := c.Try("", append([]string{"down", "-f", filepath.Join(dir, "compose.yaml")}, args...)...)
		if r.Code != 0 {
			t.Fatalf("down: %+v", r)
		}
		return r.Err
	}
	if said := down(); !strings.Contains(said, "persistentvolumeclaim/data kept") {
		t.Errorf("down:\n%s", said)
	}
	up()
	if again := born(); again != first {
		t.Errorf("the volume's data is %q, and was %q", again, first)
	}
	down("--volumes")
	if r := c.Try("", "get", "namespace", "composed-app"); r.Code == 0 {
		t.Errorf("the namespace is still there: %s", r.Out)
	}
}

// inOrder checks that parts of a text come one after the other.
func inOrder(t *testing.T, text string, parts ...string) {
	t.Helper()
	rest := text
	for _, part := range parts {
		_, after, found := strings.Cut(rest, part)
		if !found {
			t.Errorf("%q is missing, or not in its place, in:\n%s", part, text)
			return
		}
		rest = after
	}
}

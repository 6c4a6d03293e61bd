package integration

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"

	"skiff/integration/harness"
)

// screenOf collects what a command writes while it runs.
type screenOf struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *screenOf) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screenOf) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// folderOf writes files into a new folder.
func folderOf(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		save(t, filepath.Join(dir, name), text)
	}
	return dir
}

func save(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// removeBuilt removes what the test builds under a name, and what has lost the name since.
func removeBuilt(t *testing.T, d *harness.Daemon, name string) {
	t.Helper()
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		// Containers that were made of them may still be on their way out.
		harness.Until(t, soon, "the images are removed", func() bool {
			_, _ = d.Engine.ImageRemove(ctx, name, image.RemoveOptions{Force: true, PruneChildren: true})
			all, err := d.Engine.ImageList(ctx, image.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", "skiff-test="+name))})
			for _, i := range all {
				_, _ = d.Engine.ImageRemove(ctx, i.ID, image.RemoveOptions{Force: true, PruneChildren: true})
			}
			return err == nil && len(all) == 0
		})
	})
}

// attached runs a command until the test ends, and returns what it writes.
func attached(t *testing.T, cmd *exec.Cmd) *screenOf {
	t.Helper()
	s := &screenOf{}
	cmd.Stdout, cmd.Stderr = s, s
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Wait() // the test's end has interrupted it, so it stops what it has started
		if t.Failed() {
			t.Logf("%v wrote\n%s", cmd.Args, s)
		}
	})
	return s
}

const watched = `
name: watched
services:
  web:
    build: {context: ./web, secrets: [token], labels: {skiff-test: BUILT}}
    image: BUILT
    ports: ["PORT:80"]
    stop_grace_period: 0s
    develop:
      watch:
      - {action: sync, path: ./web/www, target: /www, ignore: ["*.draft"]}
      - {action: sync+restart, path: ./web/conf, target: /conf}
      - {action: rebuild, path: ./web/Dockerfile}
secrets: {token: {file: ./token}}
`

// watchedImage is built with what only BuildKit has. What its server serves as /word is read when it starts.
const watchedImage = `FROM BASE
ARG GENERATION=1
RUN --mount=type=cache,id=CACHE,target=/cache echo $GENERATION >>/cache/log && cp /cache/log /www/log
RUN --mount=type=secret,id=token cp /run/secrets/token /www/token
COPY www /www
COPY conf /conf
CMD ["sh", "-c", "cp /conf/word /www/word; exec httpd -f -p 80 -h /www"]
`

// TestUpWatch builds an application by BuildKit, and saves files while it runs.
func TestUpWatch(t *testing.T) {
	t.Parallel()
	d := harness.Start(t)
	base := harness.Toolbox(t, d.Engine, map[string]string{"tmp/": "", "www/": "", "conf/": "", "run/secrets/": ""})
	built := fmt.Sprintf("skiff-test/watched:%d", os.Getpid())
	removeBuilt(t, d, built)
	port := freePort(t)
	// The engine's caches are shared by all builds, so that of this one has a name of its own.
	file := strings.NewReplacer("BASE", base, "CACHE", d.Instance()).Replace(watchedImage)
	dir := folderOf(t, map[string]string{
		"compose.yaml":   strings.NewReplacer("BUILT", built, "PORT", fmt.Sprint(port)).Replace(watched),
		"web/Dockerfile": file, "web/www/page": "first", "web/conf/word": "one", "token": "secret",
	})
	url := fmt.Sprintf("http://127.0.0.1:%d/", port)
	serves := func(path, want string) {
		t.Helper()
		harness.Until(t, soon, url+path+" is "+want, func() bool { return fetch(url+path) == want })
	}
	c := d.SkiffCLI()
	said := attached(t, c.Command("up", "--watch", "--timeout=2m", "-f", filepath.Join(dir, "compose.yaml")))
	harness.Until(t, soon, "everything is watched", func() bool { return strings.Contains(said.String(), "Dockerfile: rebuild") })
	serves("page", "first")
	serves("log", "1")
	serves("token", "secret")
	pod := c.Do("get", "pods", "-n", "watched", "-o", "name")

	var took []time.Duration
	for i := range 7 {
		text := fmt.Sprint("saved ", i)
		began := time.Now()
		save(t, filepath.Join(dir, "web/www/page"), text)
		serves("page", text)
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	t.Logf("from the save to the page: median %s, longest %s", took[len(took)/2], took[len(took)-1])
	if median := took[len(took)/2]; median > 2*time.Second {
		t.Errorf("a save takes %s to be served", median)
	}
	save(t, filepath.Join(dir, "web/www/x.draft"), "ignored")
	save(t, filepath.Join(dir, "web/www/new/page"), "in a new folder")
	serves("new/page", "in a new folder")
	if err := os.Remove(filepath.Join(dir, "web/www/new/page")); err != nil {
		t.Fatal(err)
	}
	harness.Until(t, soon, "the file is gone", func() bool { return fetch(url+"new/page") != "in a new folder" })
	if got := fetch(url + "x.draft"); got == "ignored" || strings.Contains(said.String(), "x.draft") {
		t.Errorf("an ignored file was copied:\n%s", said)
	}
	if now := c.Do("get", "pods", "-n", "watched", "-o", "name"); now != pod {
		t.Errorf("the pod is %q and was %q", now, pod)
	}

	// The server reads its configuration when it starts; the new pod has the files that were copied before.
	save(t, filepath.Join(dir, "web/conf/word"), "two")
	serves("word", "two")
	serves("page", "saved 6")

	save(t, filepath.Join(dir, "web/Dockerfile"), strings.Replace(file, "GENERATION=1", "GENERATION=2", 1))
	serves("log", "1\n2")
	serves("page", "saved 6")
	serves("word", "two")

	save(t, filepath.Join(dir, "web/Dockerfile"), "FROM "+base+"\nRUN echo this fails; exit 3\n")
	harness.Until(t, soon, "the failure is told", func() bool {
		text := said.String()
		return strings.Contains(text, "web | #2 this fails\n") && strings.Contains(text, "exit code: 3")
	})
	serves("page", "saved 6")
}

// TestBuildFromManifest builds what an annotation says, with the engine's builder of each generation.
func TestBuildFromManifest(t *testing.T) {
	t.Parallel()
	d := harness.Start(t)
	base := harness.Toolbox(t, d.Engine, map[string]string{"tmp/": ""})
	built := fmt.Sprintf("skiff-test/annotated-%d", os.Getpid())
	removeBuilt(t, d, built)
	dir := folderOf(t, map[string]string{
		"app/word": "hello", "app/.dockerignore": "*.log\n", "app/x.log": "",
		"app/dev.Dockerfile": "FROM " + base + " AS first\nLABEL skiff-test=" + built + "\nARG WHO\nCOPY . /app\nRUN echo $(cat /app/word) $WHO $(ls /app) >/said\nCMD [\"cat\", \"/said\"]\nFROM first AS other\nRUN false\n",
		"k8s/job.yaml": `apiVersion: batch/v1
kind: Job
metadata: {name: says}
spec:
  template:
    metadata:
      annotations: {skiff/build: ../app, skiff/build-dockerfile: dev.Dockerfile, skiff/build-target: first, skiff/build-args: WHO=world}
    spec:
      restartPolicy: Never
      containers: [{name: says, image: ` + built + `}]
`})
	c := d.SkiffCLI()
	file := filepath.Join(dir, "k8s/job.yaml")
	for _, builder := range []struct{ buildKit, want string }{{"1", "] RUN echo"}, {"0", "Step 5/6 : RUN echo"}} {
		cmd := c.Command("build", "-f", file, "--build-arg", "WHO=builder "+builder.buildKit)
		cmd.Env = append(cmd.Environ(), "DOCKER_BUILDKIT="+builder.buildKit)
		said, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(said), builder.want) || !strings.Contains(string(said), "job/says: "+built+" built in ") {
			t.Errorf("DOCKER_BUILDKIT=%s: %v\n%s", builder.buildKit, err, said)
		}
	}
	r := c.Try("", "up", "-f", file, "--wait", "--build")
	if r.Code != 0 || !strings.Contains(r.Err, "job/says: building "+built) {
		t.Fatalf("%+v", r)
	}
	if got := c.Do("logs", "job/says"); got != "hello world dev.Dockerfile word\n" {
		t.Errorf("it said %q", got)
	}
}

// TestBuildFromPrivateImage: the engine's BuildKit asks for what docker login has stored.
func TestBuildFromPrivateImage(t *testing.T) {
	t.Parallel()
	d := harness.Start(t)
	r := harness.NewRegistry(t, []string{"/nothing"}, map[string][]byte{"text": []byte("from afar")})
	r.User, r.Password = "me", "secret"
	built := fmt.Sprintf("skiff-test/private-%d", os.Getpid())
	removeBuilt(t, d, built)
	dir := folderOf(t, map[string]string{
		"compose.yaml": "services: {x: {image: " + built + ", build: {context: ., dockerfile_inline: \"FROM " + r.Host + "/team/base:v1\\nLABEL skiff-test=" + built + "\\nCOPY compose.yaml /\\n\"}}}\n",
		"config.json":  fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, r.Host, base64.StdEncoding.EncodeToString([]byte("me:secret"))),
		"none/x":       "",
	})
	build := func(config string) (string, error) {
		cmd := d.SkiffCLI().Command("build", "-f", filepath.Join(dir, "compose.yaml"))
		cmd.Env = append(cmd.Environ(), "DOCKER_CONFIG="+config)
		said, err := cmd.CombinedOutput()
		return string(said), err
	}
	if said, err := build(filepath.Join(dir, "none")); err == nil {
		t.Errorf("without credentials:\n%s", said)
	}
	if said, err := build(dir); err != nil || !strings.Contains(said, "x: "+built+" built in ") {
		t.Errorf("with credentials: %v\n%s", err, said)
	}
}

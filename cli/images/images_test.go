package images

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/urfave/cli/v2"
	testingclock "k8s.io/utils/clock/testing"

	"skiff/cli/command"
	"skiff/cli/terminal"
	"skiff/daemon/config"
)

// registry is an engine that has some images and can fetch others.
type registry struct {
	config.Images
	clock *testingclock.FakeClock
	have  map[string]config.Image

	mu     sync.Mutex
	pulled []string
}

func (r *registry) Close() error { return nil }

func (r *registry) Describe(_ context.Context, ref string) (config.Image, bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	image, ok := r.have[ref]
	return image, ok, nil
}

func (r *registry) Pull(_ context.Context, ref string, progress func(string, int64, int64)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pulled = append(r.pulled, ref)
	if ref == "broken" {
		return errors.New("pull broken: no such registry")
	}
	progress("Downloading", 10, 100)
	r.clock.Step(3 * time.Second)
	progress("Downloading", 50_000_000, 100_000_000)
	progress("Downloading", 60_000_000, 100_000_000)
	if ref == "new" {
		r.have[ref] = config.Image{ID: "sha256:0123456789abcdef", Size: 100_000_000}
	}
	return nil
}

const app = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    spec:
      initContainers: [{name: first, image: old}]
      containers: [{name: web, image: new}, {name: side, image: local, imagePullPolicy: Never}]
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec: {jobTemplate: {spec: {template: {spec: {containers: [{name: main, image: old}]}}}}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{port: 80}]}
`

// run runs a command in the folder of an application.
func run(t *testing.T, make func(*command.Env) *cli.Command, manifests string, args ...string) (said string, r *registry, err error) {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile("skiff.yaml", []byte(manifests), 0o600); err != nil {
		t.Fatal(err)
	}
	r = &registry{clock: testingclock.NewFakeClock(time.Unix(0, 0)), have: map[string]config.Image{"old": {ID: "sha256:aaaabbbbccccdddd", Size: 5_000_000}, "local": {ID: "sha256:1", Size: 1}}}
	var out bytes.Buffer
	env := &command.Env{Clock: r.clock, Streams: terminal.Streams{In: strings.NewReader(""), Out: &out, Err: &out}, Lookup: func(string) (string, bool) { return "", false },
		Images: func(context.Context) (config.Images, error) { return r, nil }}
	c := make(env)
	application := &cli.App{Writer: io.Discard, Commands: []*cli.Command{c}, Flags: command.GlobalFlags(), DisableSliceFlagSeparator: true, ExitErrHandler: func(*cli.Context, error) {}}
	err = application.RunContext(t.Context(), append([]string{"skiff"}, args...))
	return out.String(), r, err
}

func TestImages(t *testing.T) {
	said, _, err := run(t, Images, app, "images")
	want := `WORKLOAD          CONTAINER   IMAGE   ID             SIZE
deployment/web    first       old     aaaabbbbcccc   5MB
deployment/web    web         new     <missing>      
deployment/web    side        local   1              1B
cronjob/nightly   main        old     aaaabbbbcccc   5MB
`
	if err != nil || said != want {
		t.Errorf("%v:\n%s\nwant:\n%s", err, said, want)
	}
	if said, _, _ := run(t, Images, app, "images", "-q"); said != "sha256:aaaabbbbccccdddd\nsha256:1\n" {
		t.Errorf("IDs: %q", said)
	}
	if _, _, err := run(t, Images, "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n", "images"); err == nil || !strings.Contains(err.Error(), "nothing here that runs an image") {
		t.Errorf("no images: %v", err)
	}
	if _, _, err := run(t, Images, app, "--context=other", "images"); err == nil || !strings.Contains(err.Error(), "those of another cluster") {
		t.Errorf("another cluster: %v", err)
	}
}

func TestPull(t *testing.T) {
	said, r, err := run(t, Pull, app, "pull")
	for _, line := range []string{"local: never pulled (imagePullPolicy: Never)\n", "new: pulling\n", "new: pulled\n", "old: up to date\n", "50MB of 100MB\n"} {
		if !strings.Contains(said, line) {
			t.Errorf("%q is missing in:\n%s", line, said)
		}
	}
	if err != nil || len(r.pulled) != 2 || strings.Contains(said, "60MB") {
		t.Errorf("%v, pulled %q:\n%s", err, r.pulled, said)
	}
	said, r, err = run(t, Pull, app, "pull", "--policy=missing")
	if err != nil || fmt.Sprint(r.pulled) != "[new]" || !strings.Contains(said, "old: there already\n") {
		t.Errorf("%v, pulled %q:\n%s", err, r.pulled, said)
	}
	if said, _, err = run(t, Pull, app, "pull", "-q"); err != nil || said != "" {
		t.Errorf("%v: %q", err, said)
	}
	if _, _, err = run(t, Pull, app, "pull", "--policy=odd"); err == nil {
		t.Error("an odd policy is taken")
	}
	broken := strings.Replace(app, "image: old", "image: broken", 1)
	if _, r, err = run(t, Pull, broken, "pull"); err == nil || !strings.Contains(err.Error(), "no such registry") || len(r.pulled) != 3 {
		t.Errorf("a broken image: %v, pulled %q", err, r.pulled)
	}
	if said, _, err = run(t, Pull, broken, "pull", "--ignore-pull-failures"); err != nil || !strings.Contains(said, "error: pull broken: no such registry\n") {
		t.Errorf("a broken image, ignored: %v: %s", err, said)
	}
}

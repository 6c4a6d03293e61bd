package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"skiff/integration/harness"
)

// TestUpOfAChart brings the chart up that TestHelmChart installs, twice side by side, by the real helm, and takes
// one of them down again.
func TestUpOfAChart(t *testing.T) {
	t.Parallel()
	p := startPeers(t)
	helm := p.d.HelmCLI()
	chart := filepath.Join(t.TempDir(), "site")
	if err := os.CopyFS(chart, os.DirFS("testdata/chart")); err != nil {
		t.Fatal(err)
	}
	try := func(args ...string) (said string, err error) {
		cmd := p.cli.Command(append(args, "-f", chart)...)
		cmd.Env = append(cmd.Env, "PATH="+filepath.Dir(helm.Command().Path)+":"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	up := func(args ...string) string {
		t.Helper()
		said, err := try(append([]string{"up", "-d", "--set", "image=" + p.image, "--timeout=2m"}, args...)...)
		if err != nil {
			t.Fatalf("up %v: %v\n%s", args, err, said)
		}
		return said
	}
	inOrder(t, up("--release", "one"), "deployment.apps/one-site created\n", "deployment/one-site: 1/1 ready\n")
	up("--release", "two", "--set", "replicas=2")
	p.ready("app.kubernetes.io/instance=two", 2)
	if out := p.cli.Do("get", "pods", "-o", "name"); strings.Contains(out, "-test") {
		t.Errorf("the chart's test is there:\n%s", out)
	}
	if said, err := try("down", "--release", "one", "--set", "image="+p.image); err != nil {
		t.Fatalf("down: %v\n%s", err, said)
	}
	p.ready("app.kubernetes.io/instance=two", 2)
	if out := p.cli.Do("get", "deployments", "-o", "name"); out != "deployment.apps/two-site\n" {
		t.Errorf("after one of them is down there is %q", out)
	}
	if said, err := try("up", "-d", "--set", "service.port=70000,image="+p.image); err == nil || !strings.Contains(said, "70000") {
		t.Errorf("a chart with a port that is none: %v\n%s", err, said)
	}
}

// inComposed is a service that needs what the image has in its volumes, and the engine's machine by name.
const inComposed = `
name: NAME
services:
  web:
    image: IMAGE
    command: [sh, -c, "cat /data/seed && touch /data/written && exec httpd -f -p 8000 -h /data"]
    volumes: [data:/data]
    extra_hosts: ["machine:host-gateway"]
    healthcheck: {test: [CMD, wget, -q, -O, /dev/null, "http://127.0.0.1:8000/seed"], interval: 1s}
    stop_grace_period: 0s
volumes: {data: }
`

// TestComposeSideBySide has two projects with a service of the same name, whose new volumes take what the image
// has, and which find the engine's machine.
func TestComposeSideBySide(t *testing.T) {
	t.Parallel()
	d := harness.Start(t)
	image := harness.Toolbox(t, d.Engine, map[string]string{"data/": "", "data/seed": "from the image\n"})
	c := d.SkiffCLI()
	node := c.Do("get", "nodes", "-o", `jsonpath={.items[0].status.addresses[?(@.type=="InternalIP")].address}`)
	var files []string
	for i := range 2 {
		name := fmt.Sprintf("side-%d", i)
		file := filepath.Join(t.TempDir(), "compose.yaml")
		files = append(files, file)
		text := strings.NewReplacer("IMAGE", image, "NAME", name).Replace(inComposed)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if r := c.Try("", "up", "-d", "--timeout=2m", "-f", file); r.Code != 0 || strings.Contains(r.Err, "Warning") {
			t.Fatalf("up: %+v", r)
		}
		if out := c.Do("exec", "-n", name, "web", "--", "cat", "/data/seed", "/etc/hosts"); !strings.HasPrefix(out, "from the image\n") || !strings.Contains(out, "\n"+node+"\tmachine\n") {
			t.Errorf("%s has\n%s", name, out)
		}
	}
	if out := c.Do("get", "deployments", "-A", "-o", `jsonpath={.items[*].metadata.namespace}`); !strings.Contains(out, "side-0") || !strings.Contains(out, "side-1") {
		t.Errorf("deployments are in %s", out)
	}
	for _, file := range files {
		c.Do("down", "--volumes", "-f", file)
	}
}

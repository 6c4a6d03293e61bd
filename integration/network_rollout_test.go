package integration

import (
	"bytes"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// TestRolloutUnderLoad replaces all replicas three times while they are asked without pause, from a pod
// and from this machine, by connections that stay and by new ones. No question may go unanswered. A pod
// that ends serves for another two seconds, as long as the news takes to spread on a real cluster.
func TestRolloutUnderLoad(t *testing.T) {
	t.Parallel()
	p := startPeers(t)
	p.apply(strings.Replace(webServers, "readinessProbe:", "lifecycle: {preStop: {sleep: {seconds: 2}}}\n        readinessProbe:", 1),
		strings.Replace(webService, "spec:", "spec:\n  type: NodePort", 1))
	p.ready("app=web", 2)
	d := p.theDoor()
	d.until("http://web.localhost/", "200 web-")
	node := "http://127.0.0.1:" + p.of("service/web", ".spec.ports[0].nodePort")
	p.answers(node)

	p.load("staying", "http://web", "http://web.default.svc.cluster.local")
	p.load("fresh", "-fresh", "http://web", "tcp://web:81")
	reports := map[string]func() string{
		"staying":                func() string { return p.loaded("staying") },
		"fresh":                  func() string { return p.loaded("fresh") },
		"node port, staying":     p.loadHere(node),
		"node port, fresh":       p.loadHere("-fresh", node),
		"front door, staying":    p.loadHere("-host", "web.localhost", "http://"+d.at),
		"front door, fresh":      p.loadHere("-host", "web.localhost", "-fresh", "http://"+d.at),
		"front door, long tasks": p.loadHere("-host", "web.localhost", "http://"+d.at+"/?wait=500ms"),
	}
	k := p.d.KubectlCLI()
	for range 3 {
		k.Do("rollout", "restart", "deployment", "web")
		k.Do("rollout", "status", "deployment", "web", "--timeout=120s")
	}
	for name, report := range reports {
		text := report()
		p.Logf("%s:\n%s", name, text)
		if !strings.Contains(text, "no failure") {
			p.Errorf("%s: questions went unanswered", name)
		}
	}
}

// loadHere is load from this machine. What it returns ends it and gives its report.
func (p peers) loadHere(args ...string) func() string {
	p.Helper()
	cmd := exec.CommandContext(p.Context(), p.program, append([]string{"load"}, args...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		p.Fatal(err)
	}
	return func() string {
		cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // if it has ended, its report says why
		cmd.Wait()                          //nolint:errcheck // its report says so too
		return out.String()
	}
}

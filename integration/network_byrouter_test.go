package integration

import (
	"bufio"
	"fmt"
	"slices"
	"strings"
	"testing"

	"skiff/integration/harness"
)

// TestByRouterAlone has the daemon reach pods by way of the router, as where the engine is in a virtual
// machine: probes, hooks, port-forward, the proxy subresources, node ports and the front door.
func TestByRouterAlone(t *testing.T) {
	t.Parallel()
	p := startPeers(t, "--pods-by-router")
	p.apply(strings.Replace(webServers, "readinessProbe:", "livenessProbe: {tcpSocket: {port: lines}, periodSeconds: 1, timeoutSeconds: 10}\n        readinessProbe:", 1),
		strings.Replace(webService, "spec:", "spec:\n  type: NodePort", 1))
	replicas := p.ready("app=web", 2)
	// A hook is sent as soon as the container runs, so it goes to somebody who listens already.
	hook := fmt.Sprintf("{postStart: {httpGet: {host: %s, path: /path/hook, port: 8080}}}", p.of("pod/"+replicas[0], ".status.podIP"))
	p.apply(strings.Replace(clientPod, "command:", "lifecycle: "+hook+", command:", 1))
	p.ready("app=client", 1)
	if got := p.cli.Do("logs", replicas[0]); !strings.Contains(got, "/path/hook") {
		t.Errorf("the postStart hook has not come: %q", got)
	}
	if status := p.cli.Do("daemon", "status"); !strings.Contains(status, "pods are reached through the Engine API") {
		t.Errorf("the daemon goes another way:\n%s", status)
	}
	// A probe that fails is seen to fail, so it goes where it should.
	p.in(replicas[0], "touch", "/tmp/sick")
	harness.Until(t, soon, "the readiness probe fails", func() bool {
		return p.of("pod/"+replicas[0], `.status.conditions[?(@.type=="Ready")].status`) == "False"
	})
	if text := p.cli.Do("describe", "pod", replicas[0]); !strings.Contains(text, "Readiness probe failed: HTTP probe failed with statuscode: 503") || strings.Contains(text, "Liveness probe failed") {
		t.Errorf("describe:\n%s", text)
	}
	p.in(replicas[0], "rm", "/tmp/sick")
	if got := p.answers("http://127.0.0.1:" + p.of("service/web", ".spec.ports[0].nodePort")); got == "" {
		t.Error("the node port gives nothing")
	}
	p.theDoor().until("http://web.localhost/", "200 web-")
	p.ready("app=web", 2)
	for _, cli := range p.d.CLIs() {
		q := p
		q.cli = cli
		q.forwards("service/web", "80", replicas)
		q.forwards("pod/"+replicas[0], "8080", replicas[:1])
	}
	for path, want := range map[string][]string{
		"/api/v1/namespaces/default/pods/" + replicas[0] + ":8080/proxy/": replicas[:1],
		"/api/v1/namespaces/default/services/web:http/proxy/":             replicas,
	} {
		if got := strings.TrimSpace(p.d.KubectlCLI().Do("get", "--raw", path)); !slices.Contains(want, got) {
			t.Errorf("%s: %q, want one of %v", path, got, want)
		}
	}
	if n := p.of("pod/"+replicas[0], ".status.containerStatuses[0].restartCount"); n != "0" {
		t.Errorf("the container was restarted %s times:\n%s", n, p.cli.Do("describe", "pod", replicas[0]))
	}
}

// forwards forwards a free port and asks there twice.
func (p peers) forwards(object, port string, want []string) {
	p.Helper()
	cmd := p.cli.Command("port-forward", object, ":"+port)
	out, err := cmd.StdoutPipe()
	if err != nil {
		p.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }() //nolint:errcheck // it is ended on purpose
	line, err := bufio.NewReader(out).ReadString('\n')
	var local int
	if _, scan := fmt.Sscanf(line, "Forwarding from 127.0.0.1:%d -> ", &local); err != nil || scan != nil {
		p.Fatalf("%s port-forward %s printed %q: %v", p.cli.Name, object, line, err)
	}
	for range 2 {
		if got := fetch(fmt.Sprintf("http://127.0.0.1:%d", local)); !slices.Contains(want, got) {
			p.Errorf("%s port-forward %s: %q, want one of %v", p.cli.Name, object, got, want)
		}
	}
}

package integration

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"skiff/integration/harness"
)

// peers is a daemon whose pods are made of the program peer, and ask one another.
type peers struct {
	*testing.T
	d   *harness.Daemon
	cli harness.CLI
	// image holds the program, as does this machine's file.
	image, program string
}

// startPeers runs a daemon; arguments of the form NAME=value go to its environment.
func startPeers(t *testing.T, args ...string) peers {
	t.Helper()
	p := makePeers(t)
	isEnv := func(arg string) bool { return !strings.HasPrefix(arg, "-") && strings.Contains(arg, "=") }
	var env []string
	for _, arg := range args {
		if isEnv(arg) {
			env = append(env, arg)
		}
	}
	p.d = harness.StartWith(t, t.TempDir(), env, slices.DeleteFunc(args, isEnv)...)
	p.cli = p.d.SkiffCLI()
	return p
}

// makePeers makes what peers need, but for their daemon.
func makePeers(t *testing.T) peers {
	t.Helper()
	engine := harness.Engine(t)
	content := harness.Program(t, "./integration/peer")
	program := filepath.Join(t.TempDir(), "peer")
	if err := os.WriteFile(program, content, 0o755); err != nil {
		t.Fatal(err)
	}
	return peers{T: t, image: harness.Toolbox(t, engine, map[string]string{"bin/peer": string(content), "tmp/": ""}), program: program}
}

// apply applies manifests in which IMAGE stands for the peers'.
func (p peers) apply(manifests ...string) {
	p.Helper()
	p.cli.DoIn(strings.ReplaceAll(strings.Join(manifests, "\n---\n"), "IMAGE", p.image), "apply", "-f", "-")
}

// in runs a command in a pod.
func (p peers) in(pod string, command ...string) harness.Result {
	p.Helper()
	return p.cli.Try("", append([]string{"exec", pod, "--"}, command...)...)
}

// ask asks a URL from a pod so many times, and returns who has answered, sorted.
func (p peers) ask(pod, url string, times int) []string {
	p.Helper()
	r := p.in(pod, "peer", "ask", "-n", fmt.Sprint(times), url)
	if r.Code != 0 {
		p.Errorf("%s asks %s: exit %d: %s%s", pod, url, r.Code, r.Out, r.Err)
	}
	names := strings.Fields(r.Out)
	slices.Sort(names)
	return slices.Compact(names)
}

// ready waits until all pods with a label are ready, and returns their names, sorted.
func (p peers) ready(selector string, count int) []string {
	p.Helper()
	var names []string
	var out string
	defer func() {
		if len(names) != count {
			p.Logf("name, ready and deletion of the pods of %s:\n%s", selector, out)
		}
	}()
	harness.Until(p.T, soon, fmt.Sprintf("%d pods of %s are ready", count, selector), func() bool {
		names = nil
		out = p.cli.Do("get", "pods", "-l", selector, "-o", `jsonpath={range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Ready")].status}={.metadata.deletionTimestamp}{"\n"}{end}`)
		for line := range strings.FieldsSeq(out) {
			name, isReady := strings.CutSuffix(line, "=True=")
			if !isReady {
				return false
			}
			names = append(names, name)
		}
		return len(names) == count
	})
	slices.Sort(names)
	return names
}

// of is a field of an object.
func (p peers) of(object, path string) string {
	p.Helper()
	return p.cli.Do("get", object, "-o", "jsonpath={"+path+"}")
}

// webServers is a deployment of servers. It answers by three protocols, and a pod that has the file /tmp/sick
// is not ready.
const webServers = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
      - name: web
        image: IMAGE
        imagePullPolicy: Never
        command: [peer, serve]
        ports: [{name: web, containerPort: 8080}, {name: lines, containerPort: 8081}, {name: packets, protocol: UDP, containerPort: 8082}]
        readinessProbe: {httpGet: {path: /ready, port: web}, periodSeconds: 1, timeoutSeconds: 30, failureThreshold: 1}
`

// webService is a service of those.
const webService = `
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports:
  - {name: http, port: 80, targetPort: web}
  - {name: lines, port: 81, targetPort: lines}
  - {name: packets, protocol: UDP, port: 82, targetPort: packets}
`

// clientPod is a pod that others' questions are asked from.
const clientPod = `
apiVersion: v1
kind: Pod
metadata: {name: client, labels: {app: client}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: client, image: IMAGE, imagePullPolicy: Never, command: [sleep, "100000"]}]
`

// TestServices has one pod ask others by way of services.
func TestServices(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"nftables", "userland"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			p := startPeers(t, "SKIFF_ROUTER_DATAPATH="+path)
			p.apply(webServers, webService, clientPod)
			p.ready("app=client", 1)
			replicas := p.ready("app=web", 2)
			harness.Until(p.T, soon, "daemon status names the data path "+path, func() bool {
				return strings.Contains(p.cli.Do("daemon", "status"), ", "+path+"; pods are reached ")
			})
			p.allAnswer(replicas)
			p.onlyTheReady(replicas)
			p.nobodyThere()
			p.oneForEachClient(replicas)
			p.sessionsLiveOn(replicas)
		})
	}
}

// allAnswer asks by all names, addresses and protocols, from a pod beside the servers and from one of
// them.
func (p peers) allAnswer(replicas []string) {
	p.Helper()
	at := p.of("service/web", ".spec.clusterIP")
	for _, url := range []string{
		"http://web", "http://web.default", "http://web.default.svc", "http://web.default.svc.cluster.local", "http://" + at,
		"tcp://web:81", "tcp://" + at + ":81", "udp://web:82",
	} {
		for _, from := range []string{"client", replicas[0]} {
			if got := p.ask(from, url, 20); !slices.Equal(got, replicas) {
				p.Errorf("%s asks %s: %v answer, not %v", from, url, got, replicas)
			}
		}
	}
}

// onlyTheReady makes a pod that is not ready any more get nothing, and get its share again.
func (p peers) onlyTheReady(replicas []string) {
	p.Helper()
	p.in(replicas[0], "touch", "/tmp/sick")
	p.until("http://web", replicas[1:])
	if got := p.ask("client", "http://web", 20); !slices.Equal(got, replicas[1:]) {
		p.Errorf("%v answer, one of which is not ready", got)
	}
	p.in(replicas[0], "rm", "/tmp/sick")
	p.until("http://web", replicas)
}

// until waits until exactly those answer the client.
func (p peers) until(url string, want []string) { p.Helper(); p.untilFrom("client", url, want) }

// untilFrom waits until exactly those answer a pod.
func (p peers) untilFrom(pod, url string, want []string) {
	p.Helper()
	var got []string
	harness.Until(p.T, soon, fmt.Sprintf("%v answer %s at %s", want, pod, url), func() bool {
		got = strings.Fields(p.in(pod, "peer", "ask", "-n", "20", url).Out)
		slices.Sort(got)
		return slices.Equal(slices.Compact(got), want)
	})
}

// nobodyThere: a service without endpoints refuses at once, and so does a port that a service has not.
func (p peers) nobodyThere() {
	p.Helper()
	p.apply(`{apiVersion: v1, kind: Service, metadata: {name: nobody}, spec: {selector: {app: nobody}, ports: [{port: 80}]}}`)
	p.resolves("nobody")
	for _, url := range []string{"http://nobody", "http://web:83"} {
		r := p.in("client", "time", "peer", "ask", url)
		if r.Code == 0 || !strings.Contains(r.Err, "connection refused") {
			p.Errorf("%s: %+v", url, r)
		}
		// What counts is the wait, not the machine's load: a lost packet is sent again after a second.
		if !strings.Contains(r.Err, "real\t0m 0.") {
			p.Errorf("%s was not refused at once:\n%s", url, r.Err)
		}
	}
}

// oneForEachClient: with an affinity a client stays with a replica.
func (p peers) oneForEachClient(replicas []string) {
	p.Helper()
	p.apply(strings.Replace(strings.Replace(webService, "name: web}", "name: same}", 1), "spec:", "spec:\n  sessionAffinity: ClientIP", 1))
	p.resolves("same")
	for _, url := range []string{"http://same", "tcp://same:81", "udp://same:82"} {
		first := p.ask("client", url, 20)
		if len(first) != 1 || !slices.Contains(replicas, first[0]) {
			p.Errorf("%s: %v answer, not the same each time", url, first)
		}
		if again := p.ask("client", url, 5); !slices.Equal(again, first) {
			p.Errorf("%s: now %v, before %v", url, again, first)
		}
	}
}

// sessionsLiveOn: a replica is replaced, and the connections to the other stay.
func (p peers) sessionsLiveOn(replicas []string) {
	p.Helper()
	p.load("session", "tcp://web:81")
	stays := p.talksTo("session", replicas)
	goes := replicas[0]
	if goes == stays {
		goes = replicas[1]
	}
	p.cli.Do("delete", "pod", goes)
	p.ready("app=web", 2)
	report := p.loaded("session")
	if !strings.Contains(report, "no failure") || !strings.Contains(report, "map["+stays+":") {
		p.Errorf("a session did not outlive another's replica:\n%s", report)
	}
}

// talksTo is the replica to which a loader that keeps its connections by TCP to port 81 has one, as the
// replica's kernel says.
func (p peers) talksTo(loader string, replicas []string) string {
	p.Helper()
	for _, replica := range replicas {
		for line := range strings.Lines(p.in(replica, "netstat", "-tn").Out) {
			if strings.Contains(line, ":8081 ") && strings.Contains(line, "ESTABLISHED") {
				return replica
			}
		}
	}
	p.Fatalf("%s has no connection to any of %v", loader, replicas)
	return ""
}

// load starts a pod that asks URLs until loaded ends it, by connections that it keeps; "-fresh" among
// them takes a new one each time.
func (p peers) load(name string, args ...string) {
	p.Helper()
	p.apply(fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: %s, labels: {app: %s}}
spec:
  terminationGracePeriodSeconds: 20
  restartPolicy: Never
  containers: [{name: load, image: IMAGE, imagePullPolicy: Never, command: [peer, load, %s]}]`, name, name, strings.Join(args, ", ")))
	p.ready("app="+name, 1)
	harness.Until(p.T, soon, name+" loads", func() bool { return strings.Contains(p.cli.Do("logs", name), "loading") })
}

// loaded ends a load and returns what it has to say.
func (p peers) loaded(name string) string {
	p.Helper()
	p.in(name, "kill", "1")
	harness.Until(p.T, soon, name+" has ended", func() bool {
		return slices.Contains([]string{"Succeeded", "Failed"}, p.of("pod/"+name, ".status.phase"))
	})
	report := p.cli.Do("logs", name)
	p.cli.Do("delete", "pod", name)
	return report
}

// resolves waits until a name is known.
func (p peers) resolves(name string) {
	p.Helper()
	if r := p.in("client", "timeout", "30", "sh", "-c", "until peer dns host "+name+" 2>/dev/null; do :; done"); r.Code != 0 {
		p.Fatalf("%s does not resolve: %+v", name, r)
	}
}

// TestNames asks DNS.
func TestNames(t *testing.T) {
	t.Parallel()
	p := startPeers(t)
	p.apply(webServers, webService, clientPod, strings.NewReplacer("kind: Deployment", "kind: StatefulSet", "name: web}", "name: db}", "app: web", "app: db", "replicas: 2", "serviceName: db\n  replicas: 2").Replace(webServers), `
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: None, selector: {app: db}, ports: [{name: lines, port: 8081}, {name: packets, port: 8082, protocol: UDP}]}
---
apiVersion: v1
kind: Service
metadata: {name: alias}
spec: {type: ExternalName, externalName: web.default.svc.cluster.local}
---
apiVersion: v1
kind: Pod
metadata: {name: sick, labels: {app: sick}}
spec:
  hostname: patient
  subdomain: early
  terminationGracePeriodSeconds: 0
  containers: [{name: a, image: IMAGE, imagePullPolicy: Never, command: [peer, serve], readinessProbe: {exec: {command: ["false"]}}}]
---
apiVersion: v1
kind: Service
metadata: {name: early}
spec: {clusterIP: None, publishNotReadyAddresses: true, selector: {app: sick}}
---
apiVersion: v1
kind: Service
metadata: {name: late}
spec: {clusterIP: None, selector: {app: sick}}
---
apiVersion: v1
kind: Service
metadata: {name: first}
spec: {publishNotReadyAddresses: true, selector: {app: sick}, ports: [{port: 80, targetPort: 8080}]}`)
	p.ready("app=web", 2)
	p.ready("app=db", 2)
	p.ready("app=client", 1)
	harness.Until(t, soon, "the sick pod has an address", func() bool { return p.of("pod/sick", ".status.podIP") != "" })
	p.resolves("early")
	address := func(object, path string) string {
		a, err := netip.ParseAddr(p.of(object, path))
		if err != nil {
			p.Fatalf("%s %s: %v", object, path, err)
		}
		return a.String()
	}
	service, zero, one, sick := address("svc/web", ".spec.clusterIP"), address("pod/db-0", ".status.podIP"), address("pod/db-1", ".status.podIP"), address("pod/sick", ".status.podIP")
	for _, row := range []struct{ kind, name, want string }{
		{"host", "web", service},
		{"host", "web.default.svc.cluster.local.", service},
		{"host", "alias", service},
		{"host", "db", sortedLines(zero, one)},
		{"host", "db-0.db", zero},
		{"host", "db-1.db.default.svc.cluster.local", one},
		{"host", "db-2.db", "no such host"},
		{"host", "early", sick},
		{"host", "patient.early", sick},
		{"host", "late", "no such host"},
		{"host", "nothing.default.svc.cluster.local", "no such host"},
		{"host", strings.ReplaceAll(zero, ".", "-") + ".default.pod", zero},
		{"srv", "_lines._tcp.db.default.svc.cluster.local", "db-0.db.default.svc.cluster.local. 8081\ndb-1.db.default.svc.cluster.local. 8081"},
		{"srv", "_packets._udp.db.default.svc.cluster.local", "db-0.db.default.svc.cluster.local. 8082\ndb-1.db.default.svc.cluster.local. 8082"},
		{"srv", "_http._tcp.web.default.svc.cluster.local", "web.default.svc.cluster.local. 80"},
		{"srv", "_packets._tcp.web.default.svc.cluster.local", "no such host"},
		{"ptr", service, "web.default.svc.cluster.local."},
		{"ptr", one, "db-1.db.default.svc.cluster.local."},
	} {
		r := p.in("client", "peer", "dns", row.kind, row.name)
		if got := strings.TrimSpace(r.Out); got != row.want && (r.Code == 0 || !strings.Contains(r.Err, row.want)) {
			p.Errorf("%s %s: got\n%s%swant\n%s", row.kind, row.name, r.Out, r.Err, row.want)
		}
	}
	for url, want := range map[string]string{"http://db-1.db:8080": "db-1", "http://first": "patient", "http://alias": ""} {
		if got := p.ask("client", url, 1); len(got) != 1 || want != "" && got[0] != want {
			p.Errorf("%s: %v answer, want %s", url, got, want)
		}
	}
	p.namesComeAndGo()
}

func sortedLines(list ...string) string {
	slices.Sort(list)
	return strings.Join(list, "\n")
}

// namesComeAndGo takes the time from a service's creation until its name is known, though it has been
// asked for before, and from its deletion until it is denied.
func (p peers) namesComeAndGo() {
	p.Helper()
	for _, row := range []struct {
		what string
		do   func()
	}{
		{"until", func() {
			p.apply(`{apiVersion: v1, kind: Service, metadata: {name: fresh}, spec: {selector: {app: web}, ports: [{port: 80, targetPort: web}]}}`)
		}},
		{"while", func() { p.cli.Do("delete", "service", "fresh") }},
	} {
		loop := p.cli.Command("exec", "client", "--", "timeout", "60", "sh", "-c", "echo asking; "+row.what+" peer dns host fresh >/dev/null 2>&1; do :; done; echo done")
		out, err := loop.StdoutPipe()
		if err != nil {
			p.Fatal(err)
		}
		if err := loop.Start(); err != nil {
			p.Fatal(err)
		}
		var said [64]byte
		if n, err := out.Read(said[:]); err != nil || string(said[:n]) != "asking\n" {
			p.Fatalf("%q, %v", said[:n], err)
		}
		row.do()
		begin := time.Now()
		n, err := out.Read(said[:])
		if err != nil || string(said[:n]) != "done\n" {
			p.Fatalf("%s: %q, %v", row.what, said[:n], err)
		}
		took := time.Since(begin)
		p.Logf("%s the name is known: %s after the command", row.what, took.Round(time.Millisecond))
		if took > 5*time.Second {
			p.Errorf("%s the name is known: %s, a second is wanted on an idle machine", row.what, took)
		}
		loop.Wait() //nolint:errcheck // it has said that it is done
	}
}

// TestAPIFromPods: pods find the Kubernetes API as everywhere.
func TestAPIFromPods(t *testing.T) {
	t.Parallel()
	p := startPeers(t)
	p.apply(strings.Replace(clientPod, "command:", "volumeMounts: [{name: ca, mountPath: /ca}], command:", 1) + `
  volumes: [{name: ca, configMap: {name: kube-root-ca.crt}}]`)
	p.ready("app=client", 1)
	at := p.of("service/kubernetes", ".spec.clusterIP")
	if got := p.in("client", "sh", "-c", "echo $KUBERNETES_SERVICE_HOST $KUBERNETES_SERVICE_PORT $KUBERNETES_PORT_443_TCP").Out; got != at+" 443 tcp://"+at+":443\n" {
		p.Errorf("the variables are %q, the service is at %s", got, at)
	}
	for _, host := range []string{"kubernetes.default.svc", "kubernetes.default", "kubernetes", "kubernetes.default.svc.cluster.local", at} {
		// Nobody has told it who it is; that it is told so says that the certificate was good.
		if r := p.in("client", "peer", "ask", "-ca", "/ca/ca.crt", "https://"+host+"/version"); !strings.Contains(r.Out, `"gitVersion"`) && !strings.Contains(r.Err, "401 Unauthorized") {
			p.Errorf("%s: %+v", host, r)
		}
	}
	if r := p.in("client", "peer", "ask", "https://kubernetes.default.svc/version"); !strings.Contains(r.Err, "certificate signed by unknown authority") {
		p.Errorf("without the CA: %+v", r)
	}
}

// TestTrafficByNode: on nodes of one machine, what is to stay on a node stays there.
func TestTrafficByNode(t *testing.T) {
	t.Parallel()
	p := startPeers(t, "--node-name", "machine")
	p.cli.Do("node", "add", "near", "far")
	p.cli.Do("wait", "--for=condition=Ready", "--timeout=60s", "node/near", "node/far")
	var manifests []string
	for _, node := range []string{"near", "far"} {
		manifests = append(manifests, fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: web-%s, labels: {app: web}}
spec:
  nodeName: %s
  terminationGracePeriodSeconds: 0
  containers: [{name: web, image: IMAGE, imagePullPolicy: Never, command: [peer, serve]}]`, node, node))
	}
	service := func(name, spec string) string {
		return fmt.Sprintf("apiVersion: v1\nkind: Service\nmetadata: {name: %s}\nspec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}], %s}", name, spec)
	}
	p.apply(append(manifests, clientPod, strings.NewReplacer("name: client, labels", "name: on-near, labels", "spec:", "spec:\n  nodeName: near").Replace(clientPod),
		strings.NewReplacer("name: client, labels", "name: on-machine, labels", "spec:", "spec:\n  nodeName: machine").Replace(clientPod),
		service("all", "type: ClusterIP"), service("own", "internalTrafficPolicy: Local"), service("close", "trafficDistribution: PreferSameNode"))...)
	p.ready("app=web", 2)
	p.ready("app=client", 3)
	harness.Until(t, soon, "both are endpoints", func() bool {
		return len(strings.Fields(p.cli.Do("get", "endpointslices", "-l", "kubernetes.io/service-name=close", "-o", "jsonpath={.items[*].endpoints[*].hints.forNodes[*].name}"))) == 2
	})
	for _, row := range []struct {
		from, url string
		want      []string
	}{
		{"on-near", "http://all", []string{"web-far", "web-near"}},
		{"on-near", "http://own", []string{"web-near"}},
		{"on-near", "http://close", []string{"web-near"}},
		{"on-machine", "http://close", []string{"web-far", "web-near"}},
	} {
		if got := p.ask(row.from, row.url, 20); !slices.Equal(got, row.want) {
			p.Errorf("%s asks %s: %v answer, want %v", row.from, row.url, got, row.want)
		}
	}
	if r := p.in("on-machine", "timeout", "3", "peer", "ask", "http://own"); r.Code == 0 {
		p.Errorf("a node without an endpoint of its own got %q", r.Out)
	}
}

package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"skiff/integration/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// walk is the tutorial, walked with one of the two command lines against a daemon of its own.
type walk struct {
	*testing.T
	d   *harness.Daemon
	cli harness.CLI
}

// walkBoth runs the steps once with kubectl and once with skiff's own command line.
func walkBoth(t *testing.T, steps func(w walk)) {
	for i, name := range []string{"kubectl", "skiff"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := harness.Start(t)
			steps(walk{t, d, d.CLIs()[i]})
		})
	}
}

// run runs a command line and compares what it prints.
func (w walk) run(line, want string) {
	w.Helper()
	matches(w.T, w.cli.Do(strings.Fields(line)...), want)
}

// until runs a command line until it prints what is wanted.
func (w walk) until(limit time.Duration, line, want string) {
	w.Helper()
	var last string
	defer func() {
		if w.Failed() {
			w.Logf("%s printed last:\n%s", line, last)
		}
	}()
	harness.Until(w.T, limit, line+" prints\n"+want, func() bool {
		last = w.cli.Do(strings.Fields(line)...)
		return linesMatch(lines(last), lines(want))
	})
}

// manifest is the path of one of the example's files.
func manifest(name string) string {
	return filepath.Join(harness.Root(), "examples", "kubia", "manifests", name)
}

// pods are the names of the pods with a label, sorted.
func (w walk) pods(selector string) []string {
	w.Helper()
	return strings.Fields(w.cli.Do("get", "pods", "-l", selector, "-o", "jsonpath={.items[*].metadata.name}"))
}

const soon = time.Minute

const threeKubias = `
NAME          READY   STATUS    RESTARTS   AGE   LABELS
kubia-?????   1/1     Running   0          *     app=kubia
kubia-?????   1/1     Running   0          *     app=kubia
kubia-?????   1/1     Running   0          *     app=kubia`

func TestReplicationController(t *testing.T) {
	t.Parallel() // it mostly waits
	walkBoth(t, func(w walk) {
		w.run("create -f "+manifest("kubia-rc.yaml"), "replicationcontroller/kubia created")
		w.until(soon, "get pods --show-labels", threeKubias)
		w.run("get rc", "NAME DESIRED CURRENT READY AGE\nkubia 3 3 3 *")

		first := w.pods("app=kubia")[0]
		w.run("delete pod "+first+" --grace-period=1", `pod "`+first+`" deleted …`)
		w.until(soon, "get pods --show-labels", threeKubias)
		w.run("describe rc kubia", `
Name:         kubia
Namespace:    default
Selector:     app=kubia
Labels:       app=kubia
Annotations:  <none>
Replicas:     3 current / 3 desired
Pods Status:  3 Running / 0 Waiting / 0 Succeeded / 0 Failed
Pod Template:
...
Events:
  Type    Reason            Age    From                    Message
  ----    ------            ----   ----                    -------
  Normal  SuccessfulCreate  *  replication-controller  Created pod: kubia-?????
  Normal  SuccessfulCreate  *  replication-controller  Created pod: kubia-?????
  Normal  SuccessfulCreate  *  replication-controller  Created pod: kubia-?????
  Normal  SuccessfulCreate  *  replication-controller  Created pod: kubia-?????`)
		w.relabel()
		w.editTemplate()
		w.scale()
		w.orphan()
	})
}

// relabel takes a pod out of the controller's scope: it lives on, and another takes its place.
func (w walk) relabel() {
	w.Helper()
	out := w.pods("app=kubia")[0]
	w.run("label pod "+out+" app=foo --overwrite", "pod/"+out+" labeled")
	w.until(soon, "get pods --show-labels -l app=kubia", threeKubias)
	w.run("get pods --show-labels -l app=foo", "NAME READY STATUS RESTARTS AGE LABELS\n"+out+" 1/1 Running 0 * app=foo")
	w.run("delete pod "+out+" --grace-period=1", `pod "`+out+`" deleted …`)
}

// editTemplate changes the template in an editor, which touches no pod that is there.
func (w walk) editTemplate() {
	w.Helper()
	editor := filepath.Join(w.TempDir(), "editor")
	script := `#!/bin/sh
sed -i '/^  template:/,/^    spec:/ s/^\( *\)app: kubia$/\1app: kubia\n\1type: special/' "$1"
`
	if err := os.WriteFile(editor, []byte(script), 0o755); err != nil {
		w.Fatal(err)
	}
	cmd := w.cli.Command("edit", "rc", "kubia")
	cmd.Env = append(cmd.Env, "KUBE_EDITOR="+editor)
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.Fatalf("edit: %v\n%s", err, out)
	}
	matches(w.T, string(out), "replicationcontroller/kubia edited")
	w.run("get pods --show-labels", threeKubias)
	w.run("delete pod "+w.pods("app=kubia")[0]+" --grace-period=1", `pod "kubia-?????" deleted …`)
	w.until(soon, "get pods -l type=special --show-labels", "NAME READY STATUS RESTARTS AGE LABELS\nkubia-????? 1/1 Running 0 * app=kubia,type=special")
}

func (w walk) scale() {
	w.Helper()
	w.run("scale rc kubia --replicas=5", "replicationcontroller/kubia scaled")
	w.until(soon, "get rc", "NAME DESIRED CURRENT READY AGE\nkubia 5 5 5 *")
	w.run("scale rc kubia --replicas=3", "replicationcontroller/kubia scaled")
	w.until(time.Minute, "get pods", "NAME READY STATUS RESTARTS AGE\nkubia-????? 1/1 Running 0 *\nkubia-????? 1/1 Running 0 *\nkubia-????? 1/1 Running 0 *")
}

// orphan deletes the controller alone, and a ReplicaSet with a set-based selector takes its pods
// over.
func (w walk) orphan() {
	w.Helper()
	r := w.cli.Try("", "delete", "rc", "kubia", "--cascade=false")
	matches(w.T, r.Out, `replicationcontroller "kubia" deleted …`)
	if !strings.Contains(r.Err, "--cascade=false is deprecated") {
		w.Errorf("no deprecation warning: %q", r.Err)
	}
	if gone := w.cli.Try("", "get", "rc", "kubia"); gone.Code != 1 || gone.Err != "Error from server (NotFound): replicationcontrollers \"kubia\" not found\n" {
		w.Errorf("got exit %d, %q", gone.Code, gone.Err)
	}
	before := w.pods("app=kubia")
	w.run("create -f "+manifest("kubia-replicaset.yaml"), "replicaset.apps/kubia created")
	w.until(soon, "get rs", "NAME DESIRED CURRENT READY AGE\nkubia 3 3 3 *")
	if after := w.pods("app=kubia"); strings.Join(before, " ") != strings.Join(after, " ") {
		w.Errorf("the ReplicaSet did not adopt the pods: before %v, after %v", before, after)
	}
	w.run("describe rs", `
Name:         kubia
Namespace:    default
Selector:     app in (kubia)
Labels:       <none>
Annotations:  <none>
Replicas:     3 current / 3 desired
Pods Status:  3 Running / 0 Waiting / 0 Succeeded / 0 Failed
Pod Template:
  Labels:  app=kubia
  Containers:
   kubia:
    Image:         ksfzhaohui/kubia
    Port:          <none>
    Host Port:     <none>
    Environment:   <none>
    Mounts:        <none>
  Volumes:         <none>
  Node-Selectors:  <none>
  Tolerations:     <none>
Events:            <none>`)
	w.run("delete rs kubia", `replicaset.apps "kubia" deleted …`)
	harness.Until(w.T, time.Minute, "the ReplicaSet's pods are gone", func() bool {
		r := w.cli.Try("", "get", "pods", "--show-labels")
		return r.Out == "" && r.Err == "No resources found in default namespace.\n"
	})
}

// TestLivenessProbe runs the tutorial's first manifest, unchanged: the app falls sick after five
// requests, is killed and comes back.
func TestLivenessProbe(t *testing.T) {
	t.Parallel() // it mostly waits
	walkBoth(t, func(w walk) {
		w.run("create -f "+manifest("kubia-liveness-probe.yaml"), "pod/kubia-liveness created")
		w.until(soon, "get pods", "NAME READY STATUS RESTARTS AGE\nkubia-liveness 1/1 Running 0 *")
		// Five good probes, three bad ones ten seconds apart, and thirty seconds of grace that the
		// app ignores.
		w.until(3*time.Minute, "get pods", "NAME READY STATUS RESTARTS AGE\nkubia-liveness 1/1 Running 1 * ago) *")
		got := w.cli.Do("describe", "po", "kubia-liveness")
		for _, want := range []string{
			`(?m)^    Last State: +Terminated$`, `(?m)^      Reason: +Error$`, `(?m)^      Exit Code: +137$`, `(?m)^    Restart Count: +1$`,
			// Later kubectls spell #success and #failure out, and name the container in each event.
			`(?m)^    Liveness: +http-get http://:8080/ delay=0s timeout=1s period=10s (#success|successThreshold)=1 (#failure|failureThreshold)=3$`,
			`(?m)^  Warning  Unhealthy +\S+ \(x3 over \S+\) +kubelet +(spec.containers\{kubia\}: )?Liveness probe failed: HTTP probe failed with statuscode: 500$`,
			`(?m)^  Normal   Killing .* Container kubia failed liveness probe, will be restarted$`,
		} {
			if !regexp.MustCompile(want).MatchString(got) {
				w.Errorf("describe lacks %s:\n%s", want, got)
			}
		}
	})
}

package integration

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestScheduling has pods wait for a label, for a port and for the room that others take, and says
// why each of them waits.
func TestScheduling(t *testing.T) {
	t.Parallel()
	walkBoth(t, func(w walk) {
		w.waitForLabel()
		w.waitForPort()
		w.preempt()
	})
}

// kubia is a pod of the example's image; more is added to its specification.
func kubia(name, more string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: %s}
spec:
  terminationGracePeriodSeconds: 1
  %s
  containers:
  - name: kubia
    image: ksfzhaohui/kubia
    imagePullPolicy: IfNotPresent
`, name, more)
}

// createFrom creates what a manifest says.
func (w walk) createFrom(manifest string) {
	w.Helper()
	w.cli.DoIn(manifest, "create", "-f", "-")
}

// node is the name of the only node.
func (w walk) node() string {
	w.Helper()
	return strings.TrimSpace(w.cli.Do("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}"))
}

const waitsForLabel = `
...
Status: Pending
...
Node-Selectors: disk=ssd
...
Events:
  Type     Reason            Age  From               Message
  ----     ------            ---- ----               -------
  Warning  FailedScheduling  *    default-scheduler  0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.`

func (w walk) waitForLabel() {
	w.Helper()
	w.createFrom(kubia("picky", "nodeSelector: {disk: ssd}"))
	w.until(soon, "describe pod picky", waitsForLabel)
	w.run("get pod picky", "NAME READY STATUS RESTARTS AGE\npicky 0/1 Pending 0 *")
	w.run("label node "+w.node()+" gpu=none", "node/"+w.node()+" labeled")
	w.run("label node "+w.node()+" disk=ssd", "node/"+w.node()+" labeled")
	w.until(soon, "get pod picky", "NAME READY STATUS RESTARTS AGE\npicky 1/1 Running 0 *")
	// It was said once, for nothing else was to be said meanwhile.
	if got := w.cli.Do("describe", "pod", "picky"); strings.Count(got, "FailedScheduling") != 1 || strings.Contains(got, "FailedScheduling  (x") {
		w.Errorf("more than one reason:\n%s", got)
	}
	w.cli.Do("delete", "pod", "picky")
}

func (w walk) waitForPort() {
	w.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	listener.Close() //nolint:errcheck // it was there to find a free port
	ports := func(address string) string {
		return fmt.Sprintf("\n    ports: [{containerPort: 8080, hostPort: %d%s}]\n", port, address)
	}
	w.createFrom(strings.TrimSuffix(kubia("first", ""), "\n") + ports(", hostIP: 127.0.0.1"))
	w.until(soon, "get pod first", "NAME READY STATUS RESTARTS AGE\nfirst 1/1 Running 0 *")
	w.createFrom(strings.TrimSuffix(kubia("second", ""), "\n") + ports(""))
	w.until(soon, "describe pod second", `
...
  Warning FailedScheduling * default-scheduler 0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.`)
	w.cli.Do("delete", "pod", "first")
	w.until(soon, "get pod second", "NAME READY STATUS RESTARTS AGE\nsecond 1/1 Running 0 *")
	w.cli.Do("delete", "pod", "second")
}

// preempt has an important pod take the place of another on a node that has room for one of them.
func (w walk) preempt() {
	w.Helper()
	cpus, err := strconv.Atoi(strings.TrimSpace(w.cli.Do("get", "nodes", "-o", "jsonpath={.items[0].status.allocatable.cpu}")))
	if err != nil {
		w.Fatal(err)
	}
	most := fmt.Sprintf("    resources: {requests: {cpu: %dm}}\n", cpus*600)
	w.createFrom("apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: urgent}\nvalue: 1000\n")
	w.createFrom(strings.TrimPrefix(kubia("cheap", ""), "\n") + most)
	w.until(soon, "get pod cheap", "NAME READY STATUS RESTARTS AGE\ncheap 1/1 Running 0 *")
	w.createFrom(strings.TrimPrefix(kubia("urgent", "priorityClassName: urgent"), "\n") + most)
	w.until(time.Minute, "get pods", "NAME READY STATUS RESTARTS AGE\nurgent 1/1 Running 0 *")
	uid := strings.TrimSpace(w.cli.Do("get", "pod", "urgent", "-o", "jsonpath={.metadata.uid}"))
	w.until(soon, "get events --field-selector reason=Preempted", fmt.Sprintf(`
LAST SEEN TYPE REASON OBJECT MESSAGE
* Normal Preempted pod/cheap Preempted by pod %s on node %s`, uid, w.node()))
	w.until(soon, "describe pod urgent", `
...
Priority: 1000
Priority Class Name: urgent
...
  Warning FailedScheduling * default-scheduler 0/1 nodes are available: 1 Insufficient cpu. preemption: found a potential placement for pod on node `+w.node()+`, preempting 1 victims
  Normal Scheduled * default-scheduler Successfully assigned default/urgent to `+w.node()+`
...`)
}

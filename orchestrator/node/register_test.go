package node

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"skiff/docker"
	"skiff/manifests/registry"
	"skiff/orchestrator/node/internal/podtest"
)

func (w *world) node() *corev1.Node {
	w.Helper()
	n, err := registry.For[*corev1.Node](w.registry).Get("", "here")
	if err != nil {
		w.Fatal(err)
	}
	return n
}

func TestNodeRegisters(t *testing.T) {
	inWorld(t, func(w *world) {
		w.pass(11 * time.Second) // the namespace of leases came after the agent
		n := w.node()
		var labels []string
		for _, k := range slices.Sorted(maps.Keys(n.Labels)) {
			labels = append(labels, k+"="+n.Labels[k])
		}
		if got, want := strings.Join(labels, " "), "beta.kubernetes.io/arch=amd64 beta.kubernetes.io/os=linux disk=ssd "+
			"kubernetes.io/arch=amd64 kubernetes.io/hostname=here kubernetes.io/os=linux"; got != want {
			w.Errorf("labels %s\nwant   %s", got, want)
		}
		if got, want := fmt.Sprint(n.Status.Addresses), "[{InternalIP 192.168.1.2} {Hostname here}]"; got != want {
			w.Errorf("addresses %s, want %s", got, want)
		}
		for _, name := range []corev1.ResourceName{"cpu", "memory", "ephemeral-storage", "pods"} {
			if q := n.Status.Allocatable[name]; q.IsZero() {
				w.Errorf("no %s", name)
			}
		}
		if q := n.Status.Capacity["pods"]; q.Value() != 250 {
			w.Errorf("room for %s pods", q.String())
		}
		var conditions []string
		for _, c := range n.Status.Conditions {
			conditions = append(conditions, fmt.Sprintf("%s %s %s", c.Type, c.Status, c.Reason))
		}
		if got, want := strings.Join(conditions, "\n"), podtest.Lines(`MemoryPressure False KubeletHasSufficientMemory
			DiskPressure False KubeletHasNoDiskPressure
			PIDPressure False KubeletHasSufficientPID
			Ready True KubeletReady`); got != want {
			w.Errorf("conditions\n%s\nwant\n%s", got, want)
		}
		if i := n.Status.NodeInfo; i.ContainerRuntimeVersion != "docker://memory" || i.KubeletVersion != "v1.37.2" || i.Architecture != "amd64" {
			w.Errorf("nodeInfo %+v", i)
		}
		if len(n.Spec.Taints) != 1 {
			w.Errorf("taints %v", n.Spec.Taints)
		}
		l, err := registry.For[*coordinationv1.Lease](w.registry).Get(corev1.NamespaceNodeLease, "here")
		if err != nil {
			w.Fatal(err)
		}
		if *l.Spec.HolderIdentity != "here" || *l.Spec.LeaseDurationSeconds != 40 || l.OwnerReferences[0].UID != n.UID {
			w.Errorf("lease %+v", l)
		}
	}, func(o *Options) {
		o.Labels = map[string]string{"disk": "ssd"}
		o.Taints = []corev1.Taint{{Key: "only", Effect: corev1.TaintEffectNoSchedule}}
	})
}

func TestNodeHeartbeat(t *testing.T) {
	inWorld(t, func(w *world) {
		leases := registry.For[*coordinationv1.Lease](w.registry)
		w.pass(20 * time.Second)
		before, err := leases.Get(corev1.NamespaceNodeLease, "here")
		if err != nil {
			w.Fatal(err)
		}
		version := w.node().ResourceVersion
		w.pass(time.Minute)
		after, err := leases.Get(corev1.NamespaceNodeLease, "here")
		if err != nil {
			w.Fatal(err)
		}
		if d := after.Spec.RenewTime.Sub(before.Spec.RenewTime.Time); d != time.Minute {
			w.Errorf("lease renewed %s later, want 1m", d)
		}
		if v := w.node().ResourceVersion; v != version {
			w.Error("the node's status was written although nothing has changed")
		}
		w.pass(5 * time.Minute)
		if v := w.node().ResourceVersion; v == version {
			w.Error("no heartbeat in the node's status after five minutes")
		}
	})
}

// TestNodeContradicts holds that a node that counts as silent, because the whole machine was
// suspended for example, soon reports again.
func TestNodeContradicts(t *testing.T) {
	inWorld(t, func(w *world) {
		w.pass(11 * time.Second)
		w.writeReady(func(c *corev1.NodeCondition) { c.Status, c.Reason = corev1.ConditionUnknown, "NodeStatusUnknown" })
		w.pass(10 * time.Second)
		for _, c := range w.node().Status.Conditions {
			if c.Type == corev1.NodeReady && (c.Status != corev1.ConditionTrue || c.Reason != "KubeletReady") {
				w.Errorf("ready is %s, %s", c.Status, c.Reason)
			}
		}
	})
}

// TestNodeHeartbeatAfterTheClockWasSetBack holds that the node does not wait until the time of its
// last heartbeat has come again.
func TestNodeHeartbeatAfterTheClockWasSetBack(t *testing.T) {
	inWorld(t, func(w *world) {
		w.pass(11 * time.Second)
		w.writeReady(func(c *corev1.NodeCondition) { c.LastHeartbeatTime.Time = c.LastHeartbeatTime.Add(time.Hour) })
		w.pass(5 * time.Minute)
		for _, c := range w.node().Status.Conditions {
			if c.Type == corev1.NodeReady && c.LastHeartbeatTime.After(time.Now()) {
				w.Errorf("the last heartbeat is at %s, it is %s", c.LastHeartbeatTime, time.Now())
			}
		}
	})
}

// writeReady changes the node's condition Ready, as somebody else.
func (w *world) writeReady(change func(*corev1.NodeCondition)) {
	w.Helper()
	_, err := registry.For[*corev1.Node](w.registry).UpdateStatus(w.Context(), "", "here", func(n *corev1.Node) error {
		for i := range n.Status.Conditions {
			if n.Status.Conditions[i].Type == corev1.NodeReady {
				change(&n.Status.Conditions[i])
			}
		}
		return nil
	})
	if err != nil {
		w.Fatal(err)
	}
}

func TestNodeKeepsOthersLabels(t *testing.T) {
	inWorld(t, func(w *world) {
		nodes := registry.For[*corev1.Node](w.registry)
		_, err := nodes.Update(w.Context(), "", "here", func(n *corev1.Node) error {
			n.Labels["gpu"], n.Labels["disk"], n.Labels[corev1.LabelHostname] = "yes", "hdd", "wrong"
			n.Spec.Unschedulable = true
			return nil
		})
		if err != nil {
			w.Fatal(err)
		}
		w.restart(func() {})
		n := w.node()
		if n.Labels["gpu"] != "yes" || n.Labels["disk"] != "hdd" || n.Labels[corev1.LabelHostname] != "here" || !n.Spec.Unschedulable {
			w.Errorf("node %+v", n)
		}
	}, func(o *Options) { o.Labels = map[string]string{"disk": "ssd"} })
}

// TestNodeKeepsOthersCapacity holds that the agent keeps extended resources, which somebody else
// advertises.
func TestNodeKeepsOthersCapacity(t *testing.T) {
	inWorld(t, func(w *world) {
		w.pass(11 * time.Second)
		_, err := registry.For[*corev1.Node](w.registry).UpdateStatus(w.Context(), "", "here", func(n *corev1.Node) error {
			n.Status.Capacity["example.com/gpu"] = resource.MustParse("3")
			n.Status.Capacity["cpu"] = resource.MustParse("7")
			return nil
		})
		if err != nil {
			w.Fatal(err)
		}
		w.pass(6 * time.Minute)
		s := w.node().Status
		gpus, cpus := s.Allocatable["example.com/gpu"], s.Allocatable["cpu"]
		if gpus.Value() != 3 || cpus.Value() == 7 {
			w.Errorf("allocatable %v, want 3 of example.com/gpu and the agent's own cpu", s.Allocatable)
		}
	})
}

func TestNodeEvents(t *testing.T) {
	inWorld(t, func(w *world) {
		w.engine.Outage(docker.ErrUnavailable)
		w.pass(5 * time.Second)
		w.engine.Recover()
		w.pass(5 * time.Second)
		w.wantEvents("here", `Normal NodeHasSufficientMemory Node here status is now: NodeHasSufficientMemory
			Normal NodeHasNoDiskPressure Node here status is now: NodeHasNoDiskPressure
			Normal NodeHasSufficientPID Node here status is now: NodeHasSufficientPID
			Normal NodeReady Node here status is now: NodeReady x2
			Normal Starting Starting kubelet.
			Normal NodeNotReady Node here status is now: NodeNotReady`)
	})
}

// A node that someone deletes while its agent runs comes back.
func TestNodeDeleted(t *testing.T) {
	inWorld(t, func(w *world) {
		nodes := registry.For[*corev1.Node](w.registry)
		if err := nodes.Delete(w.Context(), "", "here", deleteNow()); err != nil {
			w.Fatal(err)
		}
		w.pass(5 * time.Minute)
		if ready := nodeCondition(w, corev1.NodeReady); ready.Status != corev1.ConditionTrue {
			w.Errorf("condition %+v", ready)
		}
	})
}

func TestNodeImages(t *testing.T) {
	var images []docker.Image
	for i := range 60 {
		images = append(images, docker.Image{ID: fmt.Sprint(i), RepoTags: []string{fmt.Sprintf("image:%d", i)}, Size: int64(i)})
	}
	images = append(images, docker.Image{ID: "nameless", Size: 1000})
	got := nodeImages(images)
	if len(got) != 49 || got[0].Names[0] != "image:59" || got[0].SizeBytes != 59 {
		t.Errorf("%d images, the first %+v", len(got), got[0])
	}
}

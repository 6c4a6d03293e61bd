package fleet

import (
	"strings"

	"skiff/manifests/nodefacts"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// snapshot is what was observed of a node.
type snapshot struct {
	// node is the object, nil if there is none that the fleet is to run.
	node *corev1.Node
	// exists says that there is an object of the name.
	exists bool
	// uid is the UID of the node that the fleet has a machine for, empty if it has none. running
	// says that an agent runs on it, with these settings; killed, that its containers have been
	// killed since it ran.
	uid      types.UID
	running  bool
	settings string
	killed   bool
}

// verb is what a step does.
type verb string

const (
	// stop ends the agent: the node falls silent, its containers run on.
	stop verb = "stop agent"
	// kill ends the node's containers as a power failure does.
	kill verb = "kill containers"
	// destroy removes everything that the node had.
	destroy verb = "destroy"
	// release drops the machine and leaves what it has.
	release verb = "release"
	// start runs an agent.
	start verb = "start agent"
)

// step is one thing to do for a node, and why.
type step struct {
	do    verb
	cause string
}

// plan is what a node needs now, in order.
type plan []step

// String is the plan's steps, one per line, each with its cause.
func (p plan) String() string {
	lines := make([]string, len(p))
	for i, s := range p {
		lines[i] = string(s.do) + ": " + s.cause
	}
	return strings.Join(lines, "\n")
}

// settingsOf are the parts of a Node object that its agent is started with.
func settingsOf(n *corev1.Node) string { return n.Annotations[nodefacts.AnnotationCapacity] }

// makePlan decides what a node needs. It depends on nothing but the snapshot.
func makePlan(s snapshot) plan {
	var p plan
	stopFor := func(cause string) {
		if s.running {
			p = append(p, step{stop, cause})
			s.running = false
		}
	}
	switch {
	case !s.exists:
		stopFor("the node is gone")
		return append(p, step{destroy, "the node is gone"})
	case s.node == nil:
		stopFor("the node is not skiff's to run")
		if s.uid != "" {
			p = append(p, step{release, "the node is not skiff's to run"})
		}
		return p
	case s.uid != "" && s.uid != s.node.UID:
		stopFor("another node has its name")
		p = append(p, step{destroy, "another node has its name"})
		s.killed = false
	}
	if nodefacts.Off(s.node) {
		stopFor("its power is off")
		if !s.killed {
			p = append(p, step{kill, "its power is off"})
		}
		return p
	}
	if s.running && s.settings != settingsOf(s.node) {
		stopFor("its capacity has changed")
	}
	if !s.running {
		p = append(p, step{start, "its power is on"})
	}
	return p
}

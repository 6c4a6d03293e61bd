package fleet

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// snapshot is what one look at a node saw.
type snapshot struct {
	// node is the object, nil if there is none that the fleet is to run.
	node *corev1.Node
	// exists says that there is an object of the name.
	exists bool
	// What the fleet has: a machine for the node of this UID (empty for none),
	// whether an agent runs on it, for what settings, and whether its containers
	// have been stopped since.
	uid      types.UID
	running  bool
	settings string
	halted   bool
}

// verb is what a step does.
type verb string

const (
	// stop ends the agent: the node falls silent, its containers run on.
	stop verb = "stop agent"
	// halt ends the node's containers as a power failure does.
	halt verb = "halt containers"
	// scrap removes all that the node had.
	scrap verb = "scrap"
	// let takes the machine out of the fleet's hands without touching it.
	let verb = "let go"
	// start runs an agent.
	start verb = "start agent"
)

type step struct {
	do    verb
	cause string
}

type plan []step

// String is the plan's steps, one a line, each with its cause.
func (p plan) String() string {
	lines := make([]string, len(p))
	for i, s := range p {
		lines[i] = string(s.do) + ": " + s.cause
	}
	return strings.Join(lines, "\n")
}

// settingsOf are the parts of a Node object that an agent is started with.
func settingsOf(n *corev1.Node) string { return n.Annotations[AnnotationCapacity] }

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
		return append(p, step{scrap, "the node is gone"})
	case s.node == nil:
		stopFor("the node is not skiff's to run")
		if s.uid != "" {
			p = append(p, step{let, "the node is not skiff's to run"})
		}
		return p
	case s.uid != "" && s.uid != s.node.UID:
		stopFor("another node has its name")
		p = append(p, step{scrap, "another node has its name"})
		s.halted = false
	}
	if off(s.node) {
		stopFor("its power is off")
		if !s.halted {
			p = append(p, step{halt, "its power is off"})
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

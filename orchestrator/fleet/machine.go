package fleet

import (
	"context"

	corev1 "k8s.io/api/core/v1"

	"skiff/orchestrator/node"
)

// Machine is what a virtual node's agent runs on.
type Machine interface {
	// Agent returns a new agent, to be run once.
	Agent(n *corev1.Node) (*node.Agent, error)
	// Halt ends all containers of the node at once, as a power failure does, and
	// tells how many still ran. They are left for the next agent to find.
	Halt(ctx context.Context) (ended int, err error)
	// Scrap removes the node's containers and all that was kept for its pods.
	Scrap(ctx context.Context) error
}

// Yard is where machines come from.
type Yard interface {
	// Machine returns the machine of a node. What an earlier daemon has left of it
	// is there.
	Machine(n *corev1.Node) Machine
	// Abandoned names the nodes of which something is left, except those in known.
	Abandoned(ctx context.Context, known func(node string) bool) ([]string, error)
	// Scrap removes what is left of a node, whatever kind it was.
	Scrap(ctx context.Context, node string) error
}

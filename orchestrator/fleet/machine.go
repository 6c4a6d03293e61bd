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
	// Kill ends all containers of the node at once, as a power failure does, and returns how many
	// still ran. They stay on the engine for the next agent.
	Kill(ctx context.Context) (killed int, err error)
	// Destroy removes the node's containers and everything that was kept for its pods.
	Destroy(ctx context.Context) error
}

// Provider provides machines.
type Provider interface {
	// Machine returns the machine of a node. It has what an earlier daemon left of the node.
	Machine(n *corev1.Node) Machine
	// Orphans are the nodes of which something is left on this machine, except those that are
	// known.
	Orphans(ctx context.Context, known func(node string) bool) ([]string, error)
	// Watch calls started with the name of a node, until ctx ends, whenever one of its containers
	// may have started, and with an empty name when that may be so for any node.
	Watch(ctx context.Context, started func(node string)) error
	// Destroy removes what is left of a node of any kind.
	Destroy(ctx context.Context, node string) error
}

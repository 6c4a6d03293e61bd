package node

import (
	"errors"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// errOtherNode says that the node is gone and another one has its name.
var errOtherNode = errors.New("another node has taken the name")

// checkNode returns errOtherNode unless n is the agent's node.
func (a *Agent) checkNode(n *corev1.Node) error {
	if a.UID != "" && n.UID != a.UID {
		return errOtherNode
	}
	return nil
}

// ownNode is the agent's Node object as the store has it.
func (a *Agent) ownNode() (*corev1.Node, error) {
	n, err := a.nodes.Get("", a.Name)
	if err != nil {
		return nil, err
	}
	return n, a.checkNode(n)
}

// unregistered reports whether the agent's Node object is gone.
func (a *Agent) unregistered() bool {
	_, err := a.ownNode()
	return apierrors.IsNotFound(err) || errors.Is(err, errOtherNode)
}

package node

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"skiff/cli/client"
)

// Trouble says why no pod can run: what the nodes' own conditions say when none of them is ready,
// for instance that the engine is down. It is empty when a node is ready or has not reported yet.
// The error is that of asking: not everybody may list the nodes of every cluster.
func Trouble(ctx context.Context, c *client.Client) (string, error) {
	catalog, err := c.Catalog()
	if err != nil {
		return "", err
	}
	m, err := catalog.Kind(corev1.SchemeGroupVersion.WithKind("Node"))
	if err != nil {
		return "", err
	}
	nodes, err := client.ListOf[corev1.Node](ctx, c, client.Ref{Mapping: m}, client.ListOptions{})
	if err != nil {
		return "", err
	}
	return trouble(nodes), nil
}

// trouble is what the first node says, unless one is ready or has not reported yet.
func trouble(nodes []corev1.Node) string {
	why := ""
	for i := range nodes {
		c := readiness(&nodes[i])
		if c == nil || c.Status == corev1.ConditionTrue {
			return ""
		}
		if why == "" {
			why = fmt.Sprintf("node %s is not ready: %s", nodes[i].Name, strings.Join(strings.Fields(c.Message), " "))
		}
	}
	return why
}

func readiness(n *corev1.Node) *corev1.NodeCondition {
	for i := range n.Status.Conditions {
		if c := &n.Status.Conditions[i]; c.Type == corev1.NodeReady {
			return c
		}
	}
	return nil
}

package up

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"skiff/cli/client"
)

// notReady is why no pod can run: what the nodes' own conditions say when none of them is ready, the engine that is down for
// instance. "" when one is ready, or when it cannot be told: not everybody may look at the nodes of every cluster.
func notReady(ctx context.Context, c *client.Client) string {
	catalog, err := c.Catalog()
	if err != nil {
		return ""
	}
	m, err := catalog.Kind(corev1.SchemeGroupVersion.WithKind("Node"))
	if err != nil {
		return ""
	}
	nodes, err := client.ListOf[corev1.Node](ctx, c, client.Ref{Mapping: m}, client.ListOptions{})
	if err != nil {
		return ""
	}
	return whyNotReady(nodes)
}

// whyNotReady is what the first node says, unless one is ready or has said nothing yet.
func whyNotReady(nodes []corev1.Node) string {
	why := ""
	for i := range nodes {
		c := readiness(&nodes[i])
		if c == nil || c.Status == corev1.ConditionTrue {
			return ""
		}
		if why == "" {
			why = fmt.Sprintf("node %s is not ready: %s", nodes[i].Name, joinReason("", c.Message))
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

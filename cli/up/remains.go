package up

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"skiff/cli/client"
	"skiff/cli/pods"
	"skiff/cli/resource"
)

// remains are the pods that were there before a deletion. A pod without a grace period is gone from
// the API at once, but its node has yet to remove its containers.
type remains struct {
	client     *client.Client
	namespaces []string
	pods       map[types.UID]remain
}

// remain is a pod whose node has to finish with it.
type remain struct{ namespace, name, node string }

// newRemains looks at the pods in the namespaces of what is about to be deleted.
func newRemains(ctx context.Context, c *client.Client, targets []resource.Target) (*remains, error) {
	r := &remains{client: c, pods: map[types.UID]remain{}}
	seen := map[string]bool{}
	for _, t := range targets {
		ns := t.Namespace
		if t.Mapping.GroupVersionKind.Kind == "Namespace" {
			ns = t.Name
		}
		if ns != "" && !seen[ns] {
			seen[ns] = true
			r.namespaces = append(r.namespaces, ns)
		}
	}
	return r, r.each(ctx, func(p *corev1.Pod) {
		if p.Spec.NodeName != "" {
			r.pods[p.UID] = remain{namespace: p.Namespace, name: p.Name, node: p.Spec.NodeName}
		}
	})
}

// each calls fn with every pod that the API has in the namespaces. Who may not look at pods cannot
// wait for them.
func (r *remains) each(ctx context.Context, fn func(*corev1.Pod)) error {
	for _, ns := range r.namespaces {
		ref, err := pods.Ref(r.client, ns, "")
		if err != nil {
			return err
		}
		all, err := client.ListOf[corev1.Pod](ctx, r.client, ref, client.ListOptions{})
		if err != nil && !apierrors.IsForbidden(err) {
			return err
		}
		for i := range all {
			fn(&all[i])
		}
	}
	return nil
}

// remainsInterval is how often nodes are asked whether they have finished.
const remainsInterval = 50 * time.Millisecond

// remainsPatience is how long nodes have to finish before the user is told what they are at. A node
// may never get there, and down waits for ever unless it is told otherwise.
const remainsPatience = 5 * time.Second

// awaitRemains returns when no container is left of the pods that are gone.
func (d *deleter) awaitRemains(ctx context.Context, r *remains) error {
	ticker := d.env.Clock.NewTicker(remainsInterval)
	defer ticker.Stop()
	began, said := d.env.Now(), false
	for {
		left, err := r.left(ctx)
		d.waiting = left
		if err != nil || len(left) == 0 {
			return err
		}
		if !said && d.env.Now().Sub(began) >= remainsPatience {
			said = true
			fmt.Fprintf(d.env.Err, "Waiting for nodes to remove the containers of %s; Ctrl-C does not wait for that\n", strings.Join(left, ", "))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C():
		}
	}
}

// left names the pods that the API no longer has, but their nodes still do.
func (r *remains) left(ctx context.Context) ([]string, error) {
	running := map[types.UID]bool{}
	nodes := map[string]bool{}
	for _, p := range r.pods {
		nodes[p.node] = true
	}
	for _, node := range slices.Sorted(maps.Keys(nodes)) {
		for _, uid := range runningOn(ctx, r.client, node) {
			if _, ours := r.pods[uid]; ours {
				running[uid] = true
			}
		}
	}
	if len(running) == 0 || ctx.Err() != nil {
		return nil, ctx.Err()
	}
	err := r.each(ctx, func(p *corev1.Pod) { delete(running, p.UID) })
	var names []string
	for uid := range running {
		p := r.pods[uid]
		names = append(names, fmt.Sprintf("pod/%s in namespace %s on node %s", p.name, p.namespace, p.node))
	}
	slices.Sort(names)
	return names, client.OrDone(ctx, err)
}

// runningOn returns the pods that a node has not finished with, as its kubelet says. Not everybody
// may ask a node of every cluster, and one that has failed does not answer: then there are none.
func runningOn(ctx context.Context, c *client.Client, node string) []types.UID {
	raw, err := c.Text(ctx, fmt.Sprintf("/api/v1/nodes/%s/proxy/runningpods/", node), nil)
	if err != nil {
		return nil
	}
	var list corev1.PodList
	if json.Unmarshal(raw, &list) != nil {
		return nil
	}
	uids := make([]types.UID, len(list.Items))
	for i := range list.Items {
		uids[i] = list.Items[i].UID
	}
	return uids
}

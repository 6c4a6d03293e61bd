package report

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"skiff/cli/client"
	clilogs "skiff/cli/logs"
)

// logPatience is how long the ends of logs are waited for: those of containers that have ended are on
// their way, those of others never end.
const logPatience = 500 * time.Millisecond

// Finish collects what there is in the end, and returns the report. The recorder may go on.
func (r *Recorder) Finish(ctx context.Context, passed bool, message string) (*Report, error) {
	objects, err := r.objects(ctx)
	r.awaitLogs(ctx)
	r.completeLogs(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.clock.Now()
	out := &Report{Passed: passed, Message: message, Ended: now, Events: slices.Clone(r.list), Objects: objects}
	for _, uid := range r.order {
		if w := r.workloads[uid]; w != nil {
			if n := len(w.Spans); n > 0 && w.Spans[n-1].To == nil {
				w.Spans[n-1].To = &now
			}
			out.Workloads = append(out.Workloads, w)
		}
		if p := r.pods[uid]; p != nil {
			r.close(uid, p, now)
			out.Pods = append(out.Pods, p)
		}
	}
	return out, err
}

// close ends what is still going on, and fills in the logs.
func (r *Recorder) close(uid types.UID, p *Pod, now time.Time) {
	p.Owner = cmp.Or(r.owners[p.owner], p.Owner)
	p.Problem = r.podProblem(p, now)
	for _, c := range p.Containers {
		c.end(now)
		c.Log, c.Cut = r.logs.text(uid, c.Name)
	}
}

func (r *Recorder) awaitLogs(ctx context.Context) {
	done := r.logs.quiet()
	if done == nil {
		return
	}
	timer := r.clock.NewTimer(logPatience)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C():
	case <-ctx.Done():
	}
}

// completeLogs reads the logs of containers that have ended once more: engines before 23 do not send
// those who follow a log its last line if nothing ends it.
func (r *Recorder) completeLogs(ctx context.Context) {
	type ended struct {
		uid types.UID
		clilogs.Source
	}
	var all []ended
	r.mu.Lock()
	for uid, p := range r.pods {
		for _, c := range p.Containers {
			if n := len(c.Spans); p.Ended == nil && c.Restarts == 0 && n > 0 && c.Spans[n-1].State == Exited {
				all = append(all, ended{uid, clilogs.Source{Namespace: p.Namespace, Pod: p.Name, Container: c.Name}})
			}
		}
	}
	r.mu.Unlock()
	for _, e := range all {
		r.logs.complete(ctx, e.Source, place{e.uid, e.Container})
	}
}

// shown are the kinds whose objects the report has, beside those that are followed.
var shown = append(slices.DeleteFunc(slices.Clone(kinds), func(k schema.GroupVersionKind) bool { return k.Kind == "Event" }),
	schema.GroupVersionKind{Version: "v1", Kind: "Service"}, schema.GroupVersionKind{Group: "discovery.k8s.io", Version: "v1", Kind: "EndpointSlice"},
	schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}, schema.GroupVersionKind{Version: "v1", Kind: "PersistentVolumeClaim"},
	schema.GroupVersionKind{Group: "networking.k8s.io", Version: "v1", Kind: "Ingress"}, schema.GroupVersionKind{Version: "v1", Kind: "Node"})

// objects are all objects of those kinds, but for the cluster's own.
func (r *Recorder) objects(ctx context.Context) ([]Object, error) {
	catalog, err := r.client.Catalog()
	if err != nil {
		return nil, err
	}
	var out []Object
	for _, kind := range shown {
		m, err := catalog.Kind(kind)
		if err != nil {
			continue
		}
		items, _, err := r.client.List(ctx, client.Ref{Mapping: m}, client.ListOptions{})
		if err != nil {
			return out, fmt.Errorf("listing %s: %w", m.Resource.Resource, err)
		}
		for i := range items {
			if own(&items[i]) {
				continue
			}
			o, err := asText(kind.Kind, &items[i])
			if err != nil {
				return out, err
			}
			out = append(out, o)
		}
	}
	slices.SortStableFunc(out, func(a, b Object) int { return cmp.Compare(a.Namespace, b.Namespace) })
	return out, nil
}

// own reports whether an object is the cluster's own and says nothing of an application.
func own(u *unstructured.Unstructured) bool {
	switch u.GetNamespace() {
	case "kube-system", "kube-public", "kube-node-lease":
		return true
	}
	return u.GetName() == "kube-root-ca.crt" || u.GetNamespace() == "default" && u.GetName() == "kubernetes"
}

func asText(kind string, u *unstructured.Unstructured) (Object, error) {
	u.SetManagedFields(nil)
	text, err := yaml.Marshal(u.Object)
	if err != nil {
		return Object{}, fmt.Errorf("printing %s %s: %w", kind, u.GetName(), err)
	}
	return Object{Kind: kind, Namespace: u.GetNamespace(), Name: u.GetName(), YAML: string(text)}, nil
}

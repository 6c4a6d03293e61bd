package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"skiff/cli/diagnosis"
	"skiff/manifests/podfacts"
)

func (r *Recorder) seeWorkload(u *unstructured.Unstructured, l look) {
	name := strings.ToLower(u.GetKind()) + "/" + u.GetName()
	if owner := metav1.GetControllerOf(u); owner != nil {
		r.seeOwned(u, cmp.Or(r.owners[owner.UID], strings.ToLower(owner.Kind)+"/"+owner.Name), l)
		return
	}
	r.owners[u.GetUID()] = name
	w := r.workloads[u.GetUID()]
	if l.deleted() {
		if w != nil {
			r.endWorkload(w, l.now)
		}
		return
	}
	if u.GetKind() == "CronJob" {
		return
	}
	if w == nil {
		w = r.addWorkload(&Workload{Kind: u.GetKind(), Namespace: u.GetNamespace(), Name: u.GetName(), UID: string(u.GetUID()), Began: l.since(u.GetCreationTimestamp().Time)})
	}
	ready, state := progress(u)
	whole := workloadState(u, ready)
	w.become(ready, Span{State: whole, From: l.since(changed(u)), Note: state, Failed: whole == Exited && !ready})
	w.Replicas = replicas(u)
	w.change(u, l.now)
	w.Problem = workloadProblem(u)
	r.bound(w)
}

// seeOwned takes down through whom pods belong to a workload. A ReplicaSet's pods may outlive it.
func (r *Recorder) seeOwned(u *unstructured.Unstructured, owner string, l look) {
	if !l.deleted() || r.most == (limits{}) {
		r.owners[u.GetUID()] = owner
		return
	}
	for _, p := range r.pods {
		if p.owner == u.GetUID() {
			p.owner, p.Owner = "", owner
		}
	}
	delete(r.owners, u.GetUID())
}

func (r *Recorder) addWorkload(w *Workload) *Workload {
	uid := types.UID(w.UID)
	r.workloads[uid] = w
	if r.pods[uid] == nil { // a pod has its place already
		r.order = append(r.order, uid)
	}
	return w
}

func (r *Recorder) endWorkload(w *Workload, now time.Time) {
	w.Ended, w.Problem, w.last = &now, "", nil
	if n := len(w.Spans); n > 0 && w.Spans[n-1].To == nil {
		w.Spans[n-1].To = &now
	}
	r.touchWorkload(w)
}

// become takes down how far a workload is.
func (w *Workload) become(ready bool, s Span) {
	if ready && !w.Ready {
		w.Done = &s.From
	}
	w.Ready, w.State = ready, s.Note
	w.Spans, _ = begin(w.Spans, s)
}

// workloadState is the state that a workload has as a whole.
func workloadState(u *unstructured.Unstructured, ready bool) string {
	switch {
	case u.GetKind() == "Job" && (ready || isTrue(u, "Failed")):
		return Exited
	case ready:
		return Ready
	}
	return Running
}

// seeAlone takes down a pod that is its own workload.
func (r *Recorder) seeAlone(p *corev1.Pod, l look) {
	w := r.workloads[p.UID]
	if w == nil {
		w = r.addWorkload(&Workload{Kind: "Pod", Namespace: p.Namespace, Name: p.Name, UID: string(p.UID), Began: l.since(p.CreationTimestamp.Time)})
	}
	if l.deleted() {
		r.endWorkload(w, l.now)
		return
	}
	ready := podfacts.Ready(p) || p.Status.Phase == corev1.PodSucceeded
	w.become(ready, aloneState(p, l))
	r.bound(w)
}

// aloneState is the state of a pod as a workload.
func aloneState(p *corev1.Pod, l look) Span {
	s := Span{State: Running, From: l.now, Note: podfacts.Summarize(p).Status}
	switch stuck, _ := diagnosis.Stuck(p); {
	case podfacts.Terminal(p):
		s.State, s.Failed = Exited, p.Status.Phase == corev1.PodFailed
	case stuck != nil:
		s.State, s.Failed = Waiting, true
	case podfacts.Ready(p):
		s.State = Ready
		if since, ok := podfacts.ReadySince(p); ok {
			s.From = l.since(since)
		}
	}
	return s
}

// progress reports whether a workload is ready or complete, and says how far it is.
func progress(u *unstructured.Unstructured) (bool, string) {
	seen := number(u, "status", "observedGeneration") >= u.GetGeneration()
	switch u.GetKind() {
	case "Job":
		for _, condition := range []string{"Complete", "Failed"} {
			if isTrue(u, condition) {
				return condition == "Complete", strings.ToLower(condition)
			}
		}
		if suspend, _, _ := unstructured.NestedBool(u.Object, "spec", "suspend"); suspend {
			return true, "suspended"
		}
		return false, fmt.Sprintf("%d/%d complete", number(u, "status", "succeeded"), wanted(u, "spec", "completions"))
	case "DaemonSet":
		ready, all := number(u, "status", "numberReady"), number(u, "status", "desiredNumberScheduled")
		return seen && ready >= all, fmt.Sprintf("%d/%d ready", ready, all)
	}
	ready, all := number(u, "status", "readyReplicas"), wanted(u, "spec", "replicas")
	return seen && ready == all, fmt.Sprintf("%d/%d ready", ready, all)
}

// replicas is how many pods a workload is to have; nil for one that can not be scaled.
func replicas(u *unstructured.Unstructured) *int64 {
	switch u.GetKind() {
	case "Deployment", "StatefulSet", "ReplicaSet", "ReplicationController":
		n := wanted(u, "spec", "replicas")
		return &n
	}
	return nil
}

func number(u *unstructured.Unstructured, fields ...string) int64 {
	n, _, _ := unstructured.NestedInt64(u.Object, fields...)
	return n
}

// wanted is a number that is 1 where it is not given.
func wanted(u *unstructured.Unstructured, fields ...string) int64 {
	n, found, _ := unstructured.NestedInt64(u.Object, fields...)
	if !found {
		return 1
	}
	return n
}

// condition is one of an object's conditions, as plain maps.
type condition map[string]any

func (c condition) text(field string) string {
	s, _ := c[field].(string)
	return s
}

func conditions(u *unstructured.Unstructured) []condition {
	all, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	var out []condition
	for _, c := range all {
		if m, ok := c.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

func isTrue(u *unstructured.Unstructured, name string) bool {
	return slices.ContainsFunc(conditions(u), func(c condition) bool { return c["type"] == name && c["status"] == "True" })
}

// changed is when an object's state has last changed, as far as its conditions tell.
func changed(u *unstructured.Unstructured) time.Time {
	var last time.Time
	for _, c := range conditions(u) {
		if at, err := time.Parse(time.RFC3339, c.text("lastTransitionTime")); err == nil && at.After(last) {
			last = at
		}
	}
	if last.IsZero() {
		return u.GetCreationTimestamp().Time
	}
	return last
}

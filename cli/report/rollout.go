package report

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// change takes down what somebody has changed about a workload since it was last seen, and when a rollout
// that follows from it is over.
func (w *Workload) change(u *unstructured.Unstructured, now time.Time) {
	before := w.last
	w.last = u
	if before == nil {
		return
	}
	for _, text := range changes(before, u) {
		w.Changes = append(w.Changes, Change{At: now, What: text})
		w.rolling = w.rolling || strings.HasPrefix(text, "rollout")
	}
	if w.rolling && rolledOut(u) {
		w.Changes, w.rolling = append(w.Changes, Change{At: now, What: "rolled out"}), false
	}
}

// changes says what has been changed from one state of a workload to the next: its template, which begins
// a rollout, the number of its pods, or whether it runs at all.
func changes(before, after *unstructured.Unstructured) []string {
	var out []string
	if a, b := replicas(before), replicas(after); a != nil && b != nil && *a != *b {
		out = append(out, fmt.Sprintf("scaled from %d to %d", *a, *b))
	}
	was, _, _ := unstructured.NestedBool(before.Object, "spec", "suspend")
	if is, _, _ := unstructured.NestedBool(after.Object, "spec", "suspend"); is != was {
		out = append(out, map[bool]string{true: "suspended", false: "resumed"}[is])
	}
	if a, b := template(before), template(after); !reflect.DeepEqual(a, b) {
		out = append(out, "rollout: "+cause(a, b))
	}
	return out
}

func template(u *unstructured.Unstructured) map[string]any {
	t, _, _ := unstructured.NestedFieldNoCopy(u.Object, "spec", "template")
	m, _ := t.(map[string]any)
	return m
}

// restartedAt is the annotation by which kubectl rollout restart, and skiff's, change a template.
const restartedAt = "kubectl.kubernetes.io/restartedAt"

// cause says in what a template differs from another.
func cause(a, b map[string]any) string {
	images := func(t map[string]any) map[string]string {
		out := map[string]string{}
		all, _, _ := unstructured.NestedSlice(t, "spec", "containers")
		for _, c := range all {
			if m, ok := c.(map[string]any); ok {
				out[fmt.Sprint(m["name"])], _ = m["image"].(string)
			}
		}
		return out
	}
	var out []string
	from, to := images(a), images(b)
	all, _, _ := unstructured.NestedSlice(b, "spec", "containers")
	for _, c := range all {
		m, _ := c.(map[string]any)
		name := fmt.Sprint(m["name"])
		if old, had := from[name]; had && old != to[name] {
			out = append(out, fmt.Sprintf("image of %s from %s to %s", name, old, to[name]))
		}
	}
	if len(out) > 0 {
		return strings.Join(out, ", ")
	}
	was, _, _ := unstructured.NestedString(a, "metadata", "annotations", restartedAt)
	if is, _, _ := unstructured.NestedString(b, "metadata", "annotations", restartedAt); is != was {
		return "restart"
	}
	return "the pods' template was changed"
}

// rolledOut reports whether all pods of a workload are of its newest template, and ready.
func rolledOut(u *unstructured.Unstructured) bool {
	ready, _ := progress(u)
	if !ready {
		return false
	}
	if u.GetKind() == "DaemonSet" {
		return number(u, "status", "updatedNumberScheduled") >= number(u, "status", "desiredNumberScheduled")
	}
	all := wanted(u, "spec", "replicas")
	return number(u, "status", "updatedReplicas") == all && number(u, "status", "replicas") == all
}

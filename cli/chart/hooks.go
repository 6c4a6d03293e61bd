package chart

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"skiff/cli/after"
)

// The annotations by which a template says that it is a hook, and when its turn is.
const (
	hookAnnotation   = "helm.sh/hook"
	weightAnnotation = "helm.sh/hook-weight"
)

// Arrange puts the objects of a chart into the order in which helm installs them: hooks that come before
// the installation, by their weight, then the objects, then the hooks that come after it. Objects that wait
// for a job are annotated, so that up keeps the order too. Hooks of other occasions are left out, with a
// remark: nothing but up is known to skiff.
func Arrange(objects []*unstructured.Unstructured) (out []*unstructured.Unstructured, remarks []string) {
	var before, rest, behind []*unstructured.Unstructured
	for _, o := range objects {
		switch events := eventsOf(o); {
		case len(events) == 0:
			rest = append(rest, o)
		case slices.Contains(events, "pre-install"):
			before = append(before, o)
		case slices.Contains(events, "post-install"):
			behind = append(behind, o)
		case !slices.ContainsFunc(events, func(e string) bool { return !strings.HasPrefix(e, "test") }):
			// It is for helm test.
		default:
			remarks = append(remarks, fmt.Sprintf("%s is a hook for %s and is left out: skiff runs those of pre-install and post-install alone", describe(o), strings.Join(events, " and ")))
		}
	}
	byWeight := func(a, b *unstructured.Unstructured) int { return cmp.Compare(weight(a), weight(b)) }
	slices.SortStableFunc(before, byWeight)
	slices.SortStableFunc(behind, byWeight)
	remarks = append(remarks, awaitEach(before, rest)...)
	remarks = append(remarks, awaitEach(behind, nil)...)
	definitions := func(o *unstructured.Unstructured) bool { return o.GetKind() == "CustomResourceDefinition" }
	for _, o := range rest {
		if definitions(o) {
			out = append(out, o)
		}
	}
	out = append(out, before...)
	out = append(out, slices.DeleteFunc(rest, definitions)...)
	return append(out, behind...), remarks
}

// awaitEach makes each job among the hooks wait for the one before it, and the others for the last one.
func awaitEach(hooks, others []*unstructured.Unstructured) (remarks []string) {
	var last *unstructured.Unstructured
	for _, h := range hooks {
		switch {
		case h.GetKind() == "Pod":
			remarks = append(remarks, describe(h)+" is a hook that nothing waits for: only a Job is known to complete")
		case h.GetKind() == "Job":
			await(h, last)
			last = h
		}
	}
	for _, o := range others {
		if slices.Contains([]string{"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Pod", "Job"}, o.GetKind()) {
			await(o, last)
		}
	}
	return remarks
}

// await annotates an object, which then waits for a job. One of another namespace can't be waited for.
func await(o, job *unstructured.Unstructured) {
	if job == nil || o.GetNamespace() != job.GetNamespace() {
		return
	}
	annotations := o.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	word := "job/" + job.GetName() + "=" + after.Complete
	if already := annotations[after.Annotation]; already != "" {
		word = already + "," + word
	}
	annotations[after.Annotation] = word
	o.SetAnnotations(annotations)
}

// eventsOf are the occasions of a hook; none for an object that is no hook.
func eventsOf(o *unstructured.Unstructured) (events []string) {
	for e := range strings.SplitSeq(o.GetAnnotations()[hookAnnotation], ",") {
		if e = strings.ToLower(strings.TrimSpace(e)); e != "" {
			events = append(events, e)
		}
	}
	return events
}

// weight is 0 where it cannot be read, as helm has it.
func weight(o *unstructured.Unstructured) int {
	n, err := strconv.Atoi(o.GetAnnotations()[weightAnnotation])
	if err != nil {
		return 0
	}
	return n
}

func describe(o *unstructured.Unstructured) string {
	return strings.ToLower(o.GetKind()) + "/" + o.GetName()
}

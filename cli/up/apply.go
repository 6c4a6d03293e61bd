package up

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"skiff/cli/apply"
	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/halt"
	"skiff/cli/resource"
)

// apply creates or updates the objects, in order. It stops at the first one that is refused, and
// names what has been created by then.
func (r *runner) apply(ctx context.Context) error {
	applier := apply.NewApplier(r.client, func(format string, a ...any) { fmt.Fprintf(r.env.Err, format, a...) })
	applier.Refused = r.refused
	// The record of the set may lie in a namespace that is among the targets.
	namespaces := slices.IndexFunc(r.targets, func(t resource.Target) bool { return t.Mapping.GroupVersionKind.Kind != "Namespace" })
	if namespaces < 0 {
		namespaces = len(r.targets)
	}
	if err := r.applyAll(ctx, applier, r.targets[:namespaces]); err != nil {
		return err
	}
	r.waiting = "the record of the project's objects"
	var err error
	if r.set, err = r.set.cover(ctx, r.targets); err != nil {
		return err
	}
	if err := r.applyInTurn(ctx, applier, r.targets[namespaces:]); err != nil {
		return err
	}
	r.waiting = "the list of what is no longer in the manifests"
	d := &deleter{client: r.client, env: r.env, grace: -1}
	err = r.set.prune(ctx, d, r.targets, r.appliedUIDs, r.prune)
	if len(d.waiting) > 0 {
		r.waiting = strings.Join(d.waiting, ", ") + " to be gone"
	}
	return err
}

func (r *runner) applyAll(ctx context.Context, applier *apply.Applier, targets []resource.Target) error {
	for _, t := range targets {
		made, outcome, err := r.applyOne(ctx, applier, t)
		if err != nil {
			if len(r.created) > 0 && (ctx.Err() == nil || late(ctx)) {
				fmt.Fprintf(r.env.Err, "Created before that, and left: %s\n", names(r.created))
			}
			return err
		}
		r.unchanged[t.Ref] = outcome == apply.Unchanged
		r.appliedUIDs[made.GetUID()], r.generations[made.GetUID()] = true, made.GetGeneration()
		fmt.Fprintf(r.env.Err, "%s %s\n", t.Ref, outcome)
	}
	return nil
}

// applyOne brings one object about. A job or a pod that has failed is run again, and so is a job that
// is over and whose manifest has changed; whatever else cannot be changed in place is replaced where
// the user said so.
func (r *runner) applyOne(ctx context.Context, applier *apply.Applier, t resource.Target) (*unstructured.Unstructured, apply.Outcome, error) {
	r.waiting = t.String() + " to be applied"
	before, end, err := r.endOf(ctx, t)
	if err != nil {
		return nil, "", command.SourceError("retrieving", t.Source, err)
	}
	if why := r.runsAgain(ctx, t, end); why != "" {
		fmt.Fprintf(r.env.Err, "%s %s, and is %s again\n", t.Ref, why, r.runOrMade())
		return r.replaceOne(ctx, applier, t, before.GetUID())
	}
	if r.recreate && before != nil && metav1.GetControllerOf(before) == nil {
		fmt.Fprintf(r.env.Err, "%s is run anew\n", t.Ref)
		return r.replaceOne(ctx, applier, t, before.GetUID())
	}
	if r.recreate {
		if err := r.recreatePods(ctx, t); err != nil {
			return nil, "", err
		}
	}
	made, outcome, err := applier.Apply(ctx, t)
	var immutable *immutableError
	if errors.As(err, &immutable) && end == endedWell {
		fmt.Fprintf(r.env.Err, "%s has changed since it completed, and is %s again\n", t.Ref, r.runOrMade())
		return r.replaceOne(ctx, applier, t, immutable.uid)
	}
	if r.replace && immutable != nil && !holdsData(t) {
		return r.replaceOne(ctx, applier, t, immutable.uid)
	}
	if err == nil && outcome == apply.Created {
		r.created = append(r.created, t)
		r.createdUIDs[t.Ref] = made.GetUID()
	}
	if err == nil && !r.noStart {
		made, err = r.goOn(ctx, t, made)
	}
	return made, outcome, err
}

// runOrMade says what happens to a job whose time has come again.
func (r *runner) runOrMade() string {
	if r.noStart {
		return "created"
	}
	return "run"
}

// goOn sets a workload going again that skiff stop has stopped, unless its manifest wants it to stand still.
func (r *runner) goOn(ctx context.Context, t resource.Target, made *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	patch, err := startPatch(t, made)
	if err != nil || patch == nil {
		return made, err
	}
	return r.client.Patch(ctx, t.Ref, types.MergePatchType, patch, client.WriteOptions{})
}

// startPatch is the patch by which an applied object goes on; nil where nothing has to be done for that.
func startPatch(t resource.Target, made *unstructured.Unstructured) ([]byte, error) {
	switch {
	case !isWorkload(t.Ref) && t.Mapping.GroupVersionKind.Kind != "CronJob", suspends(t.Value):
		return nil, nil
	case scaledToNothing(t.Value):
		return halt.Forget(made)
	}
	return halt.Start(made)
}

// suspends reports whether a manifest itself wants a job suspended.
func suspends(o *unstructured.Unstructured) bool {
	suspend, _, _ := unstructured.NestedBool(o.Object, "spec", "suspend")
	return suspend
}

// end is how a job, or a pod on its own, has ended: not at all, in failure, or well.
type end int

const (
	goesOn end = iota
	endedInFailure
	endedWell
)

// runsAgain says why something that has ended is run again; "" if it is not.
func (r *runner) runsAgain(ctx context.Context, t resource.Target, e end) string {
	switch {
	case e == endedInFailure:
		return "has failed before"
	case e == endedWell && r.rerun:
		return "has completed before"
	case e == endedWell && r.images != nil && !r.noRoll:
		if image := r.outdatedImage(ctx, t); image != "" {
			return "has completed with an older image " + image
		}
	}
	return ""
}

// againTime bounds the creation of an object that has been deleted for it.
const againTime = 10 * time.Second

// replaceOne deletes an object, with the pods that it owns, and creates it again once they are
// gone. It is not among what this run has created, for an interrupt to delete: it was there before.
// Once it is gone an interrupt does not keep it from being created.
func (r *runner) replaceOne(ctx context.Context, applier *apply.Applier, t resource.Target, uid types.UID) (*unstructured.Unstructured, apply.Outcome, error) {
	r.waiting = t.String() + " and its pods to be gone"
	r.replaced[t.Ref] = true
	d := &deleter{client: r.client, env: r.env, grace: -1, decided: map[client.Ref]types.UID{t.Ref: uid}}
	err := d.delete(ctx, []resource.Target{t})
	var made *unstructured.Unstructured
	var outcome apply.Outcome
	if err == nil {
		r.waiting = t.String() + " to be created again"
		lasting, cancel := context.WithTimeout(context.WithoutCancel(ctx), againTime)
		defer cancel()
		made, outcome, err = applier.Apply(lasting, t)
	}
	if err != nil && d.asked[t.Ref] {
		fmt.Fprintf(r.env.Err, "%s was to be deleted and created again, and has not been created: skiff up creates it\n", t.Ref)
	}
	return made, outcome, err
}

// endOf returns how an object that is a job, or a pod on its own, has ended, and that object. Nothing
// but a new one of its name runs again.
func (r *runner) endOf(ctx context.Context, t resource.Target) (*unstructured.Unstructured, end, error) {
	kind := t.Mapping.GroupVersionKind.Kind
	if kind != "Job" && kind != "Pod" || t.Name == "" {
		return nil, goesOn, nil
	}
	o, err := r.client.Get(ctx, t.Ref)
	if apierrors.IsNotFound(err) {
		return nil, goesOn, nil
	}
	if err != nil {
		return nil, goesOn, err
	}
	if kind == "Pod" {
		phase, _, _ := unstructured.NestedString(o.Object, "status", "phase")
		switch {
		case metav1.GetControllerOf(o) != nil:
		case phase == string(corev1.PodFailed):
			return o, endedInFailure, nil
		case phase == string(corev1.PodSucceeded):
			return o, endedWell, nil
		}
		return o, goesOn, nil
	}
	job := &batchv1.Job{}
	if err := client.Into(o, job); err != nil {
		return nil, goesOn, err
	}
	for _, c := range job.Status.Conditions {
		switch {
		case c.Status != corev1.ConditionTrue:
		case c.Type == batchv1.JobFailed:
			return o, endedInFailure, nil
		case c.Type == batchv1.JobComplete:
			return o, endedWell, nil
		}
	}
	return o, goesOn, nil
}

func names(targets []resource.Target) string {
	out := make([]string, len(targets))
	for i, t := range targets {
		out[i] = t.Ref.String()
	}
	return strings.Join(out, ", ")
}

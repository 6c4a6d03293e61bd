package up

import (
	"context"
	"fmt"
	"slices"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"skiff/cli/halt"
	"skiff/cli/resource"
)

// holdBack makes the targets such that applying them starts nothing. Workloads that run already are left
// running, with a word; pods on their own are left out, because nothing keeps one from running.
func (r *runner) holdBack(ctx context.Context) error {
	var out []resource.Target
	for _, t := range r.targets {
		if !isWorkload(t.Ref) && t.Mapping.GroupVersionKind.Kind != "CronJob" {
			out = append(out, t)
			continue
		}
		current, err := r.client.Get(ctx, t.Ref)
		switch {
		case err != nil && !apierrors.IsNotFound(err):
			return fmt.Errorf("looking whether %s runs: %w", t.Ref, err)
		case t.Mapping.GroupVersionKind.Kind == "Pod" && err == nil:
			out = append(out, t)
		case t.Mapping.GroupVersionKind.Kind == "Pod":
			fmt.Fprintf(r.env.Err, "%s is left out: nothing keeps a pod on its own from running\n", t.Ref)
		case err == nil && !halt.Stopped(current) && !isOver(current):
			fmt.Fprintf(r.env.Err, "%s runs already, and is left running: %s stops it\n", t.Ref, r.hints.stop())
			out = append(out, t)
		default:
			if t.Value, err = halted(t.Value); err != nil {
				return fmt.Errorf("%s: %w", t.Source, err)
			}
			out = append(out, t)
		}
	}
	r.targets = out
	return nil
}

// halted is a manifest of the same workload, stopped.
func halted(o *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	patch, err := halt.Stop(o)
	if err != nil || patch == nil {
		return o, err
	}
	raw, err := o.MarshalJSON()
	if err != nil {
		return nil, err
	}
	if raw, err = jsonpatch.MergePatch(raw, patch); err != nil {
		return nil, fmt.Errorf("stopping %s: %w", o.GetName(), err)
	}
	out := &unstructured.Unstructured{}
	return out, out.UnmarshalJSON(raw)
}

// isOver reports whether a job has ended.
func isOver(o *unstructured.Unstructured) bool {
	patch, err := halt.Stop(o)
	return o.GetKind() == "Job" && err == nil && patch == nil
}

// unstartedNotice says what --no-start has left to do.
func (r *runner) unstartedNotice() string {
	if !slices.ContainsFunc(r.targets, func(t resource.Target) bool { return isWorkload(t.Ref) }) {
		return ""
	}
	return fmt.Sprintf("Nothing was started: %s starts it, and %s starts and follows it.\n", r.hints.start(), r.hints.up())
}

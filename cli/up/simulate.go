package up

import (
	"context"
	"errors"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"skiff/cli/applied"
	"skiff/cli/apply"
	"skiff/cli/command"
	"skiff/cli/resource"
)

// simulate says what up would do, and does none of it. What the server would refuse is returned as
// errors, after all else has been said.
func (r *runner) simulate(ctx context.Context) error {
	applier := apply.NewApplier(r.client, func(string, ...any) {})
	applier.Refused = r.refused
	fresh := map[string]bool{} // namespaces that are not there yet: the server can't be asked about what is in them
	var errs []error
	for _, t := range r.targets {
		one := *applier
		one.ClientDryRun = r.dryRun == command.DryRunClient || fresh[t.Namespace] || applier.NotServedYet(t)
		p, err := r.simulateOne(ctx, &one, t)
		if err == nil && t.Mapping.GroupVersionKind.Kind == "Namespace" && p.Before == nil {
			fresh[t.Name] = true
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		errs = append(errs, err)
	}
	return command.Join(append(errs, r.simulatePrune(ctx))...)
}

// simulateOne says what would become of one object.
func (r *runner) simulateOne(ctx context.Context, applier *apply.Applier, t resource.Target) (apply.Preview, error) {
	before, end, err := r.endOf(ctx, t)
	if err != nil {
		return apply.Preview{}, command.SourceError("retrieving", t.Source, err)
	}
	if why := r.runsAgain(ctx, t, end); why != "" {
		r.would(t, why+", and would be run again")
		return apply.Preview{Before: before}, nil
	}
	if r.recreate && before != nil && metav1.GetControllerOf(before) == nil {
		r.would(t, "would be run anew")
		return apply.Preview{Before: before}, nil
	}
	p, err := applier.Preview(ctx, t)
	var immutable *immutableError
	switch {
	case errors.As(err, &immutable) && end == endedWell:
		r.would(t, "has changed since it completed, and would be run again")
		return p, nil
	case r.replace && immutable != nil && !holdsData(t):
		r.would(t, "would be deleted and created again, for it cannot be changed in place")
		return p, nil
	case err != nil:
		return p, err
	case p.Before == nil:
		r.would(t, "would be created")
		return p, nil
	}
	r.sayChanges(t, p)
	return p, r.simulateStart(ctx, t, p)
}

func (r *runner) would(t resource.Target, what string) {
	fmt.Fprintf(r.env.Out, "%s %s\n", t.Ref, what)
}

// sayChanges says what would change of an object that is there.
func (r *runner) sayChanges(t resource.Target, p apply.Preview) {
	all := changes("", telling(p.Before), telling(p.After))
	switch {
	case p.Outcome == apply.Unchanged:
		r.would(t, "would be left as it is")
	case len(all) == 0:
		r.would(t, "would be changed in the record of what was applied, and in nothing else")
	default:
		r.would(t, "would be changed:")
		for _, c := range all {
			fmt.Fprintf(r.env.Out, "  %s\n", c.diff(t.Mapping.GroupVersionKind.Kind == "Secret"))
		}
	}
}

// simulateStart says which pods would be started or replaced, beyond what changes of the object itself.
func (r *runner) simulateStart(ctx context.Context, t resource.Target, p apply.Preview) error {
	if r.noStart {
		return nil
	}
	patch, err := startPatch(t, p.After)
	if err != nil {
		return err
	}
	if patch != nil {
		r.would(t, "was stopped, and would go on")
	}
	switch kind := t.Mapping.GroupVersionKind.Kind; {
	case !isWorkload(t.Ref), kind == "Job", kind == "Pod":
	case r.recreate:
		r.would(t, "would have all its pods replaced")
	case p.Outcome == apply.Unchanged && r.images != nil && !r.noRoll:
		if image := r.outdatedImage(ctx, t); image != "" {
			r.would(t, "would be rolled out: the image "+image+" is a new one")
		}
	}
	return nil
}

// simulatePrune says what would become of the project's objects that are no longer in the manifests.
func (r *runner) simulatePrune(ctx context.Context) error {
	others, err := r.set.others(ctx, r.targets, nil)
	for _, t := range others {
		if r.prune && !holdsData(t) {
			r.would(t, "would be deleted: it is no longer in the manifests")
		} else {
			r.would(t, "is no longer in the manifests, and would be left")
		}
	}
	return err
}

// refused words the server's refusal of a change.
func (r *runner) refused(t resource.Target, current, wanted *unstructured.Unstructured, err error) error {
	if immutable := asImmutable(t, current, wanted, err); immutable != nil {
		return immutable
	}
	return command.SourceError("updating", t.Source, err)
}

// telling is what an object says to a person, without what changes of it whenever anything does.
func telling(o *unstructured.Unstructured) map[string]any {
	plain := o.DeepCopy()
	for _, field := range []string{"generation", "resourceVersion", "managedFields"} {
		unstructured.RemoveNestedField(plain.Object, "metadata", field)
	}
	unstructured.RemoveNestedField(plain.Object, "metadata", "annotations", applied.Annotation)
	if len(plain.GetAnnotations()) == 0 {
		unstructured.RemoveNestedField(plain.Object, "metadata", "annotations")
	}
	delete(plain.Object, "status")
	return plain.Object
}

// diff is a change as a line: of a field that is added, removed or changed. A secret's values are not
// shown.
func (c change) diff(secret bool) string {
	from, to := valueText(c.from), valueText(c.to)
	if secret && (strings.HasPrefix(c.path, "data") || strings.HasPrefix(c.path, "stringData")) {
		from, to = "***", "***"
	}
	switch {
	case c.from == nil:
		return fmt.Sprintf("+ %s: %s", c.path, to)
	case c.to == nil:
		return fmt.Sprintf("- %s: %s", c.path, from)
	}
	return fmt.Sprintf("~ %s: %s → %s", c.path, from, to)
}

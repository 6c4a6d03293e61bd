package up

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"

	"skiff/cli/apply"
	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/compose"
	"skiff/cli/diagnosis"
	"skiff/cli/resource"
)

// prerequisite is a workload without which another one is not started.
type prerequisite struct {
	client.Ref
	condition string
}

func (p prerequisite) String() string { return p.Ref.String() + " to be " + p.condition }

// prerequisites reads what the targets' annotations say comes before them. What they name must be
// among the targets, and nothing may wait for itself.
func prerequisites(targets []resource.Target) (map[client.Ref][]prerequisite, error) {
	out := map[client.Ref][]prerequisite{}
	for _, t := range targets {
		for _, word := range strings.FieldsFunc(t.Value.GetAnnotations()[compose.AfterAnnotation], func(r rune) bool { return r == ',' || r == ' ' }) {
			p, err := findPrerequisite(targets, t, word)
			if err != nil {
				return nil, fmt.Errorf("%s: %s: annotation %s: %w", t.Source, t.Ref, compose.AfterAnnotation, err)
			}
			out[t.Ref] = append(out[t.Ref], p)
		}
	}
	harmless := map[client.Ref]bool{}
	for r := range out {
		if circle := circleFrom(out, r, nil, harmless); circle != nil {
			return nil, fmt.Errorf("nothing can start first: %s", strings.Join(circle, " waits for "))
		}
	}
	return out, nil
}

func findPrerequisite(targets []resource.Target, of resource.Target, word string) (prerequisite, error) {
	what, condition, found := strings.Cut(word, "=")
	if !found {
		condition = compose.Ready
	}
	if !slices.Contains([]string{compose.Started, compose.Ready, compose.Complete}, condition) {
		return prerequisite{}, fmt.Errorf("%q is none of started, ready and complete", condition)
	}
	kind, name, _ := strings.Cut(what, "/")
	i := slices.IndexFunc(targets, func(t resource.Target) bool {
		return strings.EqualFold(t.Mapping.GroupVersionKind.Kind, kind) && t.Name == name && t.Namespace == of.Namespace && isWorkload(t.Ref)
	})
	switch {
	case i < 0:
		return prerequisite{}, fmt.Errorf("%s is not among the workloads of the application", what)
	case condition == compose.Complete && targets[i].Mapping.GroupVersionKind.Kind != "Job":
		return prerequisite{}, fmt.Errorf("%s never completes: only a Job does", what)
	}
	return prerequisite{targets[i].Ref, condition}, nil
}

// circleFrom is a way by which a workload waits for itself; nil if there is none. Those from which none
// goes out are harmless, and are not looked at again.
func circleFrom(all map[client.Ref][]prerequisite, r client.Ref, way []string, harmless map[client.Ref]bool) []string {
	if harmless[r] {
		return nil
	}
	if i := slices.Index(way, r.String()); i >= 0 {
		return append(way[i:], r.String())
	}
	way = append(way[:len(way):len(way)], r.String())
	for _, p := range all[r] {
		if circle := circleFrom(all, p.Ref, way, harmless); circle != nil {
			return circle
		}
	}
	harmless[r] = true
	return nil
}

// observe begins to follow the application's workloads, unless that has begun.
func (r *runner) observe(ctx context.Context, group *errgroup.Group) {
	if r.mirror != nil {
		return
	}
	var workloads []client.Ref
	for _, t := range r.targets {
		if isWorkload(t.Ref) {
			workloads = append(workloads, t.Ref)
		}
	}
	r.mirror, r.ended = newMirror(r.client, r.env.Clock, workloads), diagnosis.NewRecorder(r.client)
	r.tails = newTails(r.client, r.env.Clock, group, r.mirror.poke)
	r.incidents = newIncidents(r.client, r.env.Clock, workloads, r.mirror.poke)
	group.Go(func() error { return r.mirror.Run(ctx) })
	group.Go(func() error { return r.incidents.Run(ctx) })
}

// applyInTurn applies the targets in order, and those that wait for others once these have come as far
// as they must.
func (r *runner) applyInTurn(ctx context.Context, applier *apply.Applier, targets []resource.Target) error {
	if len(r.before) == 0 {
		return r.applyAll(ctx, applier, targets)
	}
	v := newView(r.env.Streams, r.start)
	defer v.close()
	ticker := r.env.Clock.NewTicker(r.interval())
	defer ticker.Stop()
	var away absence
	for {
		s, broken := r.applied(ctx)
		p := look(s, r.env.Now(), r.criteria())
		r.show(ctx, v, s, p)
		if decided := r.judgeEnd(s); decided != nil {
			v.close()
			return r.conclude(ctx, s, decided)
		}
		var now, later []resource.Target
		for _, t := range targets {
			if r.missing(s, t) == nil {
				now = append(now, t)
			} else {
				later = append(later, t)
			}
		}
		if len(now) > 0 {
			v.clear()
			if err := r.applyAll(ctx, applier, now); err != nil {
				return err
			}
		}
		if targets = later; len(targets) == 0 {
			return nil
		}
		if len(now) > 0 {
			continue
		}
		r.waiting = r.missing(s, targets[0]).String() + ", before " + targets[0].String()
		switch {
		case p.failure != nil:
			v.close()
			return command.Verbatim{Message: diagnosis.Explain(ctx, r.client, *p.failure, r.env.Now()) + r.nodes(ctx) + r.unstarted(targets)}
		case away.tooLong(broken, r.env.Now()):
			return broken
		}
		if r.rest(ctx, p, ticker, v); ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// unstarted says what has not been started because of a failure.
func (r *runner) unstarted(targets []resource.Target) string {
	return "  not started, because it comes later: " + names(targets) + "\n"
}

// applied is the snapshot of those workloads that this run has applied.
func (r *runner) applied(ctx context.Context) (snapshot, error) {
	if r.mirror == nil {
		return snapshot{}, nil
	}
	s, broken := r.snapshot(ctx)
	s.workloads = slices.DeleteFunc(s.workloads, func(w workload) bool {
		return w.value == nil || !r.appliedUIDs[w.value.GetUID()]
	})
	return s, broken
}

// missing is the first prerequisite of a target that is not met; nil when it can be started.
func (r *runner) missing(s snapshot, t resource.Target) *prerequisite {
	for _, p := range r.before[t.Ref] {
		i := slices.IndexFunc(s.workloads, func(w workload) bool { return w.Ref == p.Ref })
		if i < 0 || !r.met(s, s.workloads[i], p.condition) {
			return &p
		}
	}
	return nil
}

// met reports whether a workload has come as far as a condition says.
func (r *runner) met(s snapshot, w workload, condition string) bool {
	if condition == compose.Started && slices.ContainsFunc(s.podsOf(w), hasStarted) {
		return true
	}
	s.workloads = []workload{w}
	l := look(s, r.env.Now(), r.criteria()).lines[0]
	if condition == compose.Complete {
		return l.phase == finished
	}
	return l.phase == ready || l.phase == finished
}

// hasStarted reports whether one of a pod's containers runs or has run.
func hasStarted(p *corev1.Pod) bool {
	return p.DeletionTimestamp == nil && slices.ContainsFunc(p.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool {
		return s.State.Running != nil || s.State.Terminated != nil
	})
}

package up

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"skiff/cli/command"
)

// verdict is the end by which a flag wants everything to end.
type verdict struct {
	// why says what has ended, and code is the exit code of up for it.
	why  string
	code int32
	// end is the container's; nil for that of a job that has none.
	end *ending
}

// errDecided ends up's loops once there is a verdict.
var errDecided = errors.New("the application is to end")

// chooseEnd finds the workload of --exit-code-from.
func (r *runner) chooseEnd() error {
	if r.exitCodeFrom == "" {
		return nil
	}
	t, err := findTarget(r.client, r.targets, r.exitCodeFrom, "--exit-code-from", func(kind string) bool { return slices.Contains(workloadKinds, kind) })
	r.exitFrom = t.Ref
	return err
}

// judgeEnd looks whether something has ended that ends everything.
func (r *runner) judgeEnd(s snapshot) *verdict {
	for _, w := range s.workloads {
		if w.Ref == r.exitFrom && r.exitCodeFrom != "" && w.value != nil {
			if v := s.endOf(w, r.criteria()); v != nil {
				return v
			}
		}
	}
	if !r.abortOnFailure && !r.abortOnExit {
		return nil
	}
	var earliest *ending
	for _, w := range s.workloads {
		for _, e := range s.endingsOf(w, r.start) {
			_, init := e.spec()
			counts := e.ExitCode != 0 || r.abortOnExit && !init
			if counts && e.pod.DeletionTimestamp == nil && (earliest == nil || e.FinishedAt.Before(&earliest.FinishedAt)) {
				earliest = &e
			}
		}
	}
	if earliest == nil {
		return nil
	}
	return s.verdictOf(earliest)
}

func (s *snapshot) verdictOf(e *ending) *verdict {
	return &verdict{fmt.Sprintf("the exit code is that of container %s in pod/%s, %d", e.container, e.pod.Name, e.ExitCode), e.ExitCode, e}
}

// endOf is how a workload has ended; nil while it has not. A job ends when it is complete or gives up, any
// other workload with the first of its containers.
func (s *snapshot) endOf(w workload, c criteria) *verdict {
	all := s.endingsOf(w, c.since)
	if w.kind() != "Job" {
		for _, e := range all {
			if _, init := e.spec(); e.pod.DeletionTimestamp == nil && (!init || e.ExitCode != 0 && e.pod.Status.Phase == corev1.PodFailed) {
				return s.verdictOf(&e)
			}
		}
		return nil
	}
	l, _ := judge(w, nil, c.since, criteria{complete: true})
	switch l.phase {
	case finished:
		return &verdict{why: w.name() + " has completed"}
	case failed:
		for _, e := range slices.Backward(all) {
			if e.ExitCode != 0 {
				return s.verdictOf(&e)
			}
		}
		return &verdict{why: w.name() + " has failed", code: 1}
	}
	return nil
}

// conclude writes what there is of the logs, and has up end.
func (r *runner) conclude(ctx context.Context, s snapshot, v *verdict) error {
	r.verdict = v
	if r.noLogs {
		return errDecided
	}
	var own []*corev1.Pod
	for _, w := range s.workloads {
		own = append(own, s.podsOf(w)...)
	}
	r.logs.update(ctx, own)
	r.logs.drainEnded(ctx, own)
	if v.end != nil {
		r.logs.writePrevious(ctx, v.end)
	}
	return errDecided
}

// abort stops everything after a verdict, or after a failure where a flag wants everything to end with
// one. An interrupt does not wait for that.
func (r *runner) abort(stop *interrupts, err error) error {
	if r.client == nil || len(r.appliedUIDs) == 0 {
		return err
	}
	code := 0
	if r.verdict != nil {
		fmt.Fprintf(r.env.Err, "Stopping everything: %s.\n", r.verdict.why)
		code, err = int(r.verdict.code), nil
	}
	if serr := r.stop(stop.first); serr != nil {
		return command.Join(err, serr)
	}
	switch {
	case err != nil:
		return err
	case code != 0:
		return command.Exit{Code: code}
	}
	return nil
}

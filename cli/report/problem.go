package report

import (
	"context"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"skiff/cli/diagnosis"
	"skiff/manifests/podfacts"
)

// lately is how long something that went wrong says why a pod is not well now.
const lately = time.Minute

// podProblem says what is wrong with a pod: why it will not come up, or, of one that still may or has been
// up, what went wrong lately. It is "" when all is well.
func (r *Recorder) podProblem(p *Pod, now time.Time) string {
	if p.last == nil || podfacts.Terminating(p.last) {
		return ""
	}
	if f := diagnosis.Pod(p.last, now); f != nil {
		return diagnosis.Reason(f.Why, p.lastCause())
	}
	if podfacts.Terminal(p.last) {
		return ""
	}
	if why := p.restarted(now); why != "" && r.logs == nil {
		return why
	}
	if podfacts.Ready(p.last) {
		return ""
	}
	for _, e := range slices.Backward(r.list) {
		if now.Sub(e.At) > lately {
			break
		}
		if e.UID == p.UID && e.Warning() {
			return diagnosis.Reason(e.Reason, e.Message)
		}
	}
	return ""
}

// lastCause is why the container that ended last has, where that is known.
func (p *Pod) lastCause() string {
	for _, c := range p.Containers {
		for _, s := range slices.Backward(c.Spans) {
			if s.State == Exited && s.Failed {
				return s.Cause
			}
		}
	}
	return ""
}

// restarted says how a container ended that has been restarted lately.
func (p *Pod) restarted(now time.Time) string {
	for _, c := range p.Containers {
		for _, s := range slices.Backward(c.Spans) {
			if now.Sub(s.From) > lately {
				break
			}
			if s.State == Exited && s.Failed && c.Restarts > 0 {
				return "container " + c.Name + " was restarted: " + diagnosis.Reason(s.Note, s.Cause)
			}
		}
	}
	return ""
}

// workloadProblem says why a workload has given up, or cannot have the pods that it wants.
func workloadProblem(u *unstructured.Unstructured) string {
	for _, c := range conditions(u) {
		switch c.text("type") + "=" + c.text("status") {
		case "Failed=True", "ReplicaFailure=True", "Progressing=False":
			return diagnosis.Reason(c.text("reason"), c.text("message"))
		}
	}
	return ""
}

// review looks again at what is wrong, for some of it comes and goes with time alone.
func (r *Recorder) review(ctx context.Context) error {
	ticker := r.clock.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
		}
		r.mu.Lock()
		now := r.clock.Now()
		for _, p := range r.pods {
			if why := r.podProblem(p, now); why != p.Problem {
				p.Problem = why
				r.touchPod(p)
			}
		}
		r.forget(now)
		r.tell()
		r.mu.Unlock()
	}
}

package up

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/diagnosis"
	"skiff/cli/node"
	"skiff/cli/pods"
	"skiff/cli/resource"
	"skiff/manifests/podfacts"
)

// watch shows everything come up, and then follows the logs unless told not to.
func (r *runner) watch(ctx, timely context.Context, group *errgroup.Group) error {
	v := newView(r.env.Streams, r.start)
	err := r.untilUp(ctx, timely, v)
	v.close()
	if err != nil {
		return err
	}
	r.showAddresses(ctx)
	if r.detach {
		return nil
	}
	r.watchFiles(ctx, group)
	return r.untilDone(ctx)
}

// How often the view is redrawn: a live one is animated, a plain one only checks whether a state
// has lasted too long.
const (
	liveInterval  = 100 * time.Millisecond
	plainInterval = time.Second
)

func (r *runner) interval() time.Duration {
	if r.env.Terminal.Err {
		return liveInterval
	}
	return plainInterval
}

func (r *runner) criteria() criteria {
	return criteria{complete: r.complete, settle: r.settle, since: r.start}
}

// untilUp returns when everything is up. It asks the server in ctx, as it still does when timely
// has ended and it says why.
func (r *runner) untilUp(ctx, timely context.Context, v view) error {
	ticker := r.env.Clock.NewTicker(r.interval())
	defer ticker.Stop()
	var away absence
	for {
		s, broken := r.snapshot(ctx)
		now := r.env.Now()
		p := look(s, now, r.criteria())
		r.show(ctx, v, s, p)
		decided := r.judgeEnd(s)
		switch {
		case decided != nil:
			v.close()
			return r.conclude(ctx, s, decided)
		case p.failure != nil:
			v.close()
			return command.Verbatim{Message: diagnosis.Explain(ctx, r.client, *p.failure, r.env.Now()) + r.nodes(ctx)}
		case p.up:
			return nil
		case away.tooLong(broken, now):
			return broken
		}
		r.rest(timely, p, ticker, v)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case late(timely):
			return r.timedOut(ctx, s, p, broken)
		}
	}
}

// show draws a picture: what is worth seeing of it at a terminal, and all of it otherwise.
func (r *runner) show(ctx context.Context, v view, s snapshot, p picture) {
	r.looked = r.env.Now()
	r.tell(s, r.env.Terminal.Err)
	if r.env.Terminal.Err {
		t := tree{snapshot: s, criteria: r.criteria(), now: r.looked, tail: func(i instance, over bool) []string { return r.tails.get(ctx, i, over) }}
		p.lines = t.lines(p)
	}
	v.show(p, r.looked)
}

// lookAnew is how old the state that is shown may be: some states are judged by how long they last.
const lookAnew = time.Second

// rest returns when there may be something new to see, or the state is to be judged anew. Until then it
// keeps the view moving, which takes no look at the state.
func (r *runner) rest(ctx context.Context, p picture, ticker clock.Ticker, v view) {
	if !r.env.Terminal.Err {
		r.pause(ctx, p.wait, ticker.C())
		return
	}
	for {
		changed := r.pause(ctx, p.wait, ticker.C())
		now := r.env.Now()
		if changed || ctx.Err() != nil || p.wait > 0 || now.Sub(r.looked) >= lookAnew {
			return
		}
		v.tick(now)
	}
}

// pause returns after a change, a tick, or the time in which containers settle. Of changes it takes note
// at most ten times a second where a terminal shows them. It reports whether there was one.
func (r *runner) pause(ctx context.Context, settle time.Duration, tick <-chan time.Time) bool {
	var settled <-chan time.Time
	if settle > 0 {
		t := r.env.Clock.NewTimer(settle)
		defer t.Stop()
		settled = t.C()
	}
	changed := (<-chan struct{})(r.mirror.changed)
	if r.env.Terminal.Err && r.env.Now().Sub(r.looked) < liveInterval {
		changed = nil
	}
	select {
	case <-ctx.Done():
	case <-changed:
		return true
	case <-tick:
		select {
		case <-r.mirror.changed:
			return true
		default:
		}
	case <-settled:
	}
	return false
}

// snapshot is the mirror's, with the failures of jobs that it has seen on the way.
func (r *runner) snapshot(ctx context.Context) (snapshot, error) {
	s, broken := r.mirror.snapshot()
	s.incidents = r.incidents.snapshot()
	for i, w := range s.workloads {
		// The mirror may be a little behind: what it has of before this run's change counts for nothing.
		if w.value != nil && w.value.GetGeneration() < r.generations[w.value.GetUID()] {
			s.workloads[i].value = nil
		}
	}
	for _, w := range s.workloads {
		if w.kind() != "Job" {
			continue
		}
		r.catchUp(ctx, &s, w)
		for _, p := range s.podsOf(w) {
			r.ended.Note(ctx, p)
		}
	}
	s.ended = r.ended.Last()
	return s, broken
}

// catchUp asks for the pods of a job that has failed and of which no pod is known to have: jobs and pods
// are watched apart, and the news of the one may come before that of the other.
func (r *runner) catchUp(ctx context.Context, s *snapshot, w workload) {
	j := &batchv1.Job{}
	if w.value == nil || client.Into(w.value, j) != nil || diagnosis.JobFailed(j) == "" {
		return
	}
	if last, _ := diagnosis.LastFailed(s.podsOf(w)); last != nil {
		return
	}
	if _, known := r.ended.Last()[j.UID]; known {
		return
	}
	all, err := pods.Finder{Client: r.client}.All(ctx, resource.Object{Ref: w.Ref, Value: w.value})
	if err != nil {
		return // the job's own reason is told all the same
	}
	for i := range all {
		p := &all[i]
		s.pods = append(slices.DeleteFunc(s.pods, func(old *corev1.Pod) bool { return old.UID == p.UID }), p)
	}
}

// timedOut names what was not up in time, and why a pod was not ready.
func (r *runner) timedOut(ctx context.Context, s snapshot, p picture, broken error) error {
	var late []string
	for _, l := range p.lines {
		if l.phase == pending {
			late = append(late, l.name+" ("+l.text+")")
		}
	}
	text := fmt.Sprintf("error: timed out after %s waiting for %s\n", r.timeout, strings.Join(late, ", "))
	if broken != nil {
		text += fmt.Sprintf("  the server could last not be asked: %v\n", broken)
	}
	for _, w := range s.workloads {
		for _, pod := range s.podsOf(w) {
			if podfacts.Ready(pod) || podfacts.Terminal(pod) {
				continue
			}
			if why := diagnosis.Details(ctx, r.client, diagnosis.Failure{What: "pod/" + pod.Name, Pod: pod}, r.env.Now()); why != "" {
				return command.Verbatim{Message: text + why + r.nodes(ctx)}
			}
		}
	}
	return command.Verbatim{Message: text + r.nodes(ctx)}
}

// nodes is a line that says why no node is ready, if none is: that is then the cause of whatever
// else went wrong.
func (r *runner) nodes(ctx context.Context) string {
	if why, err := node.Trouble(ctx, r.client); err == nil && why != "" {
		return "  " + why + "\n"
	}
	return ""
}

// untilDone follows the logs until everything has ended or ctx does. A failure now fails the run
// once everything has ended.
func (r *runner) untilDone(ctx context.Context) error {
	f := r.logs
	if r.env.Terminal.Err {
		fmt.Fprintln(r.env.Err, r.interruptHint())
	}
	for {
		s, _ := r.snapshot(ctx)
		waits := r.tell(s, false)
		if !r.noLogs {
			for _, w := range s.workloads {
				f.update(ctx, s.podsOf(w))
			}
		}
		if decided := r.judgeEnd(s); decided != nil {
			return r.conclude(ctx, s, decided)
		}
		if p := look(s, r.env.Now(), criteria{complete: true}); p.done {
			f.drain()
			if p.failure != nil {
				return command.Verbatim{Message: diagnosis.Explain(ctx, r.client, *p.failure, r.env.Now())}
			}
			return nil
		}
		if err := r.untilNews(ctx, waits); err != nil {
			return err
		}
	}
}

// untilNews returns after a change, or once a death has waited for its cause for long enough.
func (r *runner) untilNews(ctx context.Context, waits bool) error {
	var patience <-chan time.Time
	if waits {
		t := r.env.Clock.NewTimer(causePatience)
		defer t.Stop()
		patience = t.C()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-r.mirror.changed:
	case <-patience:
	}
	return nil
}

// interruptHint says what Ctrl-C does.
func (r *runner) interruptHint() string {
	if r.remove {
		return "Ctrl-C deletes what was started."
	}
	return "Ctrl-C stops what was started, and deletes nothing."
}

package diagnosis

import (
	"context"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/cli/client"
	"skiff/cli/events"
	"skiff/cli/logs"
)

// tailLines is how many lines of a failed container's log are shown.
const tailLines = 5

// Explain says why something cannot come up: what and why, the last warning about it, the end of its
// log, what comes next and what to do. It is several lines, each with its end.
func Explain(ctx context.Context, c *client.Client, f Failure, now time.Time) string {
	verb := " cannot come up: "
	if strings.HasPrefix(f.What, "job/") {
		verb = " failed: "
	}
	return "error: " + f.What + verb + f.Why + "\n" + Details(ctx, c, f, now)
}

// Details are the lines of Explain below the first. They are in the words of skiff why.
func Details(ctx context.Context, c *client.Client, f Failure, now time.Time) string {
	if f.Pod == nil && f.Namespace == "" {
		return ""
	}
	text, known := "", f.Why
	say := func(label string, lines []string) {
		for _, l := range lines {
			if _, reason, ok := strings.Cut(l, ": "); l != "" && !strings.Contains(known, l) && (!ok || label == "do: " || !strings.Contains(known, reason)) {
				known += "\n" + l
				text += "  " + label + l + "\n"
			}
		}
	}
	if f.Pod != nil {
		say("event: ", []string{Warning(ctx, c, f.Pod)})
	}
	r := report(ctx, c, f, now)
	say("cause: ", r.Causes)
	log := f.Log
	if log == "" {
		log = Tail(ctx, c, f)
	}
	for _, l := range strings.Split(strings.TrimSpace(log), "\n") {
		if l != "" {
			text += "  " + f.Container + " | " + l + "\n"
		}
	}
	say("next: ", r.Next)
	say("do: ", r.Do)
	return text
}

// report is what skiff why says of a failure; nothing when the server can not be asked.
func report(ctx context.Context, c *client.Client, f Failure, now time.Time) Report {
	namespace := f.Namespace
	if f.Pod != nil {
		namespace = f.Pod.Namespace
	}
	s, err := Load(ctx, c, namespace, now)
	if err != nil {
		return Report{}
	}
	if f.Pod != nil {
		return s.Pod(f.Pod)
	}
	r, _ := s.named(f.What)
	for _, below := range r.Below {
		r.Causes, r.Next, r.Do = slices.Concat(r.Causes, []string{below.Object + " " + below.State}, below.Causes), slices.Concat(r.Next, below.Next), slices.Concat(r.Do, below.Do)
	}
	return r
}

// Tail is the end of the failed container's log, empty when there is none. The container may have
// been restarted since the failure was seen; its log is then the previous one.
func Tail(ctx context.Context, c *client.Client, f Failure) string {
	if f.Container == "" {
		return ""
	}
	s := logs.Source{Namespace: f.Pod.Namespace, Pod: f.Pod.Name, Container: f.Container}
	if text := logs.Tail(ctx, c, s, tailLines, f.Previous); text != "" || f.Previous {
		return text
	}
	return logs.Tail(ctx, c, s, tailLines, true)
}

// Warning returns the newest warning about a pod as "REASON: MESSAGE", or "" when there is none or
// it cannot be read.
func Warning(ctx context.Context, c *client.Client, p *corev1.Pod) string {
	catalog, err := c.Catalog()
	if err != nil {
		return ""
	}
	m, err := catalog.Kind(corev1.SchemeGroupVersion.WithKind("Event"))
	if err != nil {
		return ""
	}
	all, err := client.ListOf[corev1.Event](ctx, c, client.Ref{Mapping: m, Namespace: p.Namespace},
		client.ListOptions{Fields: "involvedObject.name=" + p.Name + ",involvedObject.uid=" + string(p.UID) + ",type=Warning"})
	if err != nil || len(all) == 0 {
		return ""
	}
	last := newest(all)
	return Reason(last.Reason, last.Message)
}

// backOff is the reason of the warning that a container is not restarted yet. It comes after the
// one that says why it has ended.
const backOff = "BackOff"

// newest is the newest of some warnings, a back-off only when there is nothing else.
func newest(all []corev1.Event) corev1.Event {
	return slices.MaxFunc(all, func(a, b corev1.Event) int {
		if (a.Reason == backOff) != (b.Reason == backOff) {
			if a.Reason == backOff {
				return -1
			}
			return 1
		}
		return events.Last(&a).Compare(events.Last(&b))
	})
}

// Read reads the last lines of a log.
func (l *Log) Read(ctx context.Context, c *client.Client, namespace string, lines int) {
	source := logs.Source{Namespace: namespace, Pod: l.Pod, Container: l.Container}
	text := logs.Tail(ctx, c, source, int64(lines), l.Previous)
	if text == "" && !l.Previous { // it may have been restarted since
		text = logs.Tail(ctx, c, source, int64(lines), true)
	}
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		if line != "" {
			l.Lines = append(l.Lines, line)
		}
	}
}

package up

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/cli/command"
	"skiff/cli/diagnosis"
	"skiff/cli/logs"
	"skiff/cli/pods"
	"skiff/manifests/podfacts"
)

// The tree at a terminal shows what a person looks for: a workload that is well is one line, pods in the
// same state are counted, and whatever is wrong is shown with its containers, the newest warning and the
// end of the log.

const (
	// fewPods is how many pods in one state are shown one by one.
	fewPods = 3
	// mostTroubled is how many pods of a workload are shown with what is wrong with them.
	mostTroubled = 5
	// deathShown is how long a death is shown of a container that runs again.
	deathShown = 10 * time.Second
	// hangs is how long an init container may run until its log is shown.
	hangs = 5 * time.Second
	// tailShown is how many lines of a log are shown.
	tailShown = 3
)

// branch is a workload with its line, and its pods with theirs.
type branch struct {
	workload
	line   line
	leaves []leaf
}

// leaf is a pod with its line.
type leaf struct {
	pod  *corev1.Pod
	line line
}

// tree is what is shown at a terminal.
type tree struct {
	snapshot
	criteria
	now time.Time
	// tail returns the end of a log, as far as it is known.
	tail func(instance, bool) []string
}

// lines are those of all workloads.
func (t tree) lines(p picture) []line {
	var out []line
	for _, b := range p.branches {
		if n := restarts(b); b.line.phase == ready && n > 0 && b.kind() != "Pod" {
			b.line.text += fmt.Sprintf(" (%s)", command.Counted(n, "restart", "restarts"))
		}
		if b.kind() == "Pod" {
			out = append(out, b.line)
			if len(b.leaves) > 0 && t.troubled(b.leaves[0]) {
				out = append(out, t.details(b.leaves[0].pod, 1)...)
			}
			continue
		}
		out = append(append(out, b.line), t.podLines(b)...)
	}
	return out
}

func restarts(b branch) int {
	n := 0
	for _, l := range b.leaves {
		n += int(pods.Restarts(l.pod))
	}
	return n
}

// podLines are those of a workload's pods: first what is wrong, then how many are in which state.
func (t tree) podLines(b branch) []line {
	var troubled, calm []leaf
	for _, l := range b.leaves {
		switch {
		case t.troubled(l):
			troubled = append(troubled, l)
		case l.line.phase != ready && l.line.phase != finished && b.line.phase != ready:
			calm = append(calm, l)
		}
	}
	var out []line
	for i, l := range troubled {
		if i == mostTroubled {
			out = append(out, grouped(troubled[i:])...)
			break
		}
		out = append(append(out, l.line), t.details(l.pod, 2)...)
	}
	return append(out, grouped(calm)...)
}

// grouped are lines that count the pods in each state, or show them where they are few.
func grouped(all []leaf) []line {
	byText := map[string][]leaf{}
	var order []string
	for _, l := range all {
		if byText[l.line.text] == nil {
			order = append(order, l.line.text)
		}
		byText[l.line.text] = append(byText[l.line.text], l)
	}
	var out []line
	for _, text := range order {
		same := byText[text]
		if len(same) <= fewPods {
			for _, l := range same {
				out = append(out, l.line)
			}
			continue
		}
		out = append(out, line{name: fmt.Sprintf("%d pods", len(same)), text: text, phase: same[0].line.phase, depth: 1})
	}
	return out
}

// troubled reports whether there is more to say of a pod than its state.
func (t tree) troubled(l leaf) bool {
	if l.pod.DeletionTimestamp != nil {
		return false
	}
	if l.line.phase == failed || len(t.deaths(l.pod)) > 0 {
		return true
	}
	return slices.ContainsFunc(l.pod.Status.InitContainerStatuses, func(s corev1.ContainerStatus) bool {
		return t.hanging(l.pod, &s)
	})
}

// deaths are those of a pod's containers that are worth a line: of a pod that is not ready all, of another
// one those of a moment ago.
func (t tree) deaths(p *corev1.Pod) []ending {
	return slices.DeleteFunc(t.snapshot.since(t.criteria.since), func(e ending) bool {
		return e.pod.UID != p.UID || !e.isDeath() || podfacts.Ready(p) && t.now.Sub(e.seen) >= deathShown
	})
}

// hanging reports whether an init container has run for so long that its log may say why.
func (t tree) hanging(p *corev1.Pod, s *corev1.ContainerStatus) bool {
	if s.State.Running == nil || podfacts.HasSidecar(p, s.Name) {
		return false
	}
	seen, ok := t.running[instanceOf(p, s)]
	return ok && t.now.Sub(seen.at) >= hangs
}

// details are the containers of a pod that are not well, the newest warning and the end of a log.
func (t tree) details(p *corev1.Pod, depth int) []line {
	var out []line
	deaths := t.deaths(p)
	for _, s := range diagnosis.Statuses(p) {
		last := lastOf(deaths, s.Name)
		if last == nil && !waitsInVain(&s) && !t.hanging(p, &s) {
			continue
		}
		out = append(out, t.containerLine(p, &s, last, depth))
		for _, text := range t.log(p, &s, last) {
			out = append(out, line{name: "│ " + text, depth: depth, note: true})
		}
	}
	if warning := t.warning(p, out); warning != "" {
		out = append(out, line{name: "! " + warning, depth: depth, note: true})
	}
	return out
}

// warning is the newest one about a pod that is not ready, unless it says no more than the lines above it.
func (t tree) warning(p *corev1.Pod, above []line) string {
	w := t.incidents.warnings[p.UID]
	dead := slices.ContainsFunc(above, func(l line) bool { return l.phase == failed })
	said := slices.ContainsFunc(above, func(l line) bool { return strings.Contains(l.text, lowered(w.text)) })
	if podfacts.Ready(p) || said || dead && w.reason == backOff {
		return ""
	}
	return diagnosis.Reason(w.reason, w.text)
}

// waitsInVain reports whether a container waits for something else than its turn.
func waitsInVain(s *corev1.ContainerStatus) bool {
	return s.State.Waiting != nil && !slices.Contains([]string{"PodInitializing", "ContainerCreating"}, s.State.Waiting.Reason)
}

func lastOf(deaths []ending, container string) *ending {
	for _, e := range slices.Backward(deaths) {
		if e.container == container {
			return &e
		}
	}
	return nil
}

// containerLine says what a container is at, and how it ended last.
func (t tree) containerLine(p *corev1.Pod, s *corev1.ContainerStatus, last *ending, depth int) line {
	l := line{name: s.Name, depth: depth}
	if slices.ContainsFunc(p.Status.InitContainerStatuses, func(i corev1.ContainerStatus) bool { return i.Name == s.Name }) {
		l.name = "init " + s.Name
	}
	l.id = p.Name + "/" + l.name
	var says []string
	switch {
	case last != nil:
		l.phase = failed
		says = append(says, last.brief(t.causeOf(last)))
	case s.State.Running != nil:
		says = append(says, "running")
		l.began = t.running[instanceOf(p, s)].at
	case s.State.Waiting != nil:
		says = append(says, diagnosis.Reason(s.State.Waiting.Reason, s.State.Waiting.Message))
	}
	if last != nil && s.State.Running != nil {
		says = append(says, "runs again")
		l.phase = pending
	}
	if n := int(s.RestartCount); n > 0 && pods.Restarts(p) != s.RestartCount {
		says = append(says, command.Counted(n, "restart", "restarts")) // otherwise the pod's line says it
	}
	l.text = strings.Join(says, ", ")
	return l
}

// log is the end of a container's log that may say why it ended, or what it waits for.
func (t tree) log(p *corev1.Pod, s *corev1.ContainerStatus, last *ending) []string {
	if t.tail == nil || podfacts.Ready(p) {
		return nil
	}
	i := instanceOf(p, s)
	switch {
	case last != nil && last.ContainerID != i.id:
		i = instance{source: logs.Source{Namespace: p.Namespace, Pod: p.Name, Container: s.Name}, id: last.ContainerID}
		return t.tail(i, true)
	case last != nil, t.hanging(p, s):
		return t.tail(i, false)
	}
	return nil
}

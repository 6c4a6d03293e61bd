package node

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/docker"
	"skiff/probe"
)

// run plans for a pod that shall run.
func (p *planner) run() {
	p.busyStarting = p.starting()
	if !p.sandboxReady() {
		return
	}
	p.ephemeral()
	switch p.initialize() {
	case initFailed:
		p.end("an init container failed")
		return
	case initDone:
		if !p.regular() {
			// Sidecars end with the others, rather than keep the pod alive.
			p.starts, p.others, p.waits = nil, nil, nil
			p.end("every container has ended")
			return
		}
	}
	p.superseded()
	p.rewrite()
	p.deadline()
	p.prune()
}

// sandboxReady sees to the pause container, and tells whether containers can join it.
func (p *planner) sandboxReady() bool {
	if !p.needsSandbox() {
		return true
	}
	sandbox := p.latest(sandboxName)
	switch {
	case p.busy(sandboxName):
		return false
	case sandbox.running():
		return true
	case sandbox == nil:
		p.startSandbox(nil, "new pod")
		return false
	case sandbox.neverStarted():
		if p.usable(sandbox) {
			p.startSandbox(sandbox, "it was created but never started")
		}
		return false
	}
	p.sandboxDied(sandbox)
	return false
}

// sandboxDied ends what ran in a sandbox that is no more, for it has lost its network, and begins again with a new one,
// unless the pod is one that runs once.
func (p *planner) sandboxDied(sandbox *attempt) {
	p.cancelStarts("the pod's sandbox died")
	live := p.live()
	for _, a := range live {
		p.kill(a, p.grace(), step{cause: "the pod's sandbox died", stopped: "was stopped with its sandbox"})
	}
	if len(live) > 0 || len(p.works) > 0 {
		return
	}
	if p.ranOnce() {
		p.end("the sandbox died and no container runs again")
		return
	}
	p.startSandbox(sandbox, "the one before "+ending(sandbox))
}

// ranOnce tells whether the pod's containers have run and will not run again.
func (p *planner) ranOnce() bool {
	spec := &p.pod.Spec
	if spec.RestartPolicy == corev1.RestartPolicyNever {
		return p.anyContainer(spec.Containers, func(a *attempt) bool { return a != nil }) ||
			p.anyContainer(spec.InitContainers, func(a *attempt) bool { return a != nil && failed(a) })
	}
	for i := range spec.Containers {
		c := &spec.Containers[i]
		if a := p.latest(c.Name); a == nil || p.restarts(c, a) {
			return false
		}
	}
	return true
}

func (v *view) anyContainer(list []corev1.Container, is func(*attempt) bool) bool {
	for i := range list {
		if is(v.latest(list[i].Name)) {
			return true
		}
	}
	return false
}

func (p *planner) startSandbox(previous *attempt, cause string) {
	if f, ok := p.failures[sandboxName]; ok && f.until.After(p.now) {
		p.waitUntil(f.until, "the sandbox could not be started: "+f.message)
		return
	}
	s := step{do: doStartSandbox, container: sandboxName, attempt: p.next(sandboxName), cause: cause}
	if previous.neverStarted() {
		s.existing, s.id, s.attempt = true, previous.ID, previous.number
	}
	p.starts = append(p.starts, s)
	p.busyStarting = true
}

// ephemeral starts ephemeral containers, once.
func (p *planner) ephemeral() {
	for i := range p.pod.Spec.EphemeralContainers {
		c := (*corev1.Container)(&p.pod.Spec.EphemeralContainers[i].EphemeralContainerCommon)
		a := p.latest(c.Name)
		if a != nil && (!a.neverStarted() || !p.usable(a)) {
			continue
		}
		// It joins the network of the pod's one container, which must run.
		if !p.needsSandbox() && !p.pod.Spec.HostNetwork && !p.latest(p.pod.Spec.Containers[0].Name).running() {
			continue
		}
		p.start(c, a, "ephemeral container added")
	}
}

type initProgress int

const (
	initDone initProgress = iota
	initUnderWay
	initFailed
)

// initialize runs init containers one after another and keeps sidecars running. What is behind an init container waits
// until it has succeeded; behind a sidecar, until that has started.
func (p *planner) initialize() initProgress {
	done := p.initialized()
	for i := range p.pod.Spec.InitContainers {
		c := &p.pod.Spec.InitContainers[i]
		if isSidecar(c) {
			p.keepRunning(c)
			if !done && !p.sidecarUp(c) {
				return initUnderWay
			}
			continue
		}
		if done {
			continue
		}
		if progress := p.initContainer(c); progress != initDone {
			return progress
		}
	}
	return initDone
}

func (p *planner) sidecarUp(c *corev1.Container) bool {
	return p.current(c.Name).running() && !p.busy(c.Name) && p.started(c)
}

func (p *planner) initContainer(c *corev1.Container) initProgress {
	a := p.current(c.Name)
	if !p.busy(c.Name) && a.ended() {
		if !failed(a) {
			return initDone
		}
		if !p.restarts(c, a) {
			return initFailed
		}
	}
	p.keepRunning(c)
	return initUnderWay
}

// failed tells whether a run ended badly.
func failed(a *attempt) bool { return a.exitCode() != 0 || a.OOMKilled }

// regular keeps the regular containers running, and tells whether any runs or will run.
func (p *planner) regular() bool {
	alive := false
	for i := range p.pod.Spec.Containers {
		if p.keepRunning(&p.pod.Spec.Containers[i]) {
			alive = true
		}
	}
	return alive
}

// keepRunning sees to one container, and tells whether it runs or will run.
func (p *planner) keepRunning(c *corev1.Container) bool {
	if p.busy(c.Name) && !p.doing(c.Name, taskRemove) {
		return true
	}
	a := p.current(c.Name)
	switch {
	case a == nil:
		p.restart(c, nil, p.firstCause(c))
	case a.neverStarted():
		if p.usable(a) {
			p.restart(c, a, "it was created but never started")
		}
	case a.running():
		p.check(c, a)
	case p.restarts(c, a):
		p.restart(c, a, ending(a))
	default:
		return false
	}
	return true
}

// usable tells whether a container that has been created can be started. One that an earlier daemon has left is removed
// instead: the address it was created with may be somebody else's by now.
func (p *planner) usable(a *attempt) bool {
	if a.adopted {
		p.remove(a, "an earlier daemon left it, created but not started")
	}
	return !a.adopted
}

// firstCause says why a container that has not run in this sandbox shall run.
func (p *planner) firstCause(c *corev1.Container) string {
	switch {
	case p.latest(c.Name) != nil:
		return "the pod has a new sandbox"
	case p.isInit(c.Name) && !p.initialized() && c.Name != p.pod.Spec.InitContainers[0].Name:
		return "the init container before it is done"
	case !p.isInit(c.Name) && len(p.pod.Spec.InitContainers) > 0:
		return "the pod is initialized"
	}
	return "new pod"
}

// ending says how a run ended.
func ending(a *attempt) string {
	switch {
	case a.stopped != "":
		return a.stopped
	case a.failedToStart():
		return "could not be started"
	case a.OOMKilled:
		return "OOMKilled"
	case a.removed && a.reason == "" && a.State != docker.Exited:
		return "was removed from the engine"
	}
	return fmt.Sprintf("exited %d", a.exitCode())
}

// check looks at a running container, and kills it if it must not run on.
func (p *planner) check(c *corev1.Container, a *attempt) {
	grace := p.grace()
	if a.hash != specHash(c) {
		const cause = "definition changed"
		message := fmt.Sprintf("Container %s definition changed, will be restarted", c.Name)
		p.kill(a, grace, step{cause: cause, stopped: cause, message: message})
		return
	}
	kind, bad := p.verdicts[c.Name].Failed()
	if !bad {
		return
	}
	said, asked := "liveness probe failed", c.LivenessProbe
	if kind == probe.Startup {
		said, asked = "startup probe failed", c.StartupProbe
	}
	if asked != nil && asked.TerminationGracePeriodSeconds != nil {
		grace = seconds(*asked.TerminationGracePeriodSeconds)
	}
	p.kill(a, grace, step{cause: said, stopped: said, message: p.probeMessage(c, kind)})
}

// probeMessage is the event of a kill after a failed probe.
func (p *planner) probeMessage(c *corev1.Container, kind probe.Kind) string {
	failed := map[probe.Kind]string{probe.Liveness: "failed liveness probe", probe.Startup: "failed startup probe"}[kind]
	switch {
	case p.isInit(c.Name):
		return fmt.Sprintf("Init container %s %s", c.Name, failed)
	case shouldRestart(&p.pod.Spec, c, exitKilled):
		return fmt.Sprintf("Container %s %s, will be restarted", c.Name, failed)
	}
	return fmt.Sprintf("Container %s %s", c.Name, failed)
}

// restart starts a container, once its crash back-off is over.
func (p *planner) restart(c *corev1.Container, previous *attempt, cause string) {
	if until := p.crashedUntil(c.Name); !until.IsZero() && !previous.neverStarted() {
		p.waits = append(p.waits, step{
			do: doWait, wait: until.Sub(p.now), container: c.Name, attempt: previous.numberOr(-1),
			cause:  "back-off restarting failed container " + c.Name,
			events: []event{{corev1.EventTypeWarning, "BackOff", fmt.Sprintf("Back-off restarting failed container %s in pod %s", c.Name, podText(p.pod))}},
		})
		return
	}
	p.start(c, previous, cause)
}

// start starts a container when nothing stands in its way: a recent failure, a missing image, another one's start.
func (p *planner) start(c *corev1.Container, previous *attempt, cause string) {
	if p.busy(c.Name) {
		return
	}
	if f := p.failure(c); f != nil && f.until.After(p.now) {
		p.waitUntil(f.until, fmt.Sprintf("container %s: %s", c.Name, f.reason))
		return
	}
	if p.busyStarting || !p.imageReady(c, previous) {
		return
	}
	s := step{do: doStart, container: c.Name, attempt: p.next(c.Name), cause: cause}
	if previous.neverStarted() {
		s.existing, s.id, s.attempt = true, previous.ID, previous.number
	}
	p.starts = append(p.starts, s)
	p.busyStarting = true
}

// superseded kills runs that are not a container's newest: someone started them by hand.
func (p *planner) superseded() {
	for _, a := range p.live() {
		if newest := p.latest(a.nameOf()); a.number < newest.number {
			p.kill(a, p.grace(), step{cause: fmt.Sprintf("attempt %d has taken its place", newest.number), stopped: "was superseded"})
		}
	}
}

// rewrite brings the pod's volumes up to date.
func (p *planner) rewrite() {
	for _, what := range p.stale {
		p.others = append(p.others, step{do: doRewrite, cause: what + " changed"})
	}
}

// deadline wakes the pod when its activeDeadlineSeconds are over.
func (p *planner) deadline() {
	if t := p.activeUntil(); !t.IsZero() {
		p.waitUntil(t, "activeDeadlineSeconds")
	}
}

// activeUntil is when the pod's time is over, zero for never.
func (v *view) activeUntil() time.Time {
	if v.pod.Spec.ActiveDeadlineSeconds == nil || v.pod.Status.StartTime == nil {
		return time.Time{}
	}
	return v.pod.Status.StartTime.Add(seconds(*v.pod.Spec.ActiveDeadlineSeconds))
}

func (v *view) pastDeadline() bool {
	t := v.activeUntil()
	return !t.IsZero() && !t.After(v.now)
}

// prune removes runs that nobody will ask about: of each container the newest and the one before are kept, for its log
// and its last state. It waits until the newest runs, so as not to take the engine's time from its start.
func (p *planner) prune() {
	for _, name := range p.names() {
		runs := p.attempts[name]
		if len(runs) < 3 && name != sandboxName || runs[0].neverStarted() {
			continue
		}
		keep := 2
		if name == sandboxName {
			keep = 1
		}
		for _, a := range runs[min(keep, len(runs)):] {
			if !a.removed && !a.running() {
				p.remove(a, "later attempts have taken its place")
			}
		}
	}
}

// grace is the pod's own grace period.
func (v *view) grace() time.Duration {
	if g := v.pod.Spec.TerminationGracePeriodSeconds; g != nil {
		return seconds(*g)
	}
	return seconds(corev1.DefaultTerminationGracePeriodSeconds)
}

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }

package pod

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/docker"
	"skiff/manifests/podfacts"
	"skiff/probe"
)

// maintain plans for a pod that is to run.
func (p *planner) maintain() {
	p.busyStarting = p.starting()
	if !p.sandboxReady() {
		return
	}
	p.ephemeral()
	if p.endRound() {
		return
	}
	switch p.initialize() {
	case initFailed:
		p.end("an init container failed")
		return
	case initDone:
		if !p.regular() {
			// Sidecars end with the others. They do not keep the pod alive.
			p.starts, p.others, p.waits = nil, nil, nil
			p.end("every container has ended")
			return
		}
	}
	p.superseded()
	p.rewrite()
	p.deferred()
	p.deadline()
	p.prune()
}

// sandboxReady plans for the pause container, and reports whether containers can join it.
func (p *planner) sandboxReady() bool {
	if !p.NeedsSandbox() {
		return true
	}
	sandbox := p.Latest(SandboxName)
	switch {
	case p.busy(SandboxName):
		return false
	case sandbox.Running():
		return true
	case sandbox == nil:
		p.startSandbox(nil, "new pod")
		return false
	case sandbox.NeverStarted():
		if p.usable(sandbox) {
			p.startSandbox(sandbox, "it was created but never started")
		}
		return false
	}
	p.sandboxDied(sandbox)
	return false
}

// sandboxDied ends what ran in a sandbox that has died, because its network is gone, and starts a
// new sandbox unless the pod is one that runs once.
func (p *planner) sandboxDied(sandbox *Attempt) {
	p.cancelStarts("the pod's sandbox died")
	live := p.live()
	for _, a := range live {
		p.kill(a, p.Grace(), Step{cause: "the pod's sandbox died", StopCause: "was stopped with its sandbox"})
	}
	if len(live) > 0 || len(p.Operations) > 0 {
		return
	}
	if p.ranOnce() {
		p.end("the sandbox died and no container runs again")
		return
	}
	p.startSandbox(sandbox, "the one before "+ending(sandbox))
}

// ranOnce reports whether the pod's containers have run and will not run again.
func (p *planner) ranOnce() bool {
	spec := &p.Pod.Spec
	if spec.RestartPolicy == corev1.RestartPolicyNever {
		return p.anyContainer(spec.Containers, func(a *Attempt) bool { return a != nil }) ||
			p.anyContainer(spec.InitContainers, func(a *Attempt) bool { return a != nil && endedBadly(a) })
	}
	for i := range spec.Containers {
		c := &spec.Containers[i]
		if a := p.Latest(c.Name); a == nil || p.restarts(c, a) {
			return false
		}
	}
	return true
}

func (v *View) anyContainer(list []corev1.Container, is func(*Attempt) bool) bool {
	for i := range list {
		if is(v.Latest(list[i].Name)) {
			return true
		}
	}
	return false
}

func (p *planner) startSandbox(previous *Attempt, cause string) {
	if f, ok := p.StartFailures[SandboxName]; ok && f.Until.After(p.Now) {
		p.waitUntil(f.Until, "the sandbox could not be started: "+f.Message)
		return
	}
	s := Step{Do: DoStartSandbox, Container: SandboxName, Attempt: p.next(SandboxName), cause: cause}
	if previous.NeverStarted() {
		s.Existing, s.ID, s.Attempt = true, previous.ID, previous.Number
	}
	p.starts = append(p.starts, s)
	p.busyStarting = true
}

// ephemeral starts ephemeral containers, each once.
func (p *planner) ephemeral() {
	for i := range p.Pod.Spec.EphemeralContainers {
		c := (*corev1.Container)(&p.Pod.Spec.EphemeralContainers[i].EphemeralContainerCommon)
		a := p.Latest(c.Name)
		if a != nil && (!a.NeverStarted() || !p.usable(a)) {
			continue
		}
		// It joins the network of the pod's one container, which must run.
		if !p.NeedsSandbox() && !p.Pod.Spec.HostNetwork && !p.Latest(p.Pod.Spec.Containers[0].Name).Running() {
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

// initialize runs init containers one after another and keeps sidecars running. The next container
// waits until an init container has succeeded, or a sidecar has started.
func (p *planner) initialize() initProgress {
	done := p.initialized()
	for i := range p.Pod.Spec.InitContainers {
		c := &p.Pod.Spec.InitContainers[i]
		if podfacts.IsSidecar(c) {
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
	return p.current(c.Name).Running() && !p.busy(c.Name) && p.started(c)
}

func (p *planner) initContainer(c *corev1.Container) initProgress {
	a := p.current(c.Name)
	if !p.busy(c.Name) && a.Ended() {
		if !endedBadly(a) {
			return initDone
		}
		if !p.restarts(c, a) {
			return initFailed
		}
	}
	p.keepRunning(c)
	return initUnderWay
}

// regular keeps the regular containers running, and reports whether any of them runs or will run.
func (p *planner) regular() bool {
	alive := false
	for i := range p.Pod.Spec.Containers {
		if p.keepRunning(&p.Pod.Spec.Containers[i]) {
			alive = true
		}
	}
	return alive
}

// keepRunning plans for one container, and reports whether it runs or will run.
func (p *planner) keepRunning(c *corev1.Container) bool {
	if p.busy(c.Name) && !p.Doing(c.Name, TaskRemove) {
		return true
	}
	a := p.current(c.Name)
	switch {
	case a == nil:
		p.restart(c, nil, p.firstCause(c))
	case a.NeverStarted():
		if p.usable(a) {
			p.restart(c, a, "it was created but never started")
		}
	case a.Running():
		p.check(c, a)
	case p.restarts(c, a):
		p.restart(c, a, ending(a))
	default:
		return false
	}
	return true
}

// usable reports whether a created container can be started. One that an earlier daemon left is
// removed instead: the address with which it was created may be somebody else's by now.
func (p *planner) usable(a *Attempt) bool {
	if a.Adopted {
		p.remove(a, "an earlier daemon left it, created but not started")
	}
	return !a.Adopted
}

// firstCause says why a container that has not run in this sandbox is started.
func (p *planner) firstCause(c *corev1.Container) string {
	switch {
	case p.outOfRound(c.Name):
		return causeNextRound
	case p.Latest(c.Name) != nil:
		return "the pod has a new sandbox"
	case p.isInit(c.Name) && !p.initialized() && c.Name != p.Pod.Spec.InitContainers[0].Name:
		return "the init container before it is done"
	case !p.isInit(c.Name) && len(p.Pod.Spec.InitContainers) > 0:
		return "the pod is initialized"
	}
	return "new pod"
}

// ending says how an attempt ended.
func ending(a *Attempt) string {
	switch {
	case a.StopCause != "":
		return a.StopCause
	case a.failedToStart():
		return "could not be started"
	case a.OOMKilled:
		return "OOMKilled"
	case a.Removed && a.Reason == "" && a.State != docker.Exited:
		return "was removed from the engine"
	}
	return fmt.Sprintf("exited %d", a.exitCode())
}

// check kills a running container if its definition has changed or a probe has failed, and gives it
// other resources if those are allocated.
func (p *planner) check(c *corev1.Container, a *Attempt) {
	grace := p.Grace()
	if a.Hash != SpecHash(c) {
		const cause = "definition changed"
		message := fmt.Sprintf("Container %s definition changed, will be restarted", c.Name)
		p.kill(a, grace, Step{cause: cause, StopCause: cause, Message: message})
		return
	}
	kind, bad := p.Probes[c.Name].Failed()
	if !bad {
		p.resize(c, a)
		return
	}
	said, asked := "liveness probe failed", c.LivenessProbe
	if kind == probe.Startup {
		said, asked = "startup probe failed", c.StartupProbe
	}
	if asked != nil && asked.TerminationGracePeriodSeconds != nil {
		grace = seconds(*asked.TerminationGracePeriodSeconds)
	}
	p.kill(a, grace, Step{cause: said, StopCause: said, Message: p.probeMessage(c, kind)})
}

// probeMessage is the event of a kill after a failed probe.
func (p *planner) probeMessage(c *corev1.Container, kind probe.Kind) string {
	failed := map[probe.Kind]string{probe.Liveness: "failed liveness probe", probe.Startup: "failed startup probe"}[kind]
	switch {
	case p.isInit(c.Name):
		return fmt.Sprintf("Init container %s %s", c.Name, failed)
	case shouldRestart(&p.Pod.Spec, c, ExitKilled):
		return fmt.Sprintf("Container %s %s, will be restarted", c.Name, failed)
	}
	return fmt.Sprintf("Container %s %s", c.Name, failed)
}

// restart starts a container, once its crash back-off is over.
func (p *planner) restart(c *corev1.Container, previous *Attempt, cause string) {
	if until := p.crashedUntil(c.Name); !until.IsZero() && !previous.NeverStarted() {
		p.waits = append(p.waits, Step{
			Do: DoWait, wait: until.Sub(p.Now), Container: c.Name, Attempt: previous.numberOr(-1),
			cause:  "back-off restarting failed container " + c.Name,
			Events: []Event{{corev1.EventTypeWarning, "BackOff", fmt.Sprintf("Back-off restarting failed container %s in pod %s", c.Name, Format(p.Pod))}},
		})
		return
	}
	p.start(c, previous, cause)
}

// start starts a container unless its last start has just failed, its image is missing, or another
// container is being started.
func (p *planner) start(c *corev1.Container, previous *Attempt, cause string) {
	if p.busy(c.Name) {
		return
	}
	if !p.limitTaken(c) {
		return
	}
	if f := p.startFailure(c); f != nil && f.Until.After(p.Now) {
		p.waitUntil(f.Until, fmt.Sprintf("container %s: %s", c.Name, f.Reason))
		return
	}
	if p.busyStarting || !p.imagesReady(c, previous) {
		return
	}
	s := Step{Do: DoStart, Container: c.Name, Attempt: p.next(c.Name), cause: cause}
	if previous.NeverStarted() {
		s.Existing, s.ID, s.Attempt = true, previous.ID, previous.Number
	}
	p.starts = append(p.starts, s)
	p.busyStarting = true
}

// superseded kills attempts that are not a container's newest: somebody started them by hand.
func (p *planner) superseded() {
	for _, a := range p.live() {
		if newest := p.Latest(a.ContainerName()); a.Number < newest.Number {
			p.kill(a, p.Grace(), Step{cause: fmt.Sprintf("attempt %d has taken its place", newest.Number), StopCause: "was superseded"})
		}
	}
}

// rewrite brings the pod's volumes up to date.
func (p *planner) rewrite() {
	for _, what := range p.Stale {
		p.others = append(p.others, Step{Do: DoRewrite, cause: what + " changed"})
	}
}

// deadline requeues the pod when its activeDeadlineSeconds are over.
func (p *planner) deadline() {
	if t := p.activeUntil(); !t.IsZero() {
		p.waitUntil(t, "activeDeadlineSeconds")
	}
}

// activeUntil is when the pod exceeds its deadline, zero for never.
func (v *View) activeUntil() time.Time {
	if v.Pod.Spec.ActiveDeadlineSeconds == nil || v.Pod.Status.StartTime == nil {
		return time.Time{}
	}
	return v.Pod.Status.StartTime.Add(seconds(*v.Pod.Spec.ActiveDeadlineSeconds))
}

// PastDeadline reports whether the pod has exceeded its activeDeadlineSeconds.
func (v *View) PastDeadline() bool {
	t := v.activeUntil()
	return !t.IsZero() && !t.After(v.Now)
}

// prune removes old attempts. The newest of each container and the one before are kept, for the log
// and the last state. It waits until the newest runs: removals would slow down its start.
func (p *planner) prune() {
	for _, name := range p.names() {
		runs := p.Attempts[name]
		if len(runs) < 3 && name != SandboxName || runs[0].NeverStarted() {
			continue
		}
		keep := 2
		if name == SandboxName {
			keep = 1
		}
		for _, a := range runs[min(keep, len(runs)):] {
			if !a.Removed && !a.Running() {
				p.remove(a, "later attempts have taken its place")
			}
		}
	}
}

// Grace is the pod's own grace period.
func (v *View) Grace() time.Duration {
	if g := v.Pod.Spec.TerminationGracePeriodSeconds; g != nil {
		return seconds(*g)
	}
	return seconds(corev1.DefaultTerminationGracePeriodSeconds)
}

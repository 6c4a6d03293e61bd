package pod

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// A container may have a rule by which its end restarts all containers of the pod, init containers
// included (restartPolicyRules with RestartAllContainers, KEP-5532). The containers that run
// between two such restarts are a round. A container's round is in its labels, so that a start that
// was under way when the next round began is told from one that belongs to it.

// RestartsAll reports whether a pod has a container whose end may restart all of them.
func RestartsAll(spec *corev1.PodSpec) bool {
	return slices.ContainsFunc(append(containersOf(spec.InitContainers), containersOf(spec.Containers)...), func(c *corev1.Container) bool {
		return slices.ContainsFunc(c.RestartPolicyRules, func(r corev1.ContainerRestartRule) bool {
			return r.Action == corev1.ContainerRestartRuleActionRestartAllContainers
		})
	})
}

// Round is the number of the pod's present round, from 0: that of its newest containers, or the
// next one if the end of one of those begins it.
func (v *View) Round() int {
	if v.Pod == nil || !RestartsAll(&v.Pod.Spec) {
		return 0
	}
	round := v.Attempts.round()
	for _, c := range append(containersOf(v.Pod.Spec.InitContainers), containersOf(v.Pod.Spec.Containers)...) {
		for _, a := range v.Attempts[c.Name] {
			if a.Round == round && a.Ended() && a.StopCause != causeNextRound && matchingAction(c, a.exitCode()) == corev1.ContainerRestartRuleActionRestartAllContainers {
				return round + 1
			}
		}
	}
	return round
}

// round is the newest round of which there is an attempt.
func (all Attempts) round() int {
	round := 0
	for _, attempts := range all {
		for _, a := range attempts {
			round = max(round, a.Round)
		}
	}
	return round
}

// outOfRound reports whether a container has not run since the present round began. Ephemeral
// containers are not restarted.
func (v *View) outOfRound(name string) bool {
	a := v.Latest(name)
	return a != nil && name != SandboxName && a.Round < v.Round() && !v.IsEphemeral(name)
}

// causeNextRound is why containers are stopped when all are restarted.
const causeNextRound = "all containers of the pod are restarted"

// endRound kills what still runs of the rounds before, and reports whether anything does. As with
// kubelet, there is no grace period.
func (p *planner) endRound() bool {
	var old []*Attempt
	round := p.Round()
	for _, a := range p.live() {
		if name := a.ContainerName(); a.Round < round && name != SandboxName && !p.IsEphemeral(name) {
			old = append(old, a)
		}
	}
	if len(old) == 0 {
		return false
	}
	p.cancelStarts(causeNextRound)
	for _, a := range old {
		p.kill(a, 0, Step{
			cause: causeNextRound, StopCause: causeNextRound,
			Message: fmt.Sprintf("Container %s will be restarted with all containers of the pod", a.ContainerName()),
		})
	}
	return true
}

// reasonNextRound is why a container waits that is restarted with all others.
const reasonNextRound = "RestartingAllContainers"

// restartingAll is the condition that says whether all containers are being restarted
// (k8s.io/kubernetes/pkg/kubelet/status/generate.go, GenerateAllContainersRestartingCondition).
func (v *View) restartingAll(phase corev1.PodPhase) corev1.PodCondition {
	c := corev1.PodCondition{Type: corev1.AllContainersRestarting, Status: corev1.ConditionFalse}
	switch {
	case phase == corev1.PodSucceeded:
		c.Reason = "PodCompleted"
	case phase == corev1.PodFailed:
		c.Reason = "PodFailed"
	case slices.ContainsFunc(v.live(), func(a *Attempt) bool { return v.outOfRound(a.ContainerName()) }):
		c.Status, c.Reason, c.Message = corev1.ConditionTrue, "RestartAllContainersStarted", "container exited with restart policy rule"
	}
	return c
}

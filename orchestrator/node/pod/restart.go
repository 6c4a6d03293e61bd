package pod

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/manifests/podfacts"
)

// shouldRestart reports whether a container that ended with the given code runs again
// (k8s.io/kubernetes/pkg/api/v1/pod/util.go, ContainerShouldRestart).
func shouldRestart(spec *corev1.PodSpec, c *corev1.Container, exitCode int32) bool {
	if c.RestartPolicy != nil {
		if ruleRestarts(c, exitCode) {
			return true
		}
		switch *c.RestartPolicy {
		case corev1.ContainerRestartPolicyAlways:
			return true
		case corev1.ContainerRestartPolicyOnFailure:
			return exitCode != 0
		case corev1.ContainerRestartPolicyNever:
			return false
		}
	}
	switch spec.RestartPolicy {
	case corev1.RestartPolicyOnFailure:
		return exitCode != 0
	case corev1.RestartPolicyNever:
		return false
	}
	return true
}

// ruleRestarts reports whether one of the container's own rules asks for a restart.
func ruleRestarts(c *corev1.Container, exitCode int32) bool {
	action := matchingAction(c, exitCode)
	return action == corev1.ContainerRestartRuleActionRestart || action == corev1.ContainerRestartRuleActionRestartAllContainers
}

// matchingAction is the action of the first of the container's rules that covers an exit code,
// empty if none does.
func matchingAction(c *corev1.Container, exitCode int32) corev1.ContainerRestartRuleAction {
	for _, rule := range c.RestartPolicyRules {
		if rule.ExitCodes == nil {
			continue
		}
		in := slices.Contains(rule.ExitCodes.Values, exitCode)
		if in == (rule.ExitCodes.Operator == corev1.ContainerRestartRuleOnExitCodesOpIn) {
			return rule.Action
		}
	}
	return ""
}

// restarts is shouldRestart for an attempt that is over. An init container that has succeeded is
// not restarted, whatever the pod's policy.
func (v *View) restarts(c *corev1.Container, a *Attempt) bool {
	if v.isInit(c.Name) && !podfacts.IsSidecar(c) && a.exitCode() == 0 && !a.OOMKilled {
		return false
	}
	if v.IsEphemeral(c.Name) {
		return false
	}
	if a.StopCause == causeResize {
		return true
	}
	if a.OOMKilled && a.exitCode() == 0 {
		return shouldRestart(&v.Pod.Spec, c, ExitKilled)
	}
	return shouldRestart(&v.Pod.Spec, c, a.exitCode())
}

// crashedUntil is when a container that has ended may run again, zero if at once.
func (v *View) crashedUntil(name string) time.Time {
	ended := v.LastCrash(name)
	if ended.IsZero() {
		return time.Time{}
	}
	until := v.Backoffs[name].until(v.Policy, ended)
	if !until.After(v.Now) {
		return time.Time{}
	}
	return until
}

// LastCrash is the time from which the back-off counts, zero if there is none: the end of the
// newest attempt or, if the agent itself stopped that one (after a failed probe, for example), of
// the one before. Kubelet does the same: it looks for an attempt that is over before it stops the
// present one (k8s.io/kubernetes/pkg/kubelet/kuberuntime/kuberuntime_manager.go, doBackOff).
func (v *View) LastCrash(name string) time.Time {
	runs := v.Attempts[name]
	if len(runs) > 0 && runs[0].StopCause != "" {
		runs = runs[1:]
	}
	if len(runs) == 0 || !runs[0].Ended() {
		return time.Time{}
	}
	return runs[0].endedAt()
}

package job

import (
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// ruling is what a podFailurePolicy makes of a failed pod.
type ruling struct {
	// fatal is why the whole job fails, empty if it does not.
	fatal string
	// ignored: the failure does not count towards any limit.
	ignored bool
	// failsIndex: the pod's index is not tried again.
	failsIndex bool
}

// rule applies the first rule of the policy that matches. Without one, a failure
// counts.
func rule(policy *batchv1.PodFailurePolicy, p *corev1.Pod) ruling {
	if policy == nil {
		return ruling{}
	}
	for i := range policy.Rules {
		r := &policy.Rules[i]
		why, matches := match(r, p)
		if !matches {
			continue
		}
		switch r.Action {
		case batchv1.PodFailurePolicyActionIgnore:
			return ruling{ignored: true}
		case batchv1.PodFailurePolicyActionFailIndex:
			return ruling{failsIndex: true}
		case batchv1.PodFailurePolicyActionCount:
			return ruling{}
		case batchv1.PodFailurePolicyActionFailJob:
			return ruling{fatal: fmt.Sprintf("%s matching %v rule at index %d", why, r.Action, i)}
		}
	}
	return ruling{}
}

// match reports whether a rule is about a pod, and by what.
func match(r *batchv1.PodFailurePolicyRule, p *corev1.Pod) (why string, matches bool) {
	if codes := r.OnExitCodes; codes != nil {
		for _, statuses := range [][]corev1.ContainerStatus{p.Status.ContainerStatuses, p.Status.InitContainerStatuses} {
			for i := range statuses {
				if ended := statuses[i].State.Terminated; ended != nil && matchExit(codes, statuses[i].Name, ended.ExitCode) {
					return fmt.Sprintf("Container %s for pod %s/%s failed with exit code %v", statuses[i].Name, p.Namespace, p.Name, ended.ExitCode), true
				}
			}
		}
		return "", false
	}
	for _, c := range p.Status.Conditions {
		for _, pattern := range r.OnPodConditions {
			if c.Type == pattern.Type && c.Status == pattern.Status {
				return fmt.Sprintf("Pod %s/%s has condition %v", p.Namespace, p.Name, c.Type), true
			}
		}
	}
	return "", false
}

func matchExit(r *batchv1.PodFailurePolicyOnExitCodesRequirement, container string, code int32) bool {
	if code == 0 || r.ContainerName != nil && *r.ContainerName != container {
		return false
	}
	switch r.Operator {
	case batchv1.PodFailurePolicyOnExitCodesOpIn:
		return slices.Contains(r.Values, code)
	case batchv1.PodFailurePolicyOnExitCodesOpNotIn:
		return !slices.Contains(r.Values, code)
	}
	return false
}

// succeeds reports whether a success policy is content with the indexes that have
// succeeded, and by which rule.
func succeeds(policy *batchv1.SuccessPolicy, done indexes, completions int) (message string, ok bool) {
	if policy == nil || len(done) == 0 {
		return "", false
	}
	for i, r := range policy.Rules {
		had, needed := done.count(), 0
		if r.SucceededIndexes != nil {
			wanted := parseIndexes(*r.SucceededIndexes, completions)
			if len(wanted) == 0 {
				continue
			}
			had, needed = done.common(wanted), wanted.count()
		}
		if r.SucceededCount != nil {
			needed = int(*r.SucceededCount)
		}
		if (r.SucceededIndexes != nil || r.SucceededCount != nil) && had >= needed {
			return fmt.Sprintf("Matched rules at index %d", i), true
		}
	}
	return "", false
}

package run

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/exec"
	"skiff/manifests/podfacts"
)

// follow attaches to the pod once it runs. If the pod is not to run for ever, its exit code becomes the
// program's.
func (r *runner) follow(ctx context.Context, ref client.Ref) error {
	pod, err := r.until(ctx, ref, func(p *corev1.Pod) bool { return podfacts.Terminal(p) || podfacts.Ready(p) })
	if err != nil {
		return err
	}
	t := exec.Terminal{Env: r.env, Client: r.client, Pod: pod, Container: pod.Spec.Containers[0].Name, Stdin: r.stdin, TTY: r.tty, Quiet: r.quiet}
	if err := t.Attach(ctx); err != nil {
		return err
	}
	ended := podfacts.Terminal
	switch {
	case r.leaveStdinOpen || r.restart == corev1.RestartPolicyAlways:
		return nil
	case r.restart == corev1.RestartPolicyOnFailure:
		ended = func(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodSucceeded }
	}
	if pod, err = r.until(ctx, ref, ended); err != nil {
		return err
	}
	return outcome(pod)
}

// until waits for a state of the pod.
func (r *runner) until(ctx context.Context, ref client.Ref, met func(*corev1.Pod) bool) (*corev1.Pod, error) {
	bounded, cancel := context.WithTimeout(ctx, r.patience)
	defer cancel()
	pod := &corev1.Pod{}
	err := r.client.Until(bounded, ref, func(u *unstructured.Unstructured) (bool, error) {
		if u == nil {
			return false, apierrors.NewNotFound(ref.Mapping.Resource.GroupResource(), ref.Name)
		}
		pod = &corev1.Pod{}
		if err := client.Into(u, pod); err != nil {
			return false, err
		}
		return met(pod), nil
	})
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return nil, fmt.Errorf("timed out waiting for the condition: pod %s is %s%s", ref.Name, pod.Status.Phase, waiting(pod))
	}
	return pod, err
}

// waiting says for what the pod's container waits.
func waiting(pod *corev1.Pod) string {
	for _, s := range pod.Status.ContainerStatuses {
		if w := s.State.Waiting; w != nil && w.Reason != "" {
			return fmt.Sprintf(": %s: %s", w.Reason, w.Message)
		}
	}
	return ""
}

// outcome is what the end of a pod means for the program.
func outcome(pod *corev1.Pod) error {
	if pod.Status.Phase == corev1.PodSucceeded {
		return nil
	}
	if len(pod.Status.ContainerStatuses) > 0 {
		if t := pod.Status.ContainerStatuses[0].State.Terminated; t != nil && t.ExitCode != 0 {
			return command.Verbatim{Message: fmt.Sprintf("pod %s/%s terminated (%s)\n%s", pod.Namespace, pod.Name, t.Reason, t.Message), Code: int(t.ExitCode)}
		}
	}
	return fmt.Errorf("pod %s/%s failed with unknown exit code", pod.Namespace, pod.Name)
}

package exec

import (
	"bytes"
	"context"
	"net/url"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/remotecommand"

	"skiff/cli/client"
)

// Once runs a command in a container to its end, without input, and returns what it wrote: first to
// standard output, then to standard error.
func Once(ctx context.Context, c *client.Client, pod *corev1.Pod, container string, words []string) (string, error) {
	s := &session{client: c, pod: pod, container: container}
	executor, err := s.executor("exec", url.Values{"command": words})
	if err != nil {
		return "", err
	}
	var out, complaint bytes.Buffer
	err = exitCode(executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &out, Stderr: &complaint}))
	return strings.TrimSpace(out.String() + complaint.String()), err
}

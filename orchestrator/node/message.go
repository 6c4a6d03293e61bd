package node

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/docker"
	"skiff/orchestrator/node/internal/tail"
	"skiff/orchestrator/node/pod"
	"skiff/orchestrator/node/volume"
)

// Limits of termination messages (k8s.io/kubernetes/pkg/kubelet/container/runtime.go).
const (
	maxMessageLog = 2048 // bytes of a log
	messageLines  = 80
)

// terminationMessage is what a container that has ended wrote to its file. If that is empty, the
// container failed and its manifest says so, it is the end of its log.
func (a *Agent) terminationMessage(ctx context.Context, r *record, c docker.Container, who pod.Identity) string {
	if c.State != docker.Exited || who.Container == pod.SandboxName || a.VolumeDir == "" || r.hasMessage(c.ID) {
		return ""
	}
	message := a.volumes.TerminationMessage(who.UID, who.Container, who.Attempt)
	if message != "" || c.ExitCode == 0 {
		return message
	}
	p := a.podOf(r)
	if p == nil {
		return ""
	}
	spec := pod.FindContainer(&p.Spec, who.Container)
	if spec == nil || spec.TerminationMessagePolicy != corev1.TerminationMessageFallbackToLogsOnError {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, messageTimeout)
	defer cancel()
	end := &tail.Buffer{Max: maxMessageLog}
	err := a.Runtime.Logs(ctx, c.ID, docker.LogOptions{Stdout: true, Stderr: true, Tail: messageLines}, end, end)
	if err != nil {
		return "Error on reading termination message from logs: " + err.Error()
	}
	text, _ := end.Bytes()
	return volume.ValidUTF8(text)
}

// messageTimeout is how long reading the end of a container's log may take.
const messageTimeout = 5 * time.Second

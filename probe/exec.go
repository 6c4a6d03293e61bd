package probe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// execAsker runs a command in the container: an exit code of 0 is success (pkg/probe/exec).
type execAsker struct {
	run     ExecFunc
	command []string
}

func newExecAsker(c *Container, a *corev1.ExecAction) asker {
	if c.Exec == nil {
		return broken{errors.New("no way to run a command in the container"), handlerExec}
	}
	return &execAsker{run: c.Exec, command: a.Command}
}

func (e *execAsker) handler() handler { return handlerExec }

func (e *execAsker) ask(ctx context.Context, timeout time.Duration) answer {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	code, output, err := e.run(ctx, e.command)
	switch {
	case err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		text := fmt.Sprintf("command timed out: %q timed out after %s", strings.Join(e.command, " "), timeout)
		return answer{outcome: Failure, message: text}
	case err != nil:
		return answer{err: err}
	}
	text := string(output[:min(len(output), maxOutput)])
	if code != 0 {
		if strings.TrimSpace(text) == "" {
			// Kubelet says nothing here, which helps nobody.
			text = fmt.Sprintf("command %q exited with code %d and no output", strings.Join(e.command, " "), code)
		}
		return answer{outcome: Failure, message: text}
	}
	return answer{outcome: Success, message: text}
}

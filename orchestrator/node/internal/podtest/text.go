package podtest

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// Atoi is strconv.Atoi that fails the test.
func Atoi(t testing.TB, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Lines takes the indentation off a text.
func Lines(text string) string {
	var out []string
	for _, l := range strings.Split(text, "\n") {
		if l = strings.TrimSpace(l); l != "" {
			out = append(out, l)
		}
	}
	return strings.Join(out, "\n")
}

// StatusText is a container's status in a line.
func StatusText(s corev1.ContainerStatus) string {
	text := s.Name + " " + stateText(s.State)
	if s.Ready {
		text += " ready"
	}
	if s.RestartCount > 0 {
		text += fmt.Sprintf(" restarts=%d", s.RestartCount)
	}
	if s.LastTerminationState.Terminated != nil {
		text += " last=" + stateText(s.LastTerminationState)
	}
	return text
}

func stateText(s corev1.ContainerState) string {
	switch {
	case s.Running != nil:
		return "running"
	case s.Terminated != nil:
		return fmt.Sprintf("%s(%d)", s.Terminated.Reason, s.Terminated.ExitCode)
	case s.Waiting != nil:
		return s.Waiting.Reason
	}
	return "?"
}

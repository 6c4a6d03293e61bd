package node

import (
	"context"
	"io"
	"os"
	"time"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"

	"skiff/docker"
)

// Limits of termination messages (k8s.io/kubernetes/pkg/kubelet/container/runtime.go).
const (
	maxMessage    = 4096 // bytes of a file
	maxMessageLog = 2048 // bytes of a log
	messageLines  = 80
)

// terminationMessage is what a container that has ended leaves to be read: its file or, if that is empty, it failed and
// its manifest says so, the end of its log.
func (a *Agent) terminationMessage(ctx context.Context, r *record, c docker.Container, who identity) string {
	if c.State != docker.Exited || who.container == sandboxName || a.VolumeDir == "" || r.hasMessage(c.ID) {
		return ""
	}
	message := readEnd(a.volumes.messagePath(who.uid, who.container, who.attempt))
	if message != "" || c.ExitCode == 0 {
		return message
	}
	pod := a.podOf(r)
	if pod == nil {
		return ""
	}
	spec := findContainer(&pod.Spec, who.container)
	if spec == nil || spec.TerminationMessagePolicy != corev1.TerminationMessageFallbackToLogsOnError {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, terminationPatience)
	defer cancel()
	tail := &tailBuffer{max: maxMessageLog}
	err := a.Runtime.Logs(ctx, c.ID, docker.LogOptions{Stdout: true, Stderr: true, Tail: messageLines}, tail, tail)
	if err != nil {
		return "Error on reading termination message from logs: " + err.Error()
	}
	return tail.String()
}

func (r *record) hasMessage(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	run := r.find(id)
	return run != nil && run.message != ""
}

// readEnd is the end of a file, or nothing.
func readEnd(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return "" // a message is an offer, not a duty
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > maxMessage {
		if _, err := f.Seek(-maxMessage, io.SeekEnd); err != nil {
			return ""
		}
	}
	data, err := io.ReadAll(io.LimitReader(f, maxMessage))
	if err != nil {
		return "Error on reading termination log " + path + ": " + err.Error()
	}
	return validUTF8(data)
}

// validUTF8 makes bytes text: what a cut has left of a character at the beginning goes, what else isn't text is marked.
func validUTF8(data []byte) string {
	for len(data) > 0 && !utf8.RuneStart(data[0]) {
		data = data[1:]
	}
	return string([]rune(string(data)))
}

// tailBuffer keeps the end of what is written to it.
type tailBuffer struct {
	max  int
	data []byte
}

func (b *tailBuffer) Write(p []byte) (int, error) {
	b.data = append(b.data, p...)
	if over := len(b.data) - b.max; over > 0 {
		b.data = append(b.data[:0], b.data[over:]...)
	}
	return len(p), nil
}

func (b *tailBuffer) String() string { return validUTF8(b.data) }

// terminationPatience bounds the reading of a container's last words.
const terminationPatience = 5 * time.Second

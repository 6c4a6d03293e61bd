package volume

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/docker"
)

// maxMessage is the limit of a termination message in a file, in bytes
// (k8s.io/kubernetes/pkg/kubelet/container/runtime.go).
const maxMessage = 4096

// readEnd is the end of a file, empty if it can't be opened.
func readEnd(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return "" // a container need not leave a message
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
	return ValidUTF8(data)
}

// ValidUTF8 makes text of bytes that may begin in the middle of a character. The rest of that
// character is dropped, and other invalid bytes are replaced.
func ValidUTF8(data []byte) string {
	for len(data) > 0 && !utf8.RuneStart(data[0]) {
		data = data[1:]
	}
	return string([]rune(string(data)))
}

// messagePath is the file for the termination message of an attempt.
func (v *Manager) messagePath(uid types.UID, container string, attempt int) string {
	return filepath.Join(v.podDir(uid), "containers", container, strconv.Itoa(attempt))
}

// TerminationMessage is what an attempt of a container has written to its file, empty if nothing.
func (v *Manager) TerminationMessage(uid types.UID, container string, attempt int) string {
	return readEnd(v.messagePath(uid, container, attempt))
}

func (v *Manager) messageMount(pod *corev1.Pod, c *corev1.Container, attempt int) (*docker.Mount, error) {
	if c.TerminationMessagePath == "" {
		return nil, nil
	}
	path := v.messagePath(pod.UID, c.Name, attempt)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("making room for the termination message: %w", err)
	}
	if err := os.WriteFile(path, nil, 0o666); err != nil {
		return nil, fmt.Errorf("making the file for the termination message: %w", err)
	}
	// The container's user, whoever that is, must be able to write it, whatever our umask.
	if err := os.Chmod(path, 0o666); err != nil {
		return nil, fmt.Errorf("opening the file for the termination message: %w", err)
	}
	return &docker.Mount{Type: "bind", Source: path, Target: c.TerminationMessagePath}, nil
}

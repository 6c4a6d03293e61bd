package volume

import (
	"errors"
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"
)

// checkHostPath creates what its type allows to be created and otherwise checks what exists
// (k8s.io/kubernetes/pkg/volume/hostpath/host_path.go). A missing path without a type becomes a
// directory, as with container runtimes.
func checkHostPath(h *corev1.HostPathVolumeSource) error {
	kind := corev1.HostPathUnset
	if h.Type != nil {
		kind = *h.Type
	}
	info, err := os.Stat(h.Path)
	missing := errors.Is(err, os.ErrNotExist)
	if err != nil && !missing {
		return err
	}
	switch {
	case missing && (kind == corev1.HostPathUnset || kind == corev1.HostPathDirectoryOrCreate):
		return os.MkdirAll(h.Path, 0o755)
	case missing && kind == corev1.HostPathFileOrCreate:
		f, err := os.OpenFile(h.Path, os.O_CREATE, 0o644)
		if err != nil {
			return err
		}
		return f.Close()
	}
	var mode os.FileMode
	if !missing {
		mode = info.Mode()
	}
	var ok bool
	var want string
	switch kind {
	case corev1.HostPathUnset:
		return nil
	case corev1.HostPathDirectory, corev1.HostPathDirectoryOrCreate:
		ok, want = mode.IsDir(), "directory"
	case corev1.HostPathFile, corev1.HostPathFileOrCreate:
		ok, want = !missing && mode.IsRegular(), "file"
	case corev1.HostPathSocket:
		ok, want = mode&os.ModeSocket != 0, "socket file"
	case corev1.HostPathCharDev:
		ok, want = mode&os.ModeCharDevice != 0, "character device"
	case corev1.HostPathBlockDev:
		ok, want = mode&os.ModeDevice != 0 && mode&os.ModeCharDevice == 0, "block device"
	default:
		return fmt.Errorf("%s is an invalid volume type", kind)
	}
	if !ok {
		return fmt.Errorf("hostPath type check failed: %s is not a %s", h.Path, want)
	}
	return nil
}

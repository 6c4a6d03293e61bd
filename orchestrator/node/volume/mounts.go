package volume

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"skiff/docker"
	"skiff/manifests/podfacts"
	"skiff/orchestrator/node/env"
)

// Mounts are what a container has mounted: its volumes, the file for its termination message,
// /etc/hosts and /etc/resolv.conf. What fails here is shown as CreateContainerConfigError, as by kubelet.
func (v *Manager) Mounts(pod *corev1.Pod, c *corev1.Container, attempt int, addr netip.Addr, env map[string]string) ([]docker.Mount, error) {
	if v.Dir == "" {
		return nil, nil
	}
	if len(c.VolumeDevices) > 0 {
		return nil, errors.New("skiff does not support volumeDevices")
	}
	var out []docker.Mount
	for i := range c.VolumeMounts {
		m, err := v.mount(pod, &c.VolumeMounts[i], env)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	for _, make := range []func() (*docker.Mount, error){
		func() (*docker.Mount, error) { return v.messageMount(pod, c, attempt) },
		func() (*docker.Mount, error) { return v.hostsMount(pod, c, addr) },
		func() (*docker.Mount, error) { return v.resolvMount(pod, c) },
	} {
		m, err := make()
		if err != nil {
			return nil, err
		}
		if m != nil {
			out = append(out, *m)
		}
	}
	return out, nil
}

func (v *Manager) mount(pod *corev1.Pod, m *corev1.VolumeMount, env map[string]string) (docker.Mount, error) {
	volume := findVolume(pod, m.Name)
	if volume == nil {
		return docker.Mount{}, fmt.Errorf("cannot find volume %q to mount into container", m.Name)
	}
	if m.RecursiveReadOnly != nil && *m.RecursiveReadOnly == corev1.RecursiveReadOnlyEnabled {
		return docker.Mount{}, fmt.Errorf("volume mount %q: skiff does not support recursiveReadOnly", m.Name)
	}
	if v.ownTmpfs(volume) {
		return docker.Mount{Type: "tmpfs", Target: m.MountPath, ReadOnly: m.ReadOnly}, nil
	}
	readOnly := m.ReadOnly || isWritten(volume) || volume.Image != nil
	if isOwned(volume) && m.SubPath == "" && m.SubPathExpr == "" {
		return docker.Mount{Type: "volume", Source: ownedName(pod, volume), Target: m.MountPath, ReadOnly: readOnly}, nil
	}
	if c := volume.PersistentVolumeClaim; c != nil {
		readOnly = readOnly || c.ReadOnly
		name, _, err := v.claimMount(pod, volume)
		if err != nil || name != "" && m.SubPath == "" && m.SubPathExpr == "" {
			return docker.Mount{Type: "volume", Source: name, Target: m.MountPath, ReadOnly: readOnly, Fill: podfacts.Fills(pod, m.Name)}, err
		}
	}
	source, err := v.mountSource(pod, volume, m, env)
	if err != nil {
		return docker.Mount{}, err
	}
	return docker.Mount{Type: "bind", Source: source, Target: m.MountPath, ReadOnly: readOnly, Propagation: propagation(m)}, nil
}

func findVolume(pod *corev1.Pod, name string) *corev1.Volume {
	for i := range pod.Spec.Volumes {
		if pod.Spec.Volumes[i].Name == name {
			return &pod.Spec.Volumes[i]
		}
	}
	return nil
}

func propagation(m *corev1.VolumeMount) string {
	if m.MountPropagation == nil {
		return ""
	}
	switch *m.MountPropagation {
	case corev1.MountPropagationHostToContainer:
		return "rslave"
	case corev1.MountPropagationBidirectional:
		return "rshared"
	}
	return ""
}

func (v *Manager) mountSource(pod *corev1.Pod, volume *corev1.Volume, m *corev1.VolumeMount, env map[string]string) (string, error) {
	base := v.path(pod.UID, volume.Name)
	switch {
	case volume.HostPath != nil:
		base = volume.HostPath.Path
	case isOwned(volume):
		base = v.ownedPath(pod, volume)
	case volume.EmptyDir != nil:
		base = v.emptyPath(pod, volume)
	case volume.PersistentVolumeClaim != nil:
		var err error
		if _, base, err = v.claimMount(pod, volume); err != nil {
			return "", err
		}
	}
	sub := m.SubPath
	if m.SubPathExpr != "" {
		var err error
		if sub, err = expandSubPath(m.SubPathExpr, env); err != nil {
			return "", err
		}
	}
	if sub == "" {
		return base, nil
	}
	return subPath(base, sub, isWritten(volume) || volume.Image != nil)
}

func expandSubPath(expr string, vars map[string]string) (string, error) {
	var missing []string
	out := env.Expand(expr, func(name string) (string, bool) {
		if vars[name] == "" {
			missing = append(missing, name)
		}
		return vars[name], true
	})
	if len(missing) > 0 {
		return "", fmt.Errorf("missing value for %s", strings.Join(missing, ", "))
	}
	return out, nil
}

// subPath is a path within a volume. A missing path becomes a directory. A container may have put a
// link into the volume that leads out of it: such a path is an error.
func subPath(base, sub string, readOnly bool) (string, error) {
	root, err := os.OpenRoot(base)
	if err != nil {
		return "", fmt.Errorf("opening the volume for subPath %q: %w", sub, err)
	}
	defer root.Close() //nolint:errcheck // nothing was written through it
	if _, err := root.Stat(sub); errors.Is(err, os.ErrNotExist) && !readOnly {
		if err := makeSubPath(root, sub); err != nil {
			return "", fmt.Errorf("failed to create subPath directory for volumeMount: %w", err)
		}
	} else if err != nil {
		return "", fmt.Errorf("failed to prepare subPath %q for volumeMount: %w", sub, err)
	}
	// Links are resolved now: a container must not be able to change what is mounted.
	return filepath.EvalSymlinks(filepath.Join(base, sub))
}

// makeSubPath makes a directory that is open to the same users as its volume.
func makeSubPath(root *os.Root, sub string) error {
	info, err := root.Stat(".")
	if err != nil {
		return err
	}
	if err := root.MkdirAll(sub, 0o755); err != nil {
		return err
	}
	return root.Chmod(sub, info.Mode().Perm())
}

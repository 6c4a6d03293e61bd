package volume

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/docker"
	node "skiff/orchestrator/node/pod"
)

// Engine is what volumes need of the container engine.
type Engine interface {
	EnsureVolume(ctx context.Context, name string, labels map[string]string) (path string, err error)
	EnsureTmpfs(ctx context.Context, name string, labels map[string]string, t docker.Tmpfs) (path string, err error)
	EnsureImageVolume(ctx context.Context, name string, labels map[string]string, image string) (path string, err error)
	Volumes(ctx context.Context, label string) ([]docker.Volume, error)
	RemoveVolume(ctx context.Context, name string) error
}

// ownedName is the name of a volume on the engine that goes with its pod.
func ownedName(pod *corev1.Pod, volume *corev1.Volume) string {
	return string(pod.UID) + "_" + volume.Name
}

// own has the engine make a volume that goes with its pod, and records where it is.
func (v *Manager) own(pod *corev1.Pod, volume *corev1.Volume, make func(name string, labels map[string]string) (string, error)) error {
	name := ownedName(pod, volume)
	// Recorded first: what is half made must go too.
	v.noteOwned(pod.UID, name)
	path, err := make(name, map[string]string{
		node.LabelPodUID: string(pod.UID), node.LabelPodName: pod.Name, node.LabelPodNamespace: pod.Namespace, node.LabelNode: v.Node,
	})
	if err == nil {
		v.notePath(name, path)
	}
	return err
}

func (v *Manager) noteOwned(uid types.UID, name string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.owned == nil {
		v.owned = map[types.UID][]string{}
	}
	if !slices.Contains(v.owned[uid], name) {
		v.owned[uid] = append(v.owned[uid], name)
	}
}

// notePath records where a volume of the engine is.
func (v *Manager) notePath(name, path string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.paths == nil {
		v.paths = map[string]string{}
	}
	v.paths[name] = path
}

// ownedPath is where a volume of the engine is, empty if it has not been made since the daemon
// began.
func (v *Manager) ownedPath(pod *corev1.Pod, volume *corev1.Volume) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.paths[ownedName(pod, volume)]
}

// isOwned reports whether a pod's volume is one of the engine's that goes with the pod.
func isOwned(volume *corev1.Volume) bool { return volume.Image != nil || node.InSizedMemory(volume) }

// makeTmpfs makes an emptyDir of medium Memory that has a size limit.
func (v *Manager) makeTmpfs(ctx context.Context, pod *corev1.Pod, volume *corev1.Volume) error {
	t := docker.Tmpfs{SizeBytes: volume.EmptyDir.SizeLimit.Value(), Mode: 0o777}
	if group := fsGroup(pod); group != nil {
		t.Mode, t.Group = 0o2777, *group
	}
	return v.own(pod, volume, func(name string, labels map[string]string) (string, error) {
		return v.Engine.EnsureTmpfs(ctx, name, labels, t)
	})
}

// FillImage makes the volume of a pod that holds an image's files, and reports whether it had not
// been made since the daemon began. The engine must have the image.
func (v *Manager) FillImage(ctx context.Context, pod *corev1.Pod, volume *corev1.Volume) (made bool, err error) {
	if v.Dir == "" || v.ownedPath(pod, volume) != "" {
		return false, nil
	}
	err = v.own(pod, volume, func(name string, labels map[string]string) (string, error) {
		return v.Engine.EnsureImageVolume(ctx, name, labels, volume.Image.Reference)
	})
	if err != nil {
		return false, fmt.Errorf("volume %q: %w", volume.Name, err)
	}
	return true, nil
}

// SandboxMounts are the volumes that the engine keeps only as long as a container has them mounted:
// the sandbox does, so that they outlive the pod's other containers.
func (v *Manager) SandboxMounts(pod *corev1.Pod) []docker.Mount {
	if v.Dir == "" {
		return nil
	}
	var out []docker.Mount
	for i := range pod.Spec.Volumes {
		if volume := &pod.Spec.Volumes[i]; node.InSizedMemory(volume) {
			out = append(out, docker.Mount{Type: "volume", Source: ownedName(pod, volume), Target: "/volumes/" + volume.Name})
		}
	}
	return out
}

// removeOwned removes the engine's volumes that go with a pod.
func (v *Manager) removeOwned(ctx context.Context, uid types.UID) error {
	v.mu.Lock()
	names := v.owned[uid]
	v.mu.Unlock()
	var errs []error
	for _, name := range names {
		errs = append(errs, v.Engine.RemoveVolume(ctx, name))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.owned, uid)
	for _, name := range names {
		delete(v.paths, name)
	}
	return nil
}

// sweepOwned removes the engine's volumes of pods that are not known, and takes over the others.
func (v *Manager) sweepOwned(ctx context.Context, known func(types.UID) bool) error {
	list, err := v.Engine.Volumes(ctx, node.LabelPodUID)
	errs := []error{err}
	for _, found := range list {
		uid := types.UID(found.Labels[node.LabelPodUID])
		switch {
		case found.Labels[node.LabelNode] != v.Node:
		case known(uid):
			v.noteOwned(uid, found.Name)
		default:
			errs = append(errs, v.Engine.RemoveVolume(ctx, found.Name))
		}
	}
	return errors.Join(errs...)
}

// maxFile is the most that is read of a file of variables, in bytes.
const maxFile = 1 << 20

// ReadFile reads a file of one of a pod's emptyDirs. A link in the volume that leads out of it is
// an error.
func (v *Manager) ReadFile(pod *corev1.Pod, name, path string) ([]byte, error) {
	volume := findVolume(pod, name)
	if volume == nil || volume.EmptyDir == nil {
		return nil, fmt.Errorf("cannot find the emptyDir volume %q", name)
	}
	if v.Dir == "" || v.ownTmpfs(volume) {
		return nil, fmt.Errorf("volume %q is in memory that only containers can read on this node: use the default medium", name)
	}
	base := v.emptyPath(pod, volume)
	if isOwned(volume) {
		base = v.ownedPath(pod, volume)
	}
	root, err := os.OpenRoot(base)
	if err != nil {
		return nil, err
	}
	defer root.Close() //nolint:errcheck // nothing is written through it
	info, err := root.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, fmt.Errorf("%s in volume %q is not a file of at most %d bytes", path, name, maxFile)
	}
	return root.ReadFile(path)
}

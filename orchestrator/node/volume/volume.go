// Package volume sets up pods' volumes on this machine: directories, files made from objects,
// claims, the hosts file and the files for termination messages.
package volume

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"skiff/orchestrator/node/env"
	node "skiff/orchestrator/node/pod"
)

// Manager keeps pods' volumes in directories of this machine, from which they are mounted into the
// containers:
//
//	<dir>/<pod UID>/volumes/<volume>              emptyDir and what is made from objects
//	<dir>/<pod UID>/containers/<name>/<attempt>   the termination message
//	<dir>/<pod UID>/etc-hosts                     /etc/hosts of its containers
//	<dir>/<pod UID>/etc-resolv                    /etc/resolv.conf, with dnsPolicy None
//	<memory>/<pod UID>/<volume>                   emptyDir of medium Memory
type Manager struct {
	// Dir is empty on nodes without volumes, such as simulated ones.
	Dir string
	// MemoryDir is a directory on a tmpfs. If it is empty, each container of a pod gets a tmpfs of
	// its own.
	MemoryDir string
	// NodeHosts is the node's own hosts file, /etc/hosts unless set.
	NodeHosts string
	// ResolvConf is the content of a pod's resolv.conf, empty if the engine provides the file; nil
	// if it always does.
	ResolvConf func(*corev1.Pod) (string, error)
	// ClusterDomain is the cluster's domain.
	ClusterDomain string
	Sources       env.Sources
	Claims        ClaimSources
	// Tokens issues what serviceAccountToken projections show; there are none if it is nil.
	Tokens TokenSource
	// Clock tells when tokens are replaced, the real one unless set.
	Clock clock.PassiveClock
	// Node is the name of the node, by which the pods' volumes on the engine are told apart.
	Node string
	// Engine stores what pods claim, and volumes that directories can't be.
	Engine Engine

	tokensOnce sync.Once
	projected  *tokens

	mu sync.Mutex
	// paths are the directories of the engine's volumes that pods use, by name.
	paths map[string]string
	// owned are the engine's volumes that go with a pod.
	owned map[types.UID][]string
}

// Prepare sets up the pod's volumes and writes the files of those that are made from objects. It
// can be called again at any time. Errors are kubelet's FailedMount.
func (v *Manager) Prepare(ctx context.Context, pod *corev1.Pod, f env.Facts) error {
	if v.Dir == "" {
		return nil
	}
	for i := range pod.Spec.Volumes {
		volume := &pod.Spec.Volumes[i]
		if err := v.setUp(ctx, pod, volume, f); err != nil {
			return fmt.Errorf("MountVolume.SetUp failed for volume %q : %w", volume.Name, err)
		}
	}
	return nil
}

// Rewrite brings the files up to date that are made from objects.
func (v *Manager) Rewrite(pod *corev1.Pod, f env.Facts) error {
	if v.Dir == "" {
		return nil
	}
	for i := range pod.Spec.Volumes {
		if volume := &pod.Spec.Volumes[i]; isWritten(volume) {
			if err := v.write(pod, volume, f); err != nil {
				return fmt.Errorf("MountVolume.SetUp failed for volume %q : %w", volume.Name, err)
			}
		}
	}
	return nil
}

func (v *Manager) write(pod *corev1.Pod, volume *corev1.Volume, f env.Facts) error {
	files, err := v.payload(pod, volume, f)
	if err != nil {
		return err
	}
	_, err = writeAtomically(v.path(pod.UID, volume.Name), files, fsGroup(pod))
	return err
}

func (v *Manager) setUp(ctx context.Context, pod *corev1.Pod, volume *corev1.Volume, f env.Facts) error {
	switch {
	case volume.PersistentVolumeClaim != nil:
		return v.setUpClaim(ctx, pod, volume)
	case node.InSizedMemory(volume):
		return v.makeTmpfs(ctx, pod, volume)
	case volume.EmptyDir != nil:
		return v.makeEmpty(pod, volume)
	case volume.Image != nil:
		return nil // it is filled for the first container that mounts it: see FillImage
	case volume.HostPath != nil:
		return checkHostPath(volume.HostPath)
	case isWritten(volume):
		return v.write(pod, volume, f)
	}
	return fmt.Errorf("skiff does not support volumes of type %s", volumeType(volume))
}

// isWritten reports whether a volume is made from objects.
func isWritten(v *corev1.Volume) bool {
	return v.ConfigMap != nil || v.Secret != nil || v.DownwardAPI != nil || v.Projected != nil
}

// volumeType is the name of the volume's source in the manifest.
func volumeType(v *corev1.Volume) string { return cmp.Or(sourceName(v.VolumeSource), "unknown") }

// sourceName is the name of the field that is set in a volume's source, empty if none is.
func sourceName(volumeSource any) string {
	source := reflect.ValueOf(volumeSource)
	for i := range source.NumField() {
		if !source.Field(i).IsNil() {
			name, _, _ := strings.Cut(source.Type().Field(i).Tag.Get("json"), ",")
			return name
		}
	}
	return ""
}

func fsGroup(pod *corev1.Pod) *int64 {
	if pod.Spec.SecurityContext == nil {
		return nil
	}
	return pod.Spec.SecurityContext.FSGroup
}

func (v *Manager) podDir(uid types.UID) string { return filepath.Join(v.Dir, string(uid)) }

func (v *Manager) path(uid types.UID, volume string) string {
	return filepath.Join(v.podDir(uid), "volumes", volume)
}

func (v *Manager) emptyPath(pod *corev1.Pod, volume *corev1.Volume) string {
	if volume.EmptyDir.Medium == corev1.StorageMediumMemory {
		return filepath.Join(v.MemoryDir, string(pod.UID), volume.Name)
	}
	return v.path(pod.UID, volume.Name)
}

// ownTmpfs reports whether an emptyDir is a tmpfs that the engine makes for each container.
func (v *Manager) ownTmpfs(volume *corev1.Volume) bool {
	return volume.EmptyDir != nil && !node.InSizedMemory(volume) && volume.EmptyDir.Medium == corev1.StorageMediumMemory && v.MemoryDir == ""
}

func (v *Manager) makeEmpty(pod *corev1.Pod, volume *corev1.Volume) error {
	switch medium := volume.EmptyDir.Medium; medium {
	case corev1.StorageMediumDefault, corev1.StorageMediumMemory:
	default:
		return fmt.Errorf("skiff does not support volumes of type emptyDir with medium %s", medium)
	}
	if v.ownTmpfs(volume) {
		return nil
	}
	path := v.emptyPath(pod, volume)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if v.MemoryDir != "" {
		if err := os.MkdirAll(v.MemoryDir, 0o700); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(path, 0o777); err != nil {
		return err
	}
	// MkdirAll's mode is cut by the umask.
	if err := os.Chmod(path, 0o777); err != nil {
		return err
	}
	return giveGroup(path, 0o777|os.ModeSetgid, fsGroup(pod))
}

// Remove removes everything that was kept for a pod.
func (v *Manager) Remove(ctx context.Context, uid types.UID) error {
	if v.Dir == "" {
		return nil
	}
	v.tokens().forget(uid)
	err := errors.Join(v.removeOwned(ctx, uid), os.RemoveAll(v.podDir(uid)))
	if v.MemoryDir != "" {
		err = errors.Join(err, os.RemoveAll(filepath.Join(v.MemoryDir, string(uid))))
	}
	return err
}

// Sweep removes what is kept for pods that are not known: a daemon may die after a pod is gone from
// the store and before its files are removed.
func (v *Manager) Sweep(ctx context.Context, known func(types.UID) bool) error {
	if v.Dir == "" {
		return nil
	}
	errs := []error{v.sweepOwned(ctx, known)}
	for _, dir := range []string{v.Dir, v.MemoryDir} {
		if dir == "" {
			continue
		}
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
		for _, e := range entries {
			if !known(types.UID(e.Name())) {
				errs = append(errs, os.RemoveAll(filepath.Join(dir, e.Name())))
			}
		}
	}
	return errors.Join(errs...)
}

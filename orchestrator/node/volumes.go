package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/docker"
)

// volumes keeps pods' volumes in a directory of this machine, from where they are mounted into the containers:
//
//	<dir>/<pod UID>/volumes/<volume>              emptyDir and what is made from objects
//	<dir>/<pod UID>/containers/<name>/<attempt>   the termination message
//	<dir>/<pod UID>/etc-hosts                     /etc/hosts of its containers
//	<memory>/<pod UID>/<volume>                   emptyDir of medium Memory
type volumes struct {
	// dir is empty on nodes without volumes, such as simulated ones.
	dir string
	// memory is a directory on a tmpfs. Without one, each container of a pod gets a tmpfs of its own.
	memory string
	// nodeHosts is the node's own hosts file, /etc/hosts unless set.
	nodeHosts string
	sources   sources
	claims    claimSources
	// engine holds the data of claims.
	engine interface {
		EnsureVolume(ctx context.Context, name string, labels map[string]string) (path string, err error)
	}

	mu sync.Mutex
	// paths are the directories of the engine's volumes that pods have claimed, by name.
	paths map[string]string
}

// prepare makes the pod's volumes, and writes those that are made from objects. It can be called again at any time.
func (v *volumes) prepare(ctx context.Context, pod *corev1.Pod, f facts) error {
	if v.dir == "" {
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

// rewrite brings up to date what is made from objects.
func (v *volumes) rewrite(pod *corev1.Pod, f facts) error {
	if v.dir == "" {
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

func (v *volumes) write(pod *corev1.Pod, volume *corev1.Volume, f facts) error {
	files, err := v.payload(pod, volume, f)
	if err != nil {
		return err
	}
	_, err = writeAtomically(v.path(pod.UID, volume.Name), files, fsGroup(pod))
	return err
}

func (v *volumes) setUp(ctx context.Context, pod *corev1.Pod, volume *corev1.Volume, f facts) error {
	switch {
	case volume.PersistentVolumeClaim != nil:
		return v.setUpClaim(ctx, pod, volume)
	case volume.EmptyDir != nil:
		return v.makeEmpty(pod, volume)
	case volume.HostPath != nil:
		return checkHostPath(volume.HostPath)
	case isWritten(volume):
		return v.write(pod, volume, f)
	}
	return fmt.Errorf("skiff does not support volumes of type %s", volumeType(volume))
}

// isWritten tells whether a volume is made from objects.
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

func (v *volumes) podDir(uid types.UID) string { return filepath.Join(v.dir, string(uid)) }

func (v *volumes) path(uid types.UID, volume string) string {
	return filepath.Join(v.podDir(uid), "volumes", volume)
}

func (v *volumes) emptyPath(pod *corev1.Pod, volume *corev1.Volume) string {
	if volume.EmptyDir.Medium == corev1.StorageMediumMemory {
		return filepath.Join(v.memory, string(pod.UID), volume.Name)
	}
	return v.path(pod.UID, volume.Name)
}

// ownTmpfs tells whether an emptyDir is a tmpfs that the engine makes for each container.
func (v *volumes) ownTmpfs(volume *corev1.Volume) bool {
	return volume.EmptyDir != nil && volume.EmptyDir.Medium == corev1.StorageMediumMemory && v.memory == ""
}

func (v *volumes) makeEmpty(pod *corev1.Pod, volume *corev1.Volume) error {
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
	if v.memory != "" {
		if err := os.Mkdir(v.memory, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
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

// remove takes away all that was kept for a pod.
func (v *volumes) remove(uid types.UID) error {
	if v.dir == "" {
		return nil
	}
	err := os.RemoveAll(v.podDir(uid))
	if v.memory != "" {
		err = errors.Join(err, os.RemoveAll(filepath.Join(v.memory, string(uid))))
	}
	return err
}

// sweep removes what is kept for pods that nobody knows: a daemon may die between the last trace of a pod in the store
// and that on the disk.
func (v *volumes) sweep(known func(types.UID) bool) error {
	var errs []error
	for _, dir := range []string{v.dir, v.memory} {
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

// checkHostPath makes what may be made and insists on the rest (k8s.io/kubernetes/pkg/volume/hostpath/host_path.go).
// A path without a type is made a directory, as container runtimes do.
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

// mounts are a container's volumes, its file for a termination message and its /etc/hosts. Its errors are kubelet's
// CreateContainerConfigError.
func (v *volumes) mounts(pod *corev1.Pod, c *corev1.Container, attempt int, addr netip.Addr, env map[string]string) ([]docker.Mount, error) {
	if v.dir == "" {
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

func (v *volumes) mount(pod *corev1.Pod, m *corev1.VolumeMount, env map[string]string) (docker.Mount, error) {
	volume := findVolume(pod, m.Name)
	if volume == nil {
		return docker.Mount{}, fmt.Errorf("cannot find volume %q to mount into container", m.Name)
	}
	if m.RecursiveReadOnly != nil && *m.RecursiveReadOnly == corev1.RecursiveReadOnlyEnabled {
		return docker.Mount{}, fmt.Errorf("volume mount %q: skiff does not support recursiveReadOnly", m.Name)
	}
	if v.ownTmpfs(volume) {
		mount := docker.Mount{Type: "tmpfs", Target: m.MountPath, ReadOnly: m.ReadOnly}
		if limit := volume.EmptyDir.SizeLimit; limit != nil {
			mount.SizeBytes = limit.Value()
		}
		return mount, nil
	}
	readOnly := m.ReadOnly || isWritten(volume)
	if c := volume.PersistentVolumeClaim; c != nil {
		readOnly = readOnly || c.ReadOnly
		name, _, err := v.claimMount(pod, volume)
		if err != nil || name != "" && m.SubPath == "" && m.SubPathExpr == "" {
			return docker.Mount{Type: "volume", Source: name, Target: m.MountPath, ReadOnly: readOnly}, err
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

func (v *volumes) mountSource(pod *corev1.Pod, volume *corev1.Volume, m *corev1.VolumeMount, env map[string]string) (string, error) {
	base := v.path(pod.UID, volume.Name)
	switch {
	case volume.HostPath != nil:
		base = volume.HostPath.Path
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
	return subPath(base, sub, isWritten(volume))
}

func expandSubPath(expr string, env map[string]string) (string, error) {
	var missing []string
	out := expand(expr, func(name string) (string, bool) {
		if env[name] == "" {
			missing = append(missing, name)
		}
		return env[name], true
	})
	if len(missing) > 0 {
		return "", fmt.Errorf("missing value for %s", strings.Join(missing, ", "))
	}
	return out, nil
}

// subPath is a path within a volume, made a directory if it isn't there. A container may have left a link in the volume
// that leads out of it: the path must not.
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
	// What the link leads to now is what must be mounted, not what it leads to later.
	return filepath.EvalSymlinks(filepath.Join(base, sub))
}

// makeSubPath makes a directory that is open to the same users as the volume it is in.
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

// messagePath is where a run of a container leaves its termination message.
func (v *volumes) messagePath(uid types.UID, container string, attempt int) string {
	return filepath.Join(v.podDir(uid), "containers", container, strconv.Itoa(attempt))
}

func (v *volumes) messageMount(pod *corev1.Pod, c *corev1.Container, attempt int) (*docker.Mount, error) {
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

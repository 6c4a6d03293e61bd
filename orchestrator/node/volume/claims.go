package volume

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"skiff/manifests/enginevolume"
)

// ClaimSources are the claims that pods use, and their persistent volumes.
type ClaimSources interface {
	Claim(namespace, name string) (*corev1.PersistentVolumeClaim, error)
	Volume(name string) (*corev1.PersistentVolume, error)
}

// ErrUnbound says of a claim that it has no volume yet.
var ErrUnbound = errors.New("is not bound to a volume")

// claimed is the persistent volume of a pod's claim.
func (v *Manager) claimed(pod *corev1.Pod, volume *corev1.Volume) (*corev1.PersistentVolume, error) {
	name := volume.PersistentVolumeClaim.ClaimName
	claim, err := v.Claims.Claim(pod.Namespace, name)
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("persistentvolumeclaim %q not found", name)
	}
	if err != nil {
		return nil, err
	}
	if claim.Spec.VolumeName == "" || claim.Status.Phase != corev1.ClaimBound {
		return nil, fmt.Errorf("persistentvolumeclaim %q %w", name, ErrUnbound)
	}
	found, err := v.Claims.Volume(claim.Spec.VolumeName)
	if err != nil {
		return nil, fmt.Errorf("persistentvolumeclaim %q: %w", name, err)
	}
	if ref := found.Spec.ClaimRef; ref == nil || ref.UID != claim.UID {
		return nil, fmt.Errorf("persistentvolumeclaim %q: volume %s is another claim's", name, found.Name)
	}
	return found, nil
}

// hostDirectory is the directory of this machine that is a persistent volume, nil if none is.
func hostDirectory(v *corev1.PersistentVolume) *corev1.HostPathVolumeSource {
	if v.Spec.Local != nil {
		kind := corev1.HostPathDirectory
		return &corev1.HostPathVolumeSource{Path: v.Spec.Local.Path, Type: &kind}
	}
	return v.Spec.HostPath
}

// setUpClaim prepares a pod's claim to be mounted, and records where its data is.
func (v *Manager) setUpClaim(ctx context.Context, pod *corev1.Pod, volume *corev1.Volume) error {
	found, err := v.claimed(pod, volume)
	if err != nil {
		return err
	}
	if dir := hostDirectory(found); dir != nil {
		return checkHostPath(dir)
	}
	name := enginevolume.Name(found)
	if name == "" {
		return fmt.Errorf("skiff does not support persistent volumes of type %s", persistentType(found))
	}
	claim := found.Spec.ClaimRef
	path, err := v.Engine.EnsureVolume(ctx, name, map[string]string{labelClaim: claim.Name, labelClaimNamespace: claim.Namespace})
	if err != nil {
		return err
	}
	v.notePath(name, path)
	return shareClaim(path, fsGroup(pod))
}

// shareClaim gives a pod's group access to a volume, beside whoever has it already. A volume that
// the daemon can't reach was created so that any user may write to it.
func shareClaim(path string, gid *int64) error {
	if gid == nil {
		return nil
	}
	info, err := os.Stat(path)
	if err == nil {
		err = giveGroup(path, info.Mode()|0o770|os.ModeSetgid, gid)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}

// Labels of an engine's volume that name its claim.
const (
	labelClaim          = "skiff/claim"
	labelClaimNamespace = "skiff/claim-namespace"
)

// claimMount is where the data of a pod's claim is: in the engine's volume of that name, whose
// directory is base, or in directory base if the name is empty.
func (v *Manager) claimMount(pod *corev1.Pod, volume *corev1.Volume) (name, base string, err error) {
	found, err := v.claimed(pod, volume)
	if err != nil {
		return "", "", err
	}
	if dir := hostDirectory(found); dir != nil {
		return "", dir.Path, nil
	}
	name = enginevolume.Name(found)
	v.mu.Lock()
	defer v.mu.Unlock()
	return name, v.paths[name], nil
}

func persistentType(v *corev1.PersistentVolume) string {
	if v.Spec.CSI != nil {
		return "csi with driver " + v.Spec.CSI.Driver
	}
	return cmp.Or(sourceName(v.Spec.PersistentVolumeSource), "unknown")
}

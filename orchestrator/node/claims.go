package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"skiff/orchestrator/cluster/claims"
)

// claimSources is where a pod's claims and their volumes are found.
type claimSources interface {
	Claim(namespace, name string) (*corev1.PersistentVolumeClaim, error)
	Volume(name string) (*corev1.PersistentVolume, error)
}

// Claim returns a persistent volume claim of the store.
func (a *Agent) Claim(namespace, name string) (*corev1.PersistentVolumeClaim, error) {
	return a.claims.Get(namespace, name)
}

// Volume returns a persistent volume of the store.
func (a *Agent) Volume(name string) (*corev1.PersistentVolume, error) {
	return a.persistent.Get("", name)
}

// errUnbound says of a claim that it has no volume yet.
var errUnbound = errors.New("is not bound to a volume")

// tellUnmounted tells why a pod's volumes can't be mounted. That a claim is not bound is worth a word only when it lasts:
// a new one is within moments.
func (a *Agent) tellUnmounted(r *record, pod *corev1.Pod, container string, err error) {
	r.mu.Lock()
	_, again := r.failures[container]
	r.mu.Unlock()
	if again || !errors.Is(err, errUnbound) {
		a.tell(pod, "", corev1.EventTypeWarning, "FailedMount", "%s", err)
	}
}

// claimed is the persistent volume that a pod's volume claims.
func (v *volumes) claimed(pod *corev1.Pod, volume *corev1.Volume) (*corev1.PersistentVolume, error) {
	name := volume.PersistentVolumeClaim.ClaimName
	claim, err := v.claims.Claim(pod.Namespace, name)
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("persistentvolumeclaim %q not found", name)
	}
	if err != nil {
		return nil, err
	}
	if claim.Spec.VolumeName == "" || claim.Status.Phase != corev1.ClaimBound {
		return nil, fmt.Errorf("persistentvolumeclaim %q %w", name, errUnbound)
	}
	found, err := v.claims.Volume(claim.Spec.VolumeName)
	if err != nil {
		return nil, fmt.Errorf("persistentvolumeclaim %q: %w", name, err)
	}
	if ref := found.Spec.ClaimRef; ref == nil || ref.UID != claim.UID {
		return nil, fmt.Errorf("persistentvolumeclaim %q: volume %s is another claim's", name, found.Name)
	}
	return found, nil
}

// hostDirectory is the directory of this machine that a persistent volume is, nil if it is none.
func hostDirectory(v *corev1.PersistentVolume) *corev1.HostPathVolumeSource {
	if v.Spec.Local != nil {
		kind := corev1.HostPathDirectory
		return &corev1.HostPathVolumeSource{Path: v.Spec.Local.Path, Type: &kind}
	}
	return v.Spec.HostPath
}

// setUpClaim sees to it that what a pod claims can be mounted, and notes where it is.
func (v *volumes) setUpClaim(ctx context.Context, pod *corev1.Pod, volume *corev1.Volume) error {
	found, err := v.claimed(pod, volume)
	if err != nil {
		return err
	}
	if dir := hostDirectory(found); dir != nil {
		return checkHostPath(dir)
	}
	name := claims.EngineVolume(found)
	if name == "" {
		return fmt.Errorf("skiff does not support persistent volumes of type %s", persistentType(found))
	}
	claim := found.Spec.ClaimRef
	path, err := v.engine.EnsureVolume(ctx, name, map[string]string{labelClaim: claim.Name, labelClaimNamespace: claim.Namespace})
	if err != nil {
		return err
	}
	v.mu.Lock()
	if v.paths == nil {
		v.paths = map[string]string{}
	}
	v.paths[name] = path
	v.mu.Unlock()
	return shareClaim(path, fsGroup(pod))
}

// shareClaim lets a pod's group have a volume, beside whoever has it already. A volume that is out of our reach has been
// made such that any user may write to it.
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

// Labels of an engine's volume that say whose it is.
const (
	labelClaim          = "skiff/claim"
	labelClaimNamespace = "skiff/claim-namespace"
)

// claimMount is where the engine finds what a pod claims: the name of one of its volumes, or a directory that base holds.
func (v *volumes) claimMount(pod *corev1.Pod, volume *corev1.Volume) (name, base string, err error) {
	found, err := v.claimed(pod, volume)
	if err != nil {
		return "", "", err
	}
	if dir := hostDirectory(found); dir != nil {
		return "", dir.Path, nil
	}
	name = claims.EngineVolume(found)
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

package claims

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"

	"skiff/manifests/podfacts"
)

// Annotations and finalizers of upstream's volume controllers
// (k8s.io/kubernetes pkg/controller/volume).
const (
	bindCompleted     = "pv.kubernetes.io/bind-completed"
	boundByController = "pv.kubernetes.io/bound-by-controller"
	provisionedBy     = "pv.kubernetes.io/provisioned-by"
	protectsClaim     = "kubernetes.io/pvc-protection"
	protectsVolume    = "kubernetes.io/pv-protection"
)

// noProvisioner is the provisioner of a class whose volumes are all made by somebody
// (https://kubernetes.io/docs/concepts/storage/storage-classes/#local).
const noProvisioner = "kubernetes.io/no-provisioner"

// verb is what is to be done about a claim.
type verb string

const (
	nothing   verb = ""
	provision verb = "provision"
	bind      verb = "bind to"
	unprotect verb = "let go of"
	lose      verb = "lose"
	hold      verb = "wait for"
)

// claimPlan is what is to be done about one claim, and why.
type claimPlan struct {
	do     verb
	volume string
	cause  string
	// reason is that of a warning event, if the claim's user has to know.
	reason string
}

func (p claimPlan) String() string {
	if p.do == nothing {
		return ""
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s", p.do, p.volume)) + ": " + p.cause
}

// claimView is what one look at a claim saw.
type claimView struct {
	claim *corev1.PersistentVolumeClaim
	// volumes are all there are, by name.
	volumes []*corev1.PersistentVolume
	// class is the StorageClass that the claim names, nil if it names none or there is none.
	class *storagev1.StorageClass
	// pods are those of the claim's namespace.
	pods []*corev1.Pod
}

func volumeName(c *corev1.PersistentVolumeClaim) string { return "pvc-" + string(c.UID) }

// planClaim decides what is to be done about a claim.
func planClaim(v claimView) claimPlan {
	c := v.claim
	switch {
	case c.DeletionTimestamp != nil:
		return v.planDeletion()
	case c.Spec.VolumeName != "":
		return v.planNamed()
	}
	if own := v.named(volumeName(c)); own != nil && boundTo(own, c) {
		return claimPlan{do: bind, volume: own.Name, cause: "it was provisioned for the claim"}
	}
	if found := v.match(); found != nil {
		return claimPlan{do: bind, volume: found.Name, cause: "it is the smallest that satisfies the claim"}
	}
	if why := v.unprovidable(); why != "" {
		return claimPlan{do: hold, volume: "a volume", cause: why, reason: "ProvisioningFailed"}
	}
	switch class := className(c); {
	case class == "" && c.Spec.StorageClassName != nil:
		return claimPlan{do: hold, volume: "a volume", cause: "no persistent volumes available for this claim and no storage class is set", reason: "FailedBinding"}
	case class != "" && v.class == nil:
		return claimPlan{do: hold, volume: "a volume", cause: fmt.Sprintf("storageclass.storage.k8s.io %q not found", class), reason: "ProvisioningFailed"}
	case v.class != nil && v.class.Provisioner == noProvisioner:
		return claimPlan{do: hold, volume: "a volume", cause: "no volume plugin matched name: " + noProvisioner, reason: "ProvisioningFailed"}
	}
	return claimPlan{do: provision, volume: volumeName(c), cause: "no volume satisfies the claim"}
}

// planDeletion lets a claim go once no pod needs it.
func (v claimView) planDeletion() claimPlan {
	if !slices.Contains(v.claim.Finalizers, protectsClaim) {
		return claimPlan{}
	}
	for _, p := range v.pods {
		if p.Spec.NodeName != "" && !podfacts.Terminal(p) && slices.Contains(Used(p), v.claim.Name) {
			return claimPlan{do: hold, volume: "pod " + p.Name, cause: "it uses the claim"}
		}
	}
	return claimPlan{do: unprotect, volume: "the claim", cause: "no pod uses it"}
}

// Used are the names of the claims that a pod mounts.
func Used(p *corev1.Pod) []string {
	var names []string
	for i := range p.Spec.Volumes {
		if source := p.Spec.Volumes[i].PersistentVolumeClaim; source != nil {
			names = append(names, source.ClaimName)
		}
	}
	return names
}

// planNamed sees to a claim that says which volume it has, or wants.
func (v claimView) planNamed() claimPlan {
	c, volume := v.claim, v.named(v.claim.Spec.VolumeName)
	_, completed := c.Annotations[bindCompleted]
	switch {
	case volume == nil && completed && c.Status.Phase != corev1.ClaimLost:
		return claimPlan{do: lose, volume: c.Spec.VolumeName, cause: "Bound claim has lost its PersistentVolume. Data on the volume is lost!", reason: "ClaimLost"}
	case volume == nil:
		return claimPlan{do: hold, volume: c.Spec.VolumeName, cause: "there is no such volume"}
	case volume.Spec.ClaimRef != nil && !mayHave(volume, c):
		return claimPlan{do: hold, volume: volume.Name, cause: fmt.Sprintf("volume %q already bound to a different claim.", volume.Name), reason: "FailedBinding"}
	case completed && boundTo(volume, c) && c.Status.Phase == corev1.ClaimBound && c.Status.Capacity.Storage().Cmp(*volume.Spec.Capacity.Storage()) == 0 && !v.grown(volume):
		return claimPlan{}
	case volume.Spec.ClaimRef == nil && !satisfies(volume, c):
		return claimPlan{do: hold, volume: volume.Name, cause: fmt.Sprintf("Cannot bind to requested volume %q: it does not satisfy the claim", volume.Name), reason: "VolumeMismatch"}
	}
	return claimPlan{do: bind, volume: volume.Name, cause: "the claim names it"}
}

// grown reports whether a claim asks for more than its volume says it has. The
// engine limits no volume, so that it can have that.
func (v claimView) grown(volume *corev1.PersistentVolume) bool {
	asked := request(v.claim)
	return isOurs(volume) && asked.Cmp(*volume.Spec.Capacity.Storage()) > 0
}

func request(c *corev1.PersistentVolumeClaim) resource.Quantity {
	return c.Spec.Resources.Requests[corev1.ResourceStorage]
}

func (v claimView) named(name string) *corev1.PersistentVolume {
	for _, volume := range v.volumes {
		if volume.Name == name {
			return volume
		}
	}
	return nil
}

// match is the volume that the claim may have: one that was made for it, or else
// the smallest of those that nobody has.
func (v claimView) match() *corev1.PersistentVolume {
	var best *corev1.PersistentVolume
	for _, volume := range v.volumes {
		switch {
		case volume.DeletionTimestamp != nil || !satisfies(volume, v.claim):
		case volume.Spec.ClaimRef != nil:
			if mayHave(volume, v.claim) {
				return volume
			}
		case best == nil || volume.Spec.Capacity.Storage().Cmp(*best.Spec.Capacity.Storage()) < 0:
			best = volume
		}
	}
	return best
}

// mayHave reports whether a volume that is reserved is reserved for the claim.
func mayHave(volume *corev1.PersistentVolume, c *corev1.PersistentVolumeClaim) bool {
	ref := volume.Spec.ClaimRef
	return ref.Namespace == c.Namespace && ref.Name == c.Name && (ref.UID == "" || ref.UID == c.UID)
}

// boundTo reports whether a volume is this very claim's.
func boundTo(volume *corev1.PersistentVolume, c *corev1.PersistentVolumeClaim) bool {
	return volume.Spec.ClaimRef != nil && mayHave(volume, c) && volume.Spec.ClaimRef.UID == c.UID
}

// satisfies reports whether a volume is what the claim asks for.
func satisfies(volume *corev1.PersistentVolume, c *corev1.PersistentVolumeClaim) bool {
	asked := request(c)
	if volume.Spec.Capacity.Storage().Cmp(asked) < 0 || volume.Spec.StorageClassName != className(c) ||
		ptr.Deref(volume.Spec.VolumeMode, corev1.PersistentVolumeFilesystem) != ptr.Deref(c.Spec.VolumeMode, corev1.PersistentVolumeFilesystem) {
		return false
	}
	for _, mode := range c.Spec.AccessModes {
		if !slices.Contains(volume.Spec.AccessModes, mode) {
			return false
		}
	}
	if c.Spec.Selector == nil {
		return true
	}
	selector, err := metav1.LabelSelectorAsSelector(c.Spec.Selector)
	return err == nil && selector.Matches(labels.Set(volume.Labels))
}

// className is the class that an old annotation names, or else the field.
func className(c *corev1.PersistentVolumeClaim) string {
	if class, ok := c.Annotations[corev1.BetaStorageClassAnnotation]; ok {
		return class
	}
	return ptr.Deref(c.Spec.StorageClassName, "")
}

// unprovidable is why no volume can be made for a claim, empty if it can.
func (v claimView) unprovidable() string {
	spec := &v.claim.Spec
	switch {
	case spec.Selector != nil:
		return "spec.selector: claim.Spec.Selector is not supported for dynamic provisioning"
	case ptr.Deref(spec.VolumeMode, corev1.PersistentVolumeFilesystem) != corev1.PersistentVolumeFilesystem:
		return "spec.volumeMode: skiff has no block volumes"
	case spec.DataSource != nil || spec.DataSourceRef != nil:
		return "spec.dataSource: skiff can not fill a volume from another"
	}
	return ""
}

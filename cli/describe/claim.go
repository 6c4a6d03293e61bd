package describe

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"skiff/cli/client"
)

func claim(p *page, o *corev1.PersistentVolumeClaim) error {
	pods, err := listOf[corev1.Pod](p, "", "Pod", client.ListOptions{})
	if err != nil {
		return err
	}
	p.claimSpec(o, true)
	p.list("Used By", usedBy(o, pods))
	if len(o.Status.Conditions) > 0 {
		p.title("Conditions")
		p.in(func() {
			p.line("Type\tStatus\tLastProbeTime\tLastTransitionTime\tReason\tMessage")
			p.line("----\t------\t-----------------\t------------------\t------\t-------")
			for _, c := range o.Status.Conditions {
				p.line("%v \t%v \t%s \t%s \t%v \t%v", c.Type, c.Status, stamp(c.LastProbeTime.Time), stamp(c.LastTransitionTime.Time), c.Reason, c.Message)
			}
		})
	}
	p.events(o, "PersistentVolumeClaim")
	return nil
}

// usedBy names the pods that mount a claim or own it.
func usedBy(o *corev1.PersistentVolumeClaim, pods []corev1.Pod) []string {
	var out []string
	for i := range pods {
		mounts := slices.ContainsFunc(pods[i].Spec.Volumes, func(v corev1.Volume) bool {
			return v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == o.Name
		})
		for _, ref := range o.OwnerReferences {
			mounts = mounts || ref.Kind == "Pod" && ref.UID == pods[i].UID
		}
		if mounts {
			out = append(out, pods[i].Name)
		}
	}
	slices.Sort(out)
	return out
}

// claimSpec writes a claim; of a template (full false) what has a meaning before it is made.
func (s *sheet) claimSpec(o *corev1.PersistentVolumeClaim, full bool) {
	if full {
		s.field("Name", o.Name)
		s.field("Namespace", o.Namespace)
	}
	s.field("StorageClass", storageClass(o))
	if full && o.DeletionTimestamp != nil {
		s.field("Status", "Terminating (lasts "+s.since(o.DeletionTimestamp.Time)+")")
	} else if full {
		s.field("Status", o.Status.Phase)
	}
	s.field("Volume", o.Spec.VolumeName)
	s.labelled(o)
	if full {
		s.field("Finalizers", o.Finalizers)
	}
	capacity, modes := "", ""
	if o.Spec.VolumeName != "" {
		q := o.Status.Capacity[corev1.ResourceStorage]
		capacity, modes = q.String(), accessModes(o.Status.AccessModes)
	}
	s.field("Capacity", capacity)
	s.field("Access Modes", modes)
	whenSet(s, "VolumeMode", o.Spec.VolumeMode)
	if from := o.Spec.DataSource; from != nil {
		s.title("DataSource")
		s.in(func() {
			whenSet(s, "APIGroup", from.APIGroup)
			s.field("Kind", from.Kind)
			s.field("Name", from.Name)
		})
	}
}

func storageClass(o *corev1.PersistentVolumeClaim) string {
	if class, ok := o.Annotations[corev1.BetaStorageClassAnnotation]; ok {
		return class
	}
	if o.Spec.StorageClassName != nil {
		return *o.Spec.StorageClassName
	}
	return ""
}

func accessModes(all []corev1.PersistentVolumeAccessMode) string {
	short := map[corev1.PersistentVolumeAccessMode]string{
		corev1.ReadWriteOnce: "RWO", corev1.ReadOnlyMany: "ROX", corev1.ReadWriteMany: "RWX", corev1.ReadWriteOncePod: "RWOP",
	}
	var out []string
	for _, mode := range []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce, corev1.ReadOnlyMany, corev1.ReadWriteMany, corev1.ReadWriteOncePod} {
		if slices.Contains(all, mode) {
			out = append(out, short[mode])
		}
	}
	return strings.Join(out, ",")
}

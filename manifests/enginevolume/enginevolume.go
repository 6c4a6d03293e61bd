// Package enginevolume says which persistent volumes keep their data in a volume of the container
// engine. Who provisions them, who mounts them and who validates them must agree on that.
package enginevolume

import corev1 "k8s.io/api/core/v1"

// Driver is the CSI driver that such a persistent volume names. Its volume handle is the name of the
// engine's volume.
const Driver = "skiff"

// Name is the name of the engine's volume that holds a persistent volume's data, empty if the data
// is elsewhere.
func Name(v *corev1.PersistentVolume) string {
	if v.Spec.CSI == nil || v.Spec.CSI.Driver != Driver {
		return ""
	}
	return v.Spec.CSI.VolumeHandle
}

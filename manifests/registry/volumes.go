package registry

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"skiff/manifests"
	"skiff/store"
)

// volumeHooks keep lastPhaseTransitionTime of persistent volumes true, unless
// the client sets it.
func volumeHooks(clk clock.Clock) hooks {
	return hooks{beginUpdate: func(obj, old store.Object, subresource string) (func(), error) {
		if subresource == manifests.SubresourceStatus {
			stampPhase(&obj.(*corev1.PersistentVolume).Status, &old.(*corev1.PersistentVolume).Status, clk)
		}
		return nothing, nil
	}}
}

func stampPhase(s, old *corev1.PersistentVolumeStatus, clk clock.Clock) {
	samePhase, unset := s.Phase == old.Phase, s.LastPhaseTransitionTime == nil
	switch {
	case samePhase && unset:
		s.LastPhaseTransitionTime = old.LastPhaseTransitionTime
	case !samePhase && (unset || s.LastPhaseTransitionTime.Equal(old.LastPhaseTransitionTime)):
		now := metav1.NewTime(clk.Now())
		s.LastPhaseTransitionTime = &now
	}
}

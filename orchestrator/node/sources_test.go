package node

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/manifests/registry"
)

// TestAgentWaitsForAClaim holds that a pod starts once its claim is bound, and that there is no
// event about the short wait.
func TestAgentWaitsForAClaim(t *testing.T) {
	inWorld(t, func(w *world) {
		w.create(&corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "data"},
			Spec: corev1.PersistentVolumeClaimSpec{
				AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
			},
		})
		w.pod("kubia", "{containers: [{name: kubia, image: kubia}], volumes: [{name: v, persistentVolumeClaim: {claimName: data}}]}")
		w.want("kubia", "Pending | kubia ContainerCreating")
		w.wantEvents("kubia", "")
		claims := registry.For[*corev1.PersistentVolumeClaim](w.registry)
		claim, _ := claims.Get("default", "data")
		w.create(&corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "v"}, Spec: corev1.PersistentVolumeSpec{
			Capacity: claim.Spec.Resources.Requests, AccessModes: claim.Spec.AccessModes,
			ClaimRef:               &corev1.ObjectReference{Namespace: "default", Name: "data", UID: claim.UID},
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: "skiff", VolumeHandle: "x"}},
		}})
		if _, err := claims.Update(w.Context(), "default", "data", func(c *corev1.PersistentVolumeClaim) error { c.Spec.VolumeName = "v"; return nil }); err != nil {
			w.Fatal(err)
		}
		if _, err := claims.UpdateStatus(w.Context(), "default", "data", func(c *corev1.PersistentVolumeClaim) error {
			c.Status.Phase = corev1.ClaimBound
			return nil
		}); err != nil {
			w.Fatal(err)
		}
		w.settle()
		w.want("kubia", "Running | kubia running ready")
	})
}

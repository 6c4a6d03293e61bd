package node

import (
	"errors"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"skiff/orchestrator/node/volume"
)

// ConfigMap returns a ConfigMap of the store.
func (a *Agent) ConfigMap(namespace, name string) (*corev1.ConfigMap, error) {
	return a.configMaps.Get(namespace, name)
}

// Secret returns a Secret of the store.
func (a *Agent) Secret(namespace, name string) (*corev1.Secret, error) {
	return a.secrets.Get(namespace, name)
}

// Services returns the services of a namespace. That of the API is none of them where pods can't
// reach it: what it leads to would not be what a pod expects.
func (a *Agent) Services(namespace string) []*corev1.Service {
	all := a.services.List(namespace, labels.Everything())
	if namespace != metav1.NamespaceDefault || a.ClusterDNS().IsValid() {
		return all
	}
	return slices.DeleteFunc(all, func(s *corev1.Service) bool { return s.Name == apiService })
}

// apiService is the name of the Service of the API, in the namespace default.
const apiService = "kubernetes"

// APIService returns the Service by which pods reach the API, nil if there is no network that leads
// there.
func (a *Agent) APIService() *corev1.Service {
	if !a.ClusterDNS().IsValid() {
		return nil
	}
	s, err := a.services.Get(metav1.NamespaceDefault, apiService)
	if err != nil {
		return nil
	}
	return s
}

// File returns a file of one of a pod's emptyDir volumes.
func (a *Agent) File(pod *corev1.Pod, volume, path string) ([]byte, error) {
	return a.volumes.ReadFile(pod, volume, path)
}

// Claim returns a persistent volume claim of the store.
func (a *Agent) Claim(namespace, name string) (*corev1.PersistentVolumeClaim, error) {
	return a.claims.Get(namespace, name)
}

// Volume returns a persistent volume of the store.
func (a *Agent) Volume(name string) (*corev1.PersistentVolume, error) {
	return a.persistent.Get("", name)
}

// emitUnmounted records an event when a pod's volumes can't be mounted. A claim that is not bound
// is worth an event only the second time: a new claim usually is bound moments later.
func (a *Agent) emitUnmounted(r *record, pod *corev1.Pod, container string, err error) {
	if r.hasStartFailure(container) || !errors.Is(err, volume.ErrUnbound) {
		a.emit(pod, "", corev1.EventTypeWarning, "FailedMount", "%s", err)
	}
}

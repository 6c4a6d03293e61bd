package registry

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/manifests"
	"skiff/store"
)

// Names of the store's indexes.
const (
	// IndexNode finds pods by spec.nodeName; those without a node under "".
	IndexNode = "node"
	// IndexController finds pods and ReplicaSets by the UID of their controller;
	// those without one under "".
	IndexController = "controller"
	// IndexOwner finds objects of any kind by the UID of each of their owners.
	IndexOwner = "owner"
)

// Indexes are the store.Options.Indexes the registry and the controllers need.
func Indexes() map[string]map[string]store.IndexFunc {
	out := map[string]map[string]store.IndexFunc{}
	for _, kind := range manifests.Kinds() {
		out[kind.GroupResource().String()] = map[string]store.IndexFunc{IndexOwner: owners}
	}
	out["pods"][IndexNode] = func(obj store.Object) []string { return []string{obj.(*corev1.Pod).Spec.NodeName} }
	out["pods"][IndexController] = controller
	out["replicasets.apps"][IndexController] = controller
	return out
}

func owners(obj store.Object) []string {
	references := obj.GetOwnerReferences()
	if len(references) == 0 {
		return nil
	}
	uids := make([]string, len(references))
	for i := range references {
		uids[i] = string(references[i].UID)
	}
	return uids
}

func controller(obj store.Object) []string {
	if reference := metav1.GetControllerOfNoCopy(obj); reference != nil {
		return []string{string(reference.UID)}
	}
	return []string{""}
}

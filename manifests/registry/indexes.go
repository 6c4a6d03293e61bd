package registry

import (
	"cmp"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"

	"skiff/manifests"
	"skiff/manifests/serviceip"
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
	// IndexClusterIP finds services by each of their addresses inside the cluster.
	IndexClusterIP = "cluster IP"
	// IndexLabel finds pods by each of their labels, as LabelOf says.
	IndexLabel = "label"
	// IndexSelector finds services by one of the labels that they select, as LabelOf says: the one
	// whose key sorts first. Who asks for each label of a pod finds each service that selects the pod
	// once, and some that do not.
	IndexSelector = "selector"
	// IndexService finds endpoint slices by the service that they say they belong to, as ServiceOf
	// says.
	IndexService = "service"
	// IndexSubject finds role bindings by each of their subjects, as SubjectOf says.
	IndexSubject = "subject"
)

// LabelOf is the value of IndexLabel and IndexSelector for a label of pods in a namespace.
func LabelOf(namespace, key, value string) string { return namespace + "/" + key + "=" + value }

// ServiceOf is the value of IndexService for a service.
func ServiceOf(namespace, name string) string { return namespace + "/" + name }

// SubjectOf is the value of IndexSubject for a user or a group (rbacv1.UserKind, rbacv1.GroupKind)
// whom bindings of a namespace are about, or ClusterRoleBindings if it is empty. A service account is
// the user of its name.
func SubjectOf(namespace, kind, name string) string { return namespace + "/" + kind + "/" + name }

// Indexes are the store.Options.Indexes the registry and the controllers need.
func Indexes() map[string]map[string]store.IndexFunc {
	out := map[string]map[string]store.IndexFunc{}
	for _, kind := range manifests.Kinds() {
		out[kind.GroupResource().String()] = map[string]store.IndexFunc{IndexOwner: owners}
	}
	out["pods"][IndexNode] = func(obj store.Object) []string { return []string{obj.(*corev1.Pod).Spec.NodeName} }
	out["pods"][IndexController] = controller
	out["pods"][IndexLabel] = labelValues
	out["replicasets.apps"][IndexController] = controller
	out["services"][IndexClusterIP] = clusterIPs
	out["services"][IndexSelector] = selectorValues
	out["endpointslices.discovery.k8s.io"][IndexService] = serviceValues
	out["rolebindings.rbac.authorization.k8s.io"][IndexSubject] = func(obj store.Object) []string {
		return subjectValues(obj.GetNamespace(), obj.(*rbacv1.RoleBinding).Subjects)
	}
	out["clusterrolebindings.rbac.authorization.k8s.io"][IndexSubject] = func(obj store.Object) []string {
		return subjectValues("", obj.(*rbacv1.ClusterRoleBinding).Subjects)
	}
	return out
}

// OtherIndexes are the store.Options.OtherIndexes, those of custom resources.
func OtherIndexes() map[string]store.IndexFunc {
	return map[string]store.IndexFunc{IndexOwner: owners}
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

func clusterIPs(obj store.Object) []string {
	var all []string
	for _, address := range serviceip.Of(obj.(*corev1.Service)) {
		all = append(all, address.String())
	}
	return all
}

func labelValues(obj store.Object) []string {
	var values []string
	for key, value := range obj.GetLabels() {
		values = append(values, LabelOf(obj.GetNamespace(), key, value))
	}
	return values
}

func selectorValues(obj store.Object) []string {
	selects := obj.(*corev1.Service).Spec.Selector
	if len(selects) == 0 {
		return nil
	}
	first := slices.Min(slices.Collect(maps.Keys(selects)))
	return []string{LabelOf(obj.GetNamespace(), first, selects[first])}
}

func serviceValues(obj store.Object) []string {
	name := obj.GetLabels()[discoveryv1.LabelServiceName]
	if name == "" {
		return nil
	}
	return []string{ServiceOf(obj.GetNamespace(), name)}
}

func subjectValues(namespace string, subjects []rbacv1.Subject) []string {
	var values []string
	for _, s := range subjects {
		switch s.Kind {
		case rbacv1.UserKind, rbacv1.GroupKind:
			values = append(values, SubjectOf(namespace, s.Kind, s.Name))
		case rbacv1.ServiceAccountKind:
			if of := cmp.Or(s.Namespace, namespace); of != "" {
				values = append(values, SubjectOf(namespace, rbacv1.UserKind, serviceaccount.MakeUsername(of, s.Name)))
			}
		}
	}
	return values
}

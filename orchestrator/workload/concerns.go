package workload

import (
	"reflect"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"skiff/manifests/registry"
)

// Dependent is what a controller controls: a pod for most, a ReplicaSet for a
// Deployment.
type Dependent interface {
	comparable
	metav1.Object
}

// ControllerOf names the object of a kind, in whatever version, that o says controls it, and is the
// zero name if none of that kind does.
func ControllerOf(o metav1.Object, kind schema.GroupVersionKind) (none types.NamespacedName) {
	ref := metav1.GetControllerOfNoCopy(o)
	if ref == nil || ref.Kind != kind.Kind {
		return none
	}
	if version, err := schema.ParseGroupVersion(ref.APIVersion); err != nil || version.Group != kind.Group {
		return none
	}
	return types.NamespacedName{Namespace: o.GetNamespace(), Name: ref.Name}
}

// Concerns adds the owners that a change of a dependent concerns: that which
// controls it, that which did, and those that might adopt it, when it has come to
// have no controller or its labels have changed. now or before is nil when it has
// gone or come.
func Concerns[T Dependent](now, before T, controllerOf func(T) types.NamespacedName, adopters func(T, func(types.NamespacedName)), add func(types.NamespacedName)) {
	var missing T
	var none, is, was types.NamespacedName
	if now != missing {
		is = controllerOf(now)
	}
	if before != missing {
		was = controllerOf(before)
	}
	if was != none && was != is {
		add(was)
	}
	switch {
	case is != none:
		add(is)
	case now == missing || metav1.GetControllerOfNoCopy(now) != nil:
	case before == missing || was != none || !reflect.DeepEqual(now.GetLabels(), before.GetLabels()):
		adopters(now, add)
	}
}

// Indexed finds objects by the UID of their controller, "" for those that have
// none; a registry.Client is one.
type Indexed[T any] interface {
	ByIndex(index, value string) []T
}

// Candidates are the objects that owner controls, and those of its namespace that
// nobody does. A reference with owner's UID from another namespace, or with
// another name, is no reference to it.
func Candidates[T Dependent](index Indexed[T], owner metav1.Object, controllerOf func(T) types.NamespacedName) []T {
	var out []T
	name := types.NamespacedName{Namespace: owner.GetNamespace(), Name: owner.GetName()}
	for _, o := range index.ByIndex(registry.IndexController, string(owner.GetUID())) {
		if controllerOf(o) == name {
			out = append(out, o)
		}
	}
	for _, o := range index.ByIndex(registry.IndexController, "") {
		if o.GetNamespace() == name.Namespace {
			out = append(out, o)
		}
	}
	return out
}

package expose

import (
	"errors"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"skiff/cli/applyset"
	"skiff/cli/client"
	"skiff/cli/resource"
)

var serviceKind = corev1.SchemeGroupVersion.WithKind("Service")

// exposed is what an object says about the service that it is to have.
type exposed struct {
	name   string
	labels map[string]string
	// selector chooses its pods; why says why there is none.
	selector map[string]string
	why      error
	// ports are its ports in order, each once, and protocols what each speaks.
	ports     []int32
	protocols map[int32][]corev1.Protocol
}

// read reads an object of a kind that can be exposed.
func read(o resource.Object) (exposed, error) {
	e := exposed{name: o.Name, labels: o.Value.GetLabels(), protocols: map[int32][]corev1.Protocol{}}
	// The service is not in the manifests of the set that the object belongs to, and would be pruned.
	delete(e.labels, applyset.PartOf)
	kind := o.Mapping.GroupVersionKind.GroupKind()
	into, ok := readers[kind]
	if !ok {
		return e, fmt.Errorf("cannot expose a %s", kind)
	}
	if err := into(&e, o); err != nil {
		return e, fmt.Errorf("reading %s: %w", o.Ref, err)
	}
	return e, nil
}

var readers = map[schema.GroupKind]func(*exposed, resource.Object) error{
	{Kind: "ReplicationController"}: as(func(e *exposed, o *corev1.ReplicationController) {
		e.selector = o.Spec.Selector
		if o.Spec.Template != nil {
			e.template(&o.Spec.Template.Spec)
		}
	}),
	{Kind: "Pod"}: as(func(e *exposed, o *corev1.Pod) {
		e.selector = o.Labels
		if len(o.Labels) == 0 {
			e.why = errors.New("the pod has no labels and cannot be exposed")
		}
		e.template(&o.Spec)
	}),
	serviceKind.GroupKind(): as(func(e *exposed, o *corev1.Service) {
		e.selector = o.Spec.Selector
		if o.Spec.Selector == nil {
			e.why = errors.New("the service has no pod selector set")
		}
		for _, p := range o.Spec.Ports {
			e.port(p.Port, p.Protocol)
		}
	}),
	{Group: appsv1.GroupName, Kind: "Deployment"}: as(func(e *exposed, o *appsv1.Deployment) {
		e.selects("deployment", o.Spec.Selector)
		e.template(&o.Spec.Template.Spec)
	}),
	{Group: appsv1.GroupName, Kind: "ReplicaSet"}: as(func(e *exposed, o *appsv1.ReplicaSet) {
		e.selects("replicaset", o.Spec.Selector)
		e.template(&o.Spec.Template.Spec)
	}),
}

// as makes a reader of one that wants the object as its own type.
func as[T any](fill func(*exposed, *T)) func(*exposed, resource.Object) error {
	return func(e *exposed, o resource.Object) error {
		obj := new(T)
		if err := client.Into(o.Value, obj); err != nil {
			return err
		}
		fill(e, obj)
		return nil
	}
}

// selects takes a selector that a service can have: one of labels alone.
func (e *exposed) selects(kind string, s *metav1.LabelSelector) {
	switch {
	case s == nil || len(s.MatchLabels) == 0:
		e.why = fmt.Errorf("invalid %s: no selectors, therefore cannot be exposed", kind)
	case len(s.MatchExpressions) > 0:
		e.why = fmt.Errorf("couldn't convert expressions - \"%+v\" to map-based selector format", s.MatchExpressions)
	default:
		e.selector = s.MatchLabels
	}
}

func (e *exposed) template(spec *corev1.PodSpec) {
	for _, c := range spec.Containers {
		for _, p := range c.Ports {
			e.port(p.ContainerPort, p.Protocol)
		}
	}
}

func (e *exposed) port(number int32, protocol corev1.Protocol) {
	if protocol == "" {
		protocol = corev1.ProtocolTCP
	}
	if !slices.Contains(e.ports, number) {
		e.ports = append(e.ports, number)
	}
	e.protocols[number] = append(e.protocols[number], protocol)
}

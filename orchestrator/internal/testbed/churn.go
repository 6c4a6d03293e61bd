package testbed

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"skiff/manifests/registry"
	"skiff/store"
)

// Churn is one thing that somebody does to Services, their pods, or what controllers say of them.
// Number chooses what it is done to.
type Churn struct {
	Verb   string
	Number int
}

func (c Churn) String() string { return fmt.Sprint(c.Verb, " ", c.Number) }

// Churns draws a sequence of such acts.
func Churns() *rapid.Generator[[]Churn] {
	verbs := []string{
		"pod", "pod", "pod", "bind", "bind", "address", "address", "ready", "ready", "unready", "heartbeat", "end", "relabel", "delete", "kill",
		"service", "service", "select", "selectless", "external", "port", "publish", "label", "remove",
		"node", "zone", "drop node", "drop slice", "drop endpoints", "scribble on slice", "scribble on endpoints",
	}
	return rapid.SliceOfN(rapid.Custom(func(r *rapid.T) Churn {
		return Churn{rapid.SampledFrom(verbs).Draw(r, "verb"), rapid.IntRange(0, 11).Draw(r, "n")}
	}), 1, 30)
}

// Stock makes what acts are done to: nodes, Services, and pods that are ready.
func Stock(b *Bed) {
	for n := range 6 {
		for _, verb := range []string{"node", "service", "pod", "bind", "address", "ready"} {
			Churn{verb, n}.Act(b)
		}
	}
}

// chosen is one of the objects of the namespace default.
func chosen[T store.Object](b *Bed, n int) (o T, ok bool) {
	all := List[T](b, metav1.NamespaceDefault)
	if len(all) == 0 {
		return o, false
	}
	return all[n%len(all)], true
}

// change changes the chosen object, if there is one. What fails because of what it is changed to is
// as good as not done.
func change[T store.Object](b *Bed, n int, how func(T)) {
	if o, ok := chosen[T](b, n); ok {
		_, _ = registry.For[T](b.Registry).Update(b.t.Context(), o.GetNamespace(), o.GetName(), func(o T) error { how(o); return nil })
	}
}

func changePod(b *Bed, n int, how func(*corev1.PodStatus)) {
	if p, ok := chosen[*corev1.Pod](b, n); ok {
		UpdateStatus(b, p.Namespace, p.Name, func(p *corev1.Pod) { how(&p.Status) })
	}
}

func drop[T store.Object](b *Bed, n int, o metav1.DeleteOptions) {
	if chosen, ok := chosen[T](b, n); ok {
		_ = registry.For[T](b.Registry).Delete(b.t.Context(), chosen.GetNamespace(), chosen.GetName(), o)
	}
}

// Act does it, or nothing when there is nothing to do it to.
func (c Churn) Act(b *Bed) {
	if !c.toPods(b) && !c.toServices(b) {
		c.toOthers(b)
	}
}

// label is one of three labels, of which pods have one and Services select one.
func (c Churn) label() map[string]string {
	return map[string]string{"app": fmt.Sprint(c.Number % 3), "all": "yes"}
}

func (c Churn) toPods(b *Bed) bool {
	switch c.Verb {
	case "pod":
		p := Pod(metav1.NamespaceDefault, fmt.Sprint("pod-", c.Number), c.label())
		p.Spec.Containers[0].Ports = []corev1.ContainerPort{{Name: "http", ContainerPort: int32(3000 + c.Number%2), Protocol: corev1.ProtocolTCP}}
		if c.Number%4 == 0 {
			p.Spec.Hostname, p.Spec.Subdomain = "host", "service-0"
		}
		_, _ = registry.For[*corev1.Pod](b.Registry).Create(b.t.Context(), p)
	case "bind":
		if p, ok := chosen[*corev1.Pod](b, c.Number); ok {
			_ = b.Bind(b.t.Context(), p.Namespace, p.Name, fmt.Sprint("node-", c.Number%3))
		}
	case "address":
		ip := fmt.Sprint("10.0.0.", 1+c.Number)
		changePod(b, c.Number, func(s *corev1.PodStatus) { s.PodIP, s.PodIPs = ip, []corev1.PodIP{{IP: ip}} })
	case "ready", "unready":
		status := map[string]corev1.ConditionStatus{"ready": corev1.ConditionTrue, "unready": corev1.ConditionFalse}[c.Verb]
		changePod(b, c.Number, func(s *corev1.PodStatus) {
			s.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: status}}
		})
	case "heartbeat":
		changePod(b, c.Number, func(s *corev1.PodStatus) { s.Message += "." })
	case "end":
		changePod(b, c.Number, func(s *corev1.PodStatus) { s.Phase = corev1.PodSucceeded })
	case "relabel":
		change(b, c.Number, func(p *corev1.Pod) { p.Labels = c.label() })
	case "delete":
		drop[*corev1.Pod](b, c.Number, metav1.DeleteOptions{})
	case "kill":
		drop[*corev1.Pod](b, c.Number, *metav1.NewDeleteOptions(0))
	default:
		return false
	}
	return true
}

func (c Churn) toServices(b *Bed) bool {
	spec := func(how func(*corev1.ServiceSpec)) { change(b, c.Number, func(s *corev1.Service) { how(&s.Spec) }) }
	switch c.Verb {
	case "service":
		s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: fmt.Sprint("service-", c.Number%4)}}
		s.Spec.Selector = c.label()
		s.Spec.Ports = []corev1.ServicePort{{Name: "web", Port: 80, TargetPort: intstr.FromString("http"), Protocol: corev1.ProtocolTCP}}
		if c.Number%2 == 0 {
			s.Spec.ClusterIP = corev1.ClusterIPNone
		}
		_, _ = registry.For[*corev1.Service](b.Registry).Create(b.t.Context(), s)
	case "select":
		spec(func(s *corev1.ServiceSpec) { s.Selector = c.label() })
	case "selectless":
		spec(func(s *corev1.ServiceSpec) { s.Selector = nil })
	case "external":
		spec(func(s *corev1.ServiceSpec) {
			if s.Type == corev1.ServiceTypeExternalName {
				s.Type, s.ExternalName = corev1.ServiceTypeClusterIP, ""
			} else {
				s.Type, s.ExternalName, s.ClusterIP, s.ClusterIPs = corev1.ServiceTypeExternalName, "kubia.example.com", "", nil
			}
		})
	case "port":
		spec(func(s *corev1.ServiceSpec) { s.Ports[0].TargetPort = intstr.FromInt32(int32(3000 + c.Number%2)) })
	case "publish":
		spec(func(s *corev1.ServiceSpec) { s.PublishNotReadyAddresses = !s.PublishNotReadyAddresses })
	case "label":
		change(b, c.Number, func(s *corev1.Service) { s.Labels = c.label() })
	case "remove":
		drop[*corev1.Service](b, c.Number, metav1.DeleteOptions{})
	default:
		return false
	}
	return true
}

func (c Churn) toOthers(b *Bed) {
	node, nodes := fmt.Sprint("node-", c.Number%3), registry.For[*corev1.Node](b.Registry)
	switch c.Verb {
	case "node":
		_, _ = nodes.Create(b.t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}})
	case "zone":
		_, _ = nodes.Update(b.t.Context(), "", node, func(n *corev1.Node) error {
			n.Labels = map[string]string{corev1.LabelTopologyZone: fmt.Sprint("zone-", c.Number)}
			return nil
		})
	case "drop node":
		_ = nodes.Delete(b.t.Context(), "", node, metav1.DeleteOptions{})
	case "drop slice":
		drop[*discoveryv1.EndpointSlice](b, c.Number, metav1.DeleteOptions{})
	case "drop endpoints":
		drop[*corev1.Endpoints](b, c.Number, metav1.DeleteOptions{})
	case "scribble on slice":
		change(b, c.Number, func(s *discoveryv1.EndpointSlice) { s.Endpoints = nil })
	case "scribble on endpoints":
		change(b, c.Number, func(e *corev1.Endpoints) {
			e.Subsets = []corev1.EndpointSubset{{
				Addresses: []corev1.EndpointAddress{{IP: fmt.Sprint("10.9.0.", 1+c.Number)}},
				Ports:     []corev1.EndpointPort{{Name: "web", Port: 80, Protocol: corev1.ProtocolTCP}},
			}}
		})
	}
}

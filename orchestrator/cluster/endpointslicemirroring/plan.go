package endpointslicemirroring

import (
	"maps"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"skiff/orchestrator/cluster/backends"
	"skiff/orchestrator/cluster/endpoints"
)

// capacity is how many addresses of a subset are mirrored: upstream's default
// (--mirroring-max-endpoints-per-subset). A slice of each family holds them all.
const capacity = 1000

// leader is the annotation of Endpoints that were locks before there were Leases
// (k8s.io/client-go/tools/leaderelection/resourcelock, which brings a whole client).
const leader = "control-plane.alpha.kubernetes.io/leader"

// snapshot is what one look at Endpoints saw.
type snapshot struct {
	endpoints *corev1.Endpoints // nil if there are none
	service   *corev1.Service   // of their name, nil if there is none
	// slices are those of this controller that name the Service.
	slices []*discoveryv1.EndpointSlice
}

// plan is what is to be done about the mirrored slices.
type plan struct {
	steps []backends.Step
	// skipped is how many addresses are too many to be mirrored.
	skipped int
}

// makePlan compares the slices that there are with the Endpoints.
func makePlan(s snapshot) plan {
	if cause := s.unwanted(); cause != "" {
		return plan{steps: deleteAll(s.slices, cause)}
	}
	wanted, skipped := s.wanted()
	var steps []backends.Step
	present := map[string]*discoveryv1.EndpointSlice{}
	for _, slice := range s.slices {
		k := keyOf(slice)
		switch {
		case !metav1.IsControlledBy(slice, s.endpoints):
			steps = append(steps, backends.Step{Seen: slice, Cause: "of earlier Endpoints of this name"})
		case present[k] != nil:
			steps = append(steps, backends.Step{Seen: slice, Cause: "a second one with these ports"})
		default:
			present[k] = slice
		}
	}
	for _, want := range wanted {
		k := keyOf(want)
		seen := present[k]
		delete(present, k)
		if seen == nil {
			if s.endpoints.DeletionTimestamp == nil {
				steps = append(steps, backends.Step{Want: want, Cause: "not mirrored yet"})
			}
		} else if cause := differs(seen, want); cause != "" {
			steps = append(steps, backends.Step{Seen: seen, Want: want, Cause: cause})
		}
	}
	for _, slice := range s.slices {
		if present[keyOf(slice)] == slice {
			steps = append(steps, backends.Step{Seen: slice, Cause: "no address has these ports any more"})
		}
	}
	return plan{steps: backends.Recycle(steps), skipped: skipped}
}

// unwanted says why nothing is to be mirrored, empty if something is.
func (s snapshot) unwanted() string {
	switch {
	case s.endpoints == nil:
		return "the Endpoints are gone"
	case !mirrorable(s.endpoints):
		return "the Endpoints are not to be mirrored"
	case s.service == nil:
		return "there is no service"
	case len(s.service.Spec.Selector) > 0:
		return "the service has a selector"
	}
	return ""
}

// mirrorable reports whether Endpoints may be mirrored by what is written on them.
func mirrorable(e *corev1.Endpoints) bool {
	_, elects := e.Annotations[leader]
	return e.Labels[discoveryv1.LabelSkipMirror] != "true" && !elects
}

func deleteAll(slices []*discoveryv1.EndpointSlice, cause string) []backends.Step {
	var steps []backends.Step
	for _, slice := range slices {
		steps = append(steps, backends.Step{Seen: slice, Cause: cause})
	}
	return steps
}

// keyOf tells apart the slices of the same Endpoints.
func keyOf(s *discoveryv1.EndpointSlice) string {
	return string(s.AddressType) + " " + backends.PortsKey(s.Ports)
}

// wanted are the mirrored slices as they should be, one for each subset and family, and how many
// addresses are left out.
func (s snapshot) wanted() (slices []*discoveryv1.EndpointSlice, skipped int) {
	for _, subset := range endpoints.Repack(s.endpoints.Subsets) {
		ports := portsOf(subset.Ports)
		byFamily := map[discoveryv1.AddressType]*discoveryv1.EndpointSlice{}
		room := capacity
		add := func(addresses []corev1.EndpointAddress, ready bool) {
			for i := range addresses {
				family, endpoint, ok := endpointOf(&addresses[i], ready)
				if !ok || room == 0 {
					skipped++
					continue
				}
				room--
				if byFamily[family] == nil {
					byFamily[family] = s.slice(family, ports)
					slices = append(slices, byFamily[family])
				}
				byFamily[family].Endpoints = append(byFamily[family].Endpoints, endpoint)
			}
		}
		add(subset.Addresses, true)
		add(subset.NotReadyAddresses, false)
	}
	return slices, skipped
}

func portsOf(ports []corev1.EndpointPort) []discoveryv1.EndpointPort {
	out := []discoveryv1.EndpointPort{}
	for _, p := range ports {
		out = append(out, discoveryv1.EndpointPort{
			Name: ptr.To(p.Name), Port: ptr.To(p.Port), Protocol: ptr.To(p.Protocol), AppProtocol: p.AppProtocol,
		})
	}
	return out
}

// endpointOf is an address as an endpoint of its family. ok is false for what is no address.
func endpointOf(a *corev1.EndpointAddress, ready bool) (family discoveryv1.AddressType, e discoveryv1.Endpoint, ok bool) {
	ip, err := netip.ParseAddr(a.IP)
	if err != nil {
		return "", e, false
	}
	ip, family = ip.Unmap(), discoveryv1.AddressTypeIPv4
	if ip.Is6() {
		family = discoveryv1.AddressTypeIPv6
	}
	e = discoveryv1.Endpoint{
		Addresses: []string{ip.String()}, Conditions: discoveryv1.EndpointConditions{Ready: &ready},
		TargetRef: a.TargetRef, NodeName: a.NodeName,
	}
	if a.Hostname != "" {
		e.Hostname = ptr.To(a.Hostname)
	}
	return family, e, true
}

// slice is a mirrored slice as it is created, without endpoints. It bears the labels and annotations
// of the Endpoints, less what speaks of those alone.
func (s snapshot) slice(family discoveryv1.AddressType, ports []discoveryv1.EndpointPort) *discoveryv1.EndpointSlice {
	labels, annotations := map[string]string{}, map[string]string{}
	maps.Copy(labels, s.endpoints.Labels)
	labels[discoveryv1.LabelServiceName], labels[discoveryv1.LabelManagedBy] = s.endpoints.Name, ManagedBy
	maps.Copy(annotations, s.endpoints.Annotations)
	delete(annotations, corev1.EndpointsLastChangeTriggerTime)
	delete(annotations, corev1.LastAppliedConfigAnnotation)
	return &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.endpoints.Namespace, GenerateName: s.endpoints.Name + "-", Labels: labels, Annotations: annotations,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(s.endpoints, corev1.SchemeGroupVersion.WithKind("Endpoints"))},
		},
		AddressType: family, Ports: ports,
	}
}

// differs says what of a slice is not as it should be, empty for nothing.
func differs(seen, want *discoveryv1.EndpointSlice) string {
	var causes []string
	if !apiequality.Semantic.DeepEqual(seen.Endpoints, want.Endpoints) {
		causes = append(causes, "addresses")
	}
	if !maps.Equal(seen.Labels, want.Labels) {
		causes = append(causes, "labels")
	}
	if !maps.Equal(seen.Annotations, want.Annotations) {
		causes = append(causes, "annotations")
	}
	return strings.Join(causes, ", ")
}

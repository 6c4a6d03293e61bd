package ownservices

import (
	"fmt"
	"maps"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// snapshot is what one look at a Service saw. What there is none of is nil.
type snapshot struct {
	backend *Backend
	// at is where the Service leads, invalid if it is known to lead nowhere. told is false before
	// anything is known: what an earlier daemon has written holds until then.
	at        netip.AddrPort
	told      bool
	service   *corev1.Service
	endpoints *corev1.Endpoints
	slice     *discoveryv1.EndpointSlice
}

// verb is what is to be done, empty for nothing.
type verb string

const (
	create verb = "create"
	update verb = "update"
	remove verb = "delete"
)

type step[T any] struct {
	verb       verb
	seen, want T
	cause      string
}

// plan is what is to be done about the endpoints of a Service.
type plan struct {
	endpoints step[*corev1.Endpoints]
	slice     step[*discoveryv1.EndpointSlice]
}

// String is the plan's steps, one a line, each with its cause.
func (p plan) String() string {
	var lines []string
	if p.endpoints.verb != "" {
		lines = append(lines, fmt.Sprintf("%s Endpoints: %s", p.endpoints.verb, p.endpoints.cause))
	}
	if p.slice.verb != "" {
		lines = append(lines, fmt.Sprintf("%s slice: %s", p.slice.verb, p.slice.cause))
	}
	return strings.Join(lines, "\n")
}

// makePlan compares the Endpoints and the slice with where the Service leads.
func makePlan(s snapshot) plan {
	var p plan
	switch {
	case s.service == nil || s.service.Spec.Type == corev1.ServiceTypeExternalName:
		// The Endpoints go with their Service (orchestrator/cluster/endpoints).
		p.slice = s.withdraw("there is no such service")
		return p
	case len(s.service.Spec.Selector) > 0:
		p.slice = s.withdraw("the service selects pods")
		return p
	}
	if s.told || s.endpoints == nil {
		p.endpoints = s.planEndpoints()
	}
	if s.told || s.slice == nil {
		p.slice = s.planSlice()
	}
	return p
}

// withdraw takes back the slice of a Service that is not skiff's any more, unless somebody else has
// made it.
func (s snapshot) withdraw(cause string) step[*discoveryv1.EndpointSlice] {
	if s.slice == nil || !maps.Equal(s.slice.Labels, s.labels()) {
		return step[*discoveryv1.EndpointSlice]{}
	}
	return step[*discoveryv1.EndpointSlice]{verb: remove, seen: s.slice, cause: cause}
}

func (s snapshot) labels() map[string]string {
	return map[string]string{discoveryv1.LabelServiceName: s.backend.Service.Name}
}

// meta names what belongs to the Service.
func (s snapshot) meta(labels map[string]string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: s.backend.Service.Namespace, Name: s.backend.Service.Name, Labels: labels}
}

func (s snapshot) planEndpoints() step[*corev1.Endpoints] {
	want := &corev1.Endpoints{ObjectMeta: s.meta(map[string]string{discoveryv1.LabelSkipMirror: "true"})}
	if s.at.IsValid() {
		subset := corev1.EndpointSubset{Addresses: []corev1.EndpointAddress{{IP: s.at.Addr().String()}}}
		for _, p := range s.backend.Ports {
			subset.Ports = append(subset.Ports, corev1.EndpointPort{Name: p.Name, Port: int32(s.at.Port()), Protocol: p.Protocol})
		}
		want.Subsets = []corev1.EndpointSubset{subset}
	}
	switch {
	case s.endpoints == nil:
		return step[*corev1.Endpoints]{verb: create, want: want, cause: "the service has none, " + s.where()}
	case !maps.Equal(s.endpoints.Labels, want.Labels) || !apiequality.Semantic.DeepEqual(s.endpoints.Subsets, want.Subsets):
		return step[*corev1.Endpoints]{verb: update, seen: s.endpoints, want: want, cause: s.where()}
	}
	return step[*corev1.Endpoints]{}
}

func (s snapshot) planSlice() step[*discoveryv1.EndpointSlice] {
	want := &discoveryv1.EndpointSlice{
		ObjectMeta: s.meta(s.labels()), AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{},
	}
	if s.at.IsValid() {
		if s.at.Addr().Is6() {
			want.AddressType = discoveryv1.AddressTypeIPv6
		}
		want.Endpoints = []discoveryv1.Endpoint{{
			Addresses: []string{s.at.Addr().String()}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)},
		}}
		for _, p := range s.backend.Ports {
			want.Ports = append(want.Ports, discoveryv1.EndpointPort{
				Name: ptr.To(p.Name), Port: ptr.To(int32(s.at.Port())), Protocol: ptr.To(p.Protocol),
			})
		}
	}
	none := step[*discoveryv1.EndpointSlice]{}
	switch {
	case s.slice == nil:
		return step[*discoveryv1.EndpointSlice]{verb: create, want: want, cause: "the service has none, " + s.where()}
	case s.slice.AddressType != want.AddressType:
		// It cannot be changed: once it is gone, there is another look.
		return step[*discoveryv1.EndpointSlice]{verb: remove, seen: s.slice, cause: "of another family, " + s.where()}
	case maps.Equal(s.slice.Labels, want.Labels) && apiequality.Semantic.DeepEqual(s.slice.Ports, want.Ports) &&
		apiequality.Semantic.DeepEqual(s.slice.Endpoints, want.Endpoints):
		return none
	}
	return step[*discoveryv1.EndpointSlice]{verb: update, seen: s.slice, want: want, cause: s.where()}
}

// where says where the Service leads.
func (s snapshot) where() string {
	if !s.at.IsValid() {
		return "where it leads is not known"
	}
	return "it leads to " + s.at.String()
}

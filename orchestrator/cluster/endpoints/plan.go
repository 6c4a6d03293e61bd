package endpoints

import (
	"fmt"
	"maps"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"skiff/manifests/podfacts"
	"skiff/orchestrator/cluster/backends"
)

// snapshot is what one look at a Service saw.
type snapshot struct {
	service   *corev1.Service   // nil if there is none
	endpoints *corev1.Endpoints // of its name, nil if there are none
	// pods are those that it selects.
	pods []*corev1.Pod
}

// verb is what is to be done, empty for nothing.
type verb string

const (
	create verb = "create"
	update verb = "update"
	remove verb = "delete"
)

// plan is what is to be done about the Endpoints of a Service.
type plan struct {
	verb       verb
	seen, want *corev1.Endpoints
	cause      string
}

// String is the plan with its cause, and the subsets as they will be, one a line.
func (p plan) String() string {
	switch p.verb {
	case "":
		return ""
	case remove:
		return fmt.Sprintf("delete Endpoints %s: %s", p.seen.Name, p.cause)
	}
	lines := []string{fmt.Sprintf("%s Endpoints %s: %s", p.verb, p.want.Name, p.cause)}
	for i := range p.want.Subsets {
		lines = append(lines, "  "+describe(&p.want.Subsets[i]))
	}
	return strings.Join(lines, "\n")
}

// shown is how many addresses of a subset a plan names.
const shown = 8

func describe(s *corev1.EndpointSubset) string {
	var parts []string
	tell := func(all []corev1.EndpointAddress, state string) {
		for i := range all {
			if i == shown {
				parts = append(parts, fmt.Sprintf("and %d more%s", len(all)-shown, state))
				return
			}
			parts = append(parts, all[i].IP+state)
		}
	}
	tell(s.Addresses, "")
	tell(s.NotReadyAddresses, "-unready")
	ports := make([]string, len(s.Ports))
	for i, p := range s.Ports {
		ports[i] = fmt.Sprintf("%s:%d/%s", p.Name, p.Port, p.Protocol)
	}
	if len(ports) == 0 {
		ports = []string{"without ports"}
	}
	return strings.Join(ports, ",") + " " + strings.Join(parts, " ")
}

// makePlan compares the Endpoints that there are with where the Service leads.
func makePlan(s snapshot) plan {
	if s.service == nil {
		return withdraw(s.endpoints, "the service is gone")
	}
	if s.service.Spec.Type == corev1.ServiceTypeExternalName {
		if s.endpoints == nil || s.endpoints.Labels[LabelManagedBy] != ManagedBy {
			return plan{}
		}
		return withdraw(s.endpoints, "the service is an external name")
	}
	if !backends.LeadsToPods(s.service) {
		// Whoever took the selector away takes over what there is.
		return plan{}
	}
	subsets, truncated := truncate(Repack(s.subsets()))
	want := &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Namespace: s.service.Namespace, Name: s.service.Name}}
	want.Subsets, want.Labels = subsets, labelsOf(s.service)
	if s.endpoints == nil {
		want.Annotations = annotate(nil, truncated, s.service.CreationTimestamp.Time)
		return plan{verb: create, want: want, cause: "the service has none"}
	}
	if cause := s.differs(want, truncated); cause != "" {
		want.Annotations = annotate(maps.Clone(s.endpoints.Annotations), truncated, s.triggered(want))
		return plan{verb: update, seen: s.endpoints, want: want, cause: cause}
	}
	return plan{}
}

func withdraw(e *corev1.Endpoints, cause string) plan {
	if e == nil {
		return plan{}
	}
	return plan{verb: remove, seen: e, cause: cause}
}

// differs says what is not as it should be, empty for nothing.
func (s snapshot) differs(want *corev1.Endpoints, truncated bool) string {
	var causes []string
	if !apiequality.Semantic.DeepEqual(s.endpoints.Subsets, want.Subsets) {
		causes = append(causes, "addresses")
	}
	if !maps.Equal(s.endpoints.Labels, want.Labels) {
		causes = append(causes, "labels")
	}
	_, marked := s.endpoints.Annotations[corev1.EndpointsOverCapacity]
	if marked != truncated {
		causes = append(causes, "capacity")
	}
	return strings.Join(causes, ", ")
}

func annotate(annotations map[string]string, truncated bool, triggered time.Time) map[string]string {
	annotations = backends.SetTriggered(annotations, triggered)
	delete(annotations, corev1.EndpointsOverCapacity)
	if truncated {
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[corev1.EndpointsOverCapacity] = "truncated"
	}
	return annotations
}

func labelsOf(s *corev1.Service) map[string]string {
	labels := map[string]string{}
	maps.Copy(labels, s.Labels)
	delete(labels, corev1.IsHeadlessService)
	if backends.Headless(s) {
		labels[corev1.IsHeadlessService] = ""
	}
	labels[LabelManagedBy] = ManagedBy
	return labels
}

// subsets are those of each pod and port, to be repacked.
func (s snapshot) subsets() []corev1.EndpointSubset {
	var all []corev1.EndpointSubset
	for _, pod := range s.pods {
		address, ok := s.address(pod)
		if !ok {
			continue
		}
		subset := corev1.EndpointSubset{Ports: portsOf(pod, s.service)}
		if len(subset.Ports) == 0 && !(len(s.service.Spec.Ports) == 0 && s.service.Spec.ClusterIP == corev1.ClusterIPNone) {
			continue // it has none of the ports; a headless Service need have no ports
		}
		if s.ready(pod) {
			subset.Addresses = []corev1.EndpointAddress{address}
		} else {
			subset.NotReadyAddresses = []corev1.EndpointAddress{address}
		}
		all = append(all, subset)
	}
	return all
}

func (s snapshot) ready(pod *corev1.Pod) bool {
	return s.service.Spec.PublishNotReadyAddresses || podfacts.Ready(pod)
}

// address is a pod's. One that has ended has none, and neither has one that is being deleted, unless
// the Service wants those too that are not ready.
func (s snapshot) address(pod *corev1.Pod) (a corev1.EndpointAddress, ok bool) {
	if podfacts.Terminal(pod) || pod.DeletionTimestamp != nil && !s.service.Spec.PublishNotReadyAddresses {
		return a, false
	}
	family := corev1.IPv4Protocol
	if len(s.service.Spec.IPFamilies) > 0 {
		family = s.service.Spec.IPFamilies[0]
	}
	ip, ok := backends.Address(pod, family)
	if !ok {
		return a, false
	}
	a = corev1.EndpointAddress{IP: ip, TargetRef: backends.Reference(pod), Hostname: backends.Hostname(pod, s.service)}
	if pod.Spec.NodeName != "" {
		a.NodeName = ptr.To(pod.Spec.NodeName)
	}
	return a, true
}

func portsOf(pod *corev1.Pod, s *corev1.Service) []corev1.EndpointPort {
	var ports []corev1.EndpointPort
	for i := range s.Spec.Ports {
		of := &s.Spec.Ports[i]
		if number, ok := backends.Port(pod, of); ok {
			ports = append(ports, corev1.EndpointPort{Name: of.Name, Port: number, Protocol: of.Protocol, AppProtocol: of.AppProtocol})
		}
	}
	return ports
}

// triggered is the time of the first of the changes that the Endpoints follow: of pods that are new
// in them, or were ready and are not, or the reverse.
func (s snapshot) triggered(want *corev1.Endpoints) time.Time {
	before, now := states(s.endpoints), states(want)
	var first time.Time
	for _, pod := range s.pods {
		was, known := before[string(pod.UID)]
		if is, listed := now[string(pod.UID)]; listed && (!known || was != is) {
			first = backends.Earlier(first, backends.Triggered(pod))
		}
	}
	return first
}

// states are whether the pods in Endpoints are ready, by their UIDs.
func states(e *corev1.Endpoints) map[string]bool {
	ready := map[string]bool{}
	note := func(addresses []corev1.EndpointAddress, state bool) {
		for i := range addresses {
			if ref := addresses[i].TargetRef; ref != nil {
				ready[string(ref.UID)] = state
			}
		}
	}
	for i := range e.Subsets {
		note(e.Subsets[i].Addresses, true)
		note(e.Subsets[i].NotReadyAddresses, false)
	}
	return ready
}

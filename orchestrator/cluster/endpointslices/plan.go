package endpointslices

import (
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/orchestrator/cluster/backends"
)

// snapshot is what one look at a Service saw.
type snapshot struct {
	service *corev1.Service
	// pods are those that it selects, in the order of their names.
	pods []*corev1.Pod
	// zones are the pods' nodes that there are, each with its zone: empty for none.
	zones map[string]string
	// slices are those of this controller that name the Service.
	slices []*discoveryv1.EndpointSlice
}

// planner makes a plan for the slices of one Service.
type planner struct {
	snapshot
	// labels are those of every slice.
	labels map[string]string
	steps  []backends.Step
	// triggered is the time of the first of the changes that the plan follows.
	triggered time.Time
}

// makePlan compares the slices that there are with where the Service leads.
func makePlan(s snapshot) []backends.Step {
	p := planner{snapshot: s, labels: labelsOf(s.service)}
	if !backends.LeadsToPods(s.service) {
		p.withdraw()
		return p.steps
	}
	families := familiesOf(s.service)
	byFamily := map[discoveryv1.AddressType][]*discoveryv1.EndpointSlice{}
	present := false
	for _, slice := range s.slices {
		switch {
		case !ownedBy(slice, s.service):
			p.remove(slice, "of an earlier service of this name")
		case !slices.Contains(families, corev1.IPFamily(slice.AddressType)):
			p.remove(slice, "the service has no such addresses")
		default:
			present = true
			byFamily[slice.AddressType] = append(byFamily[slice.AddressType], slice)
		}
	}
	for _, family := range families {
		p.planFamily(family, byFamily[discoveryv1.AddressType(family)])
	}
	if !present {
		p.triggered = s.service.CreationTimestamp.Time
	}
	return p.finish()
}

// withdraw plans for a Service that leads to pods no longer. Slices that others have made for it are
// left to them.
func (p *planner) withdraw() {
	for _, slice := range p.slices {
		switch {
		case !ownedBy(slice, p.service):
		case p.service.Spec.Type == corev1.ServiceTypeExternalName:
			p.remove(slice, "the service is an external name")
		default:
			p.remove(slice, "the service selects no pods")
		}
	}
}

// finish completes the steps once all are known.
func (p *planner) finish() []backends.Step {
	steps := backends.Recycle(p.steps)
	if p.service.DeletionTimestamp != nil {
		// The garbage collector is about to delete what would be created.
		steps = slices.DeleteFunc(steps, func(s backends.Step) bool { return s.Seen == nil })
	}
	for _, s := range steps {
		if s.Want == nil {
			continue
		}
		if s.Seen != nil {
			s.Want.Annotations = maps.Clone(s.Seen.Annotations)
		}
		s.Want.Annotations = backends.SetTriggered(s.Want.Annotations, p.triggered)
	}
	return steps
}

// planFamily plans for the addresses of one family.
func (p *planner) planFamily(family corev1.IPFamily, present []*discoveryv1.EndpointSlice) {
	byPorts := map[string][]*discoveryv1.EndpointSlice{}
	for _, slice := range present {
		k := backends.PortsKey(slice.Ports)
		byPorts[k] = append(byPorts[k], slice)
	}
	kept := 0
	groups := p.groups(family)
	for _, g := range groups {
		kept += p.pack(family, g, byPorts[g.key])
		delete(byPorts, g.key)
	}
	var stale []*discoveryv1.EndpointSlice
	for _, slice := range present {
		if _, ok := byPorts[backends.PortsKey(slice.Ports)]; ok {
			stale = append(stale, slice)
		}
	}
	if kept == 0 {
		stale = p.keepPlaceholder(family, stale)
	}
	for _, slice := range stale {
		p.remove(slice, "no pod has these ports any more")
	}
}

// keepPlaceholder plans for a Service without endpoints, which has one slice that is empty: so it can
// be told from a Service that nobody has looked at. It returns the other slices.
func (p *planner) keepPlaceholder(family corev1.IPFamily, stale []*discoveryv1.EndpointSlice) (others []*discoveryv1.EndpointSlice) {
	i := slices.IndexFunc(stale, func(s *discoveryv1.EndpointSlice) bool { return len(s.Ports) == 0 && len(s.Endpoints) == 0 })
	if i < 0 {
		p.steps = append(p.steps, backends.Step{Want: p.slice(family, nil), Cause: "no endpoints"})
		return stale
	}
	if !maps.Equal(stale[i].Labels, p.labels) {
		p.steps = append(p.steps, backends.Step{Seen: stale[i], Want: p.slice(family, nil), Cause: "labels"})
	}
	return slices.Delete(stale, i, i+1)
}

func (p *planner) remove(s *discoveryv1.EndpointSlice, cause string) {
	p.steps = append(p.steps, backends.Step{Seen: s, Cause: cause})
}

// slice is a slice of the Service as it is created, without endpoints.
func (p *planner) slice(family corev1.IPFamily, ports []discoveryv1.EndpointPort) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: p.service.Namespace, GenerateName: p.service.Name + "-", Labels: maps.Clone(p.labels),
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(p.service, corev1.SchemeGroupVersion.WithKind("Service"))},
		},
		AddressType: discoveryv1.AddressType(family), Ports: ports, Endpoints: []discoveryv1.Endpoint{},
	}
}

// labelsOf are the labels of a Service's slices: its own, and those by which they are found.
func labelsOf(s *corev1.Service) map[string]string {
	labels := map[string]string{}
	maps.Copy(labels, s.Labels)
	delete(labels, corev1.IsHeadlessService)
	if backends.Headless(s) {
		labels[corev1.IsHeadlessService] = ""
	}
	labels[discoveryv1.LabelServiceName] = s.Name
	labels[discoveryv1.LabelManagedBy] = ManagedBy
	return labels
}

// familiesOf are the families of a Service's addresses. The registry gives each Service its own.
func familiesOf(s *corev1.Service) []corev1.IPFamily {
	if len(s.Spec.IPFamilies) == 0 {
		return []corev1.IPFamily{corev1.IPv4Protocol}
	}
	return s.Spec.IPFamilies
}

func ownedBy(slice *discoveryv1.EndpointSlice, s *corev1.Service) bool {
	return slices.ContainsFunc(slice.OwnerReferences, func(o metav1.OwnerReference) bool {
		return o.UID == s.UID && o.Kind == "Service" && o.APIVersion == "v1"
	})
}

package diagnosis

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"skiff/cli/command"
	"skiff/manifests/podfacts"
)

// Service reports on a service.
func (s *Scene) Service(o *corev1.Service) Report {
	r := Report{Object: who("Service", o), Namespace: o.Namespace}
	switch {
	case o.DeletionTimestamp != nil:
		r.fine("is being deleted since %s", s.at(o.DeletionTimestamp.Time))
		s.held(&r, o, "service")
		return r
	case o.Spec.Type == corev1.ServiceTypeExternalName:
		r.fine("is another name of %s", o.Spec.ExternalName)
		return r
	case len(o.Spec.Selector) == 0:
		s.handMade(&r, o)
		return r
	}
	s.published(&r, o)
	selector := labels.SelectorFromSet(o.Spec.Selector)
	var pods []*corev1.Pod
	readyOnes := 0
	for i := range s.Pods {
		p := &s.Pods[i]
		if !selector.Matches(labels.Set(p.Labels)) || podfacts.Terminal(p) {
			continue
		}
		pods = append(pods, p)
		if podfacts.Ready(p) {
			readyOnes++
		}
	}
	s.targets(&r, o, pods)
	switch {
	case len(pods) == 0:
		s.selectsNothing(&r, o)
	case readyOnes == 0 && !o.Spec.PublishNotReadyAddresses:
		r.wrong("has no endpoints: it selects %s", command.Counted(len(pods), "pod, which is not ready", "pods, none of which is ready"))
		r.below(s.reports(pods))
		r.next("a pod gets requests as soon as it is ready")
	default:
		r.fine("leads to %d of %s", readyOnes, command.Counted(len(pods), "pod", "pods"))
	}
	return r
}

// handMade is about a service whose endpoints somebody else writes.
func (s *Scene) handMade(r *Report, o *corev1.Service) {
	n := 0
	for i := range s.Slices {
		if s.Slices[i].Labels["kubernetes.io/service-name"] == o.Name {
			n += len(s.Slices[i].Endpoints)
		}
	}
	if n > 0 || s.Slices == nil {
		r.fine("has no selector, and %s that somebody else wrote", command.Counted(n, "endpoint", "endpoints"))
		return
	}
	r.wrong("has no endpoints: it has no selector, and nobody has written any")
	r.do("give it a selector, or write an EndpointSlice with the label kubernetes.io/service-name=%s", o.Name)
}

// published adds ports of a load balancer that could not be opened.
func (s *Scene) published(r *Report, o *corev1.Service) {
	for _, c := range o.Status.Conditions {
		if c.Type == corev1.LoadBalancerPortsError && c.Status == metav1.ConditionTrue {
			r.wrong("has a port that is not open on this machine: %s", Reason(c.Reason, c.Message))
			r.do("see who listens there (ss -ltnp), or give the service another port")
		}
	}
}

// selectsNothing is about a service whose selector no pod matches. The nearest miss is named.
func (s *Scene) selectsNothing(r *Report, o *corev1.Service) {
	r.wrong("has no endpoints: no pod has the labels of its selector, %s", labels.Set(o.Spec.Selector))
	stopped := false
	for what, set := range s.templates() {
		if labels.SelectorFromSet(o.Spec.Selector).Matches(set.labels) {
			r.cause("%s would have such pods, and wants %d", what, set.replicas)
			r.do("skiff why %s", what)
			stopped = true
		}
	}
	if stopped {
		return
	}
	near, distance := s.nearMiss(o.Spec.Selector)
	if near == "" || distance > len(o.Spec.Selector) {
		r.do("start what has these labels, or mend spec.selector of the service")
		return
	}
	r.cause("%s", near)
	r.do("mend spec.selector of the service, or the labels in the pods' template")
}

// template is the labels of a workload's pods, and how many it wants.
type template struct {
	labels   labels.Set
	replicas int32
}

// templates are those of the workloads, by kind/name, in order.
func (s *Scene) templates() func(yield func(string, template) bool) {
	return func(yield func(string, template) bool) {
		for i := range s.Deployments {
			o := &s.Deployments[i]
			if !yield(who("Deployment", o), template{o.Spec.Template.Labels, ptr.Deref(o.Spec.Replicas, 1)}) {
				return
			}
		}
		for i := range s.StatefulSets {
			o := &s.StatefulSets[i]
			if !yield(who("StatefulSet", o), template{o.Spec.Template.Labels, ptr.Deref(o.Spec.Replicas, 1)}) {
				return
			}
		}
		for i := range s.DaemonSets {
			o := &s.DaemonSets[i]
			if !yield(who("DaemonSet", o), template{o.Spec.Template.Labels, o.Status.DesiredNumberScheduled}) {
				return
			}
		}
	}
}

// nearMiss is the workload or pod whose labels are nearest to a selector, in words, and how many labels
// differ.
func (s *Scene) nearMiss(selector map[string]string) (near string, distance int) {
	distance = len(selector) + 1
	consider := func(what string, has map[string]string) {
		missing := misses(selector, has)
		// One that has none of the labels, in whatever value, is not near.
		shares := slices.ContainsFunc(missing, func(m string) bool { return !strings.HasPrefix(m, "no label") }) || len(missing) < len(selector)
		if shares && len(missing) < distance {
			near, distance = fmt.Sprintf("the nearest is %s, which has %s", what, strings.Join(missing, " and ")), len(missing)
		}
	}
	for what, set := range s.templates() {
		consider(what, set.labels)
	}
	for i := range s.Pods {
		if s.ownersTop(&s.Pods[i]) == "" {
			consider("pod/"+s.Pods[i].Name, s.Pods[i].Labels)
		}
	}
	if near == "" {
		for what, set := range s.templates() {
			for key, value := range selector {
				if other := likeKey(set.labels, value); other != "" {
					return fmt.Sprintf("the nearest is %s, which has %s=%s instead of %s=%s", what, other, value, key, value), 1
				}
			}
		}
	}
	return near, distance
}

// likeKey is the key of a label that has a value; "" when none has.
func likeKey(set labels.Set, value string) string {
	for key, v := range set {
		if v == value {
			return key
		}
	}
	return ""
}

// targets adds ports of a service whose names none of its pods has, or that nothing declares.
func (s *Scene) targets(r *Report, o *corev1.Service, pods []*corev1.Pod) {
	for _, port := range o.Spec.Ports {
		if port.TargetPort.Type != intstr.String || len(pods) == 0 {
			continue
		}
		var names []string
		if slices.ContainsFunc(pods, func(p *corev1.Pod) bool { return hasPort(p, port.TargetPort.StrVal, &names) }) {
			continue
		}
		r.wrong("leads nowhere by port %d: no container of its pods has a port named %q", port.Port, port.TargetPort.StrVal)
		if len(names) == 0 {
			r.cause("their ports have no names")
		} else {
			r.cause("the names of their ports are %s", strings.Join(names, ", "))
		}
		r.do("mend targetPort of the service, or name the port in the pods' template")
	}
}

// hasPort reports whether a pod has a port of a name, and collects those that it has.
func hasPort(p *corev1.Pod, name string, names *[]string) bool {
	for i := range p.Spec.Containers {
		for _, port := range p.Spec.Containers[i].Ports {
			if port.Name == name {
				return true
			}
			if port.Name != "" && !slices.Contains(*names, port.Name) {
				*names = append(*names, port.Name)
			}
		}
	}
	return false
}

// Ingress reports on an ingress.
func (s *Scene) Ingress(o *networkingv1.Ingress) Report {
	r := Report{Object: who("Ingress", o), Namespace: o.Namespace}
	if o.DeletionTimestamp != nil {
		r.fine("is being deleted since %s", s.at(o.DeletionTimestamp.Time))
		s.held(&r, o, "ingress")
		return r
	}
	s.class(&r, o)
	if o.Spec.DefaultBackend != nil {
		s.backend(&r, "the default", o.Spec.DefaultBackend)
	}
	for _, rule := range o.Spec.Rules {
		if rule.HTTP == nil {
			continue
		}
		for _, path := range rule.HTTP.Paths {
			s.backend(&r, rule.Host+path.Path, &path.Backend)
		}
	}
	if !r.Wrong {
		r.fine("is served")
	}
	return r
}

// class adds an ingress class that does not exist: nobody serves the ingress then.
func (s *Scene) class(r *Report, o *networkingv1.Ingress) {
	class := ptr.Deref(o.Spec.IngressClassName, o.Annotations["kubernetes.io/ingress.class"])
	if class == "" || len(s.Classes) == 0 || named(s.Classes, class) != nil {
		return
	}
	var names []string
	for i := range s.Classes {
		names = append(names, s.Classes[i].Name)
	}
	r.wrong("is not served: its class %q does not exist", class)
	r.cause("the classes are %s", strings.Join(names, ", "))
	r.do("set spec.ingressClassName to one of them, or remove it for the default one")
}

// backend adds a backend that can not be reached. way is what leads to it.
func (s *Scene) backend(r *Report, way string, b *networkingv1.IngressBackend) {
	if b.Service == nil {
		return
	}
	service := named(s.Services, b.Service.Name)
	if service == nil {
		r.wrong("leads nowhere: service/%s does not exist", b.Service.Name)
		r.cause("%s leads to service/%s, which does not exist", way, b.Service.Name)
		r.do("create the service, or mend its name in the ingress")
		return
	}
	port := b.Service.Port
	if !slices.ContainsFunc(service.Spec.Ports, func(p corev1.ServicePort) bool {
		return port.Name != "" && p.Name == port.Name || port.Name == "" && p.Port == port.Number
	}) && (port.Name != "" || port.Number != 0) {
		var has []string
		for _, p := range service.Spec.Ports {
			has = append(has, strings.TrimSuffix(fmt.Sprintf("%d (%s)", p.Port, p.Name), " ()"))
		}
		wanted := port.Name
		if wanted == "" {
			wanted = fmt.Sprint(port.Number)
		}
		r.wrong("leads nowhere: service/%s has no port %s", service.Name, wanted)
		r.cause("%s leads to port %s of service/%s, whose ports are %s", way, wanted, service.Name, strings.Join(has, ", "))
		r.do("mend the port in the ingress")
		return
	}
	if one := s.Service(service); one.Wrong {
		r.wrong("leads nowhere: %s %s", one.Object, one.State)
		r.below([]Report{one})
	}
}

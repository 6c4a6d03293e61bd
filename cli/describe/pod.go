package describe

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/manifests/podfacts"
)

func pod(p *page, o *corev1.Pod) error {
	p.podHead(o)
	p.podStatus(o)
	field := func(e corev1.EnvVar) string { return podField(o, e) }
	if o.Spec.Resources != nil {
		p.title("Resources")
		p.in(func() { p.resources(*o.Spec.Resources) })
	}
	if len(o.Spec.InitContainers) > 0 {
		p.containers("Init Containers", o.Spec.InitContainers, o.Status.InitContainerStatuses, field, false)
	}
	p.containers("Containers", o.Spec.Containers, o.Status.ContainerStatuses, field, false)
	if len(o.Spec.EphemeralContainers) > 0 {
		p.containers("Ephemeral Containers", ephemeral(o.Spec.EphemeralContainers), o.Status.EphemeralContainerStatuses, field, false)
	}
	p.podConditions(o)
	p.volumes(o.Spec.Volumes, false)
	p.field("QoS Class", o.Status.QOSClass)
	p.labels("Node-Selectors", o.Spec.NodeSelector)
	p.list("Tolerations", tolerations(o.Spec.Tolerations))
	p.spread(o.Spec.TopologySpreadConstraints)
	p.events(o, "")
	return nil
}

func (s *sheet) podHead(o *corev1.Pod) {
	s.field("Name", o.Name)
	s.field("Namespace", o.Namespace)
	whenSet(s, "Priority", o.Spec.Priority)
	nonEmpty(s, "Priority Class Name", o.Spec.PriorityClassName)
	if o.Spec.RuntimeClassName != nil {
		nonEmpty(s, "Runtime Class Name", *o.Spec.RuntimeClassName)
	}
	nonEmpty(s, "Service Account", o.Spec.ServiceAccountName)
	if o.Spec.NodeName == "" {
		s.field("Node", none)
	} else {
		s.field("Node", o.Spec.NodeName+"/"+o.Status.HostIP)
	}
	if o.Status.StartTime != nil {
		s.field("Start Time", stamp(o.Status.StartTime.Time))
	}
	s.labelled(o)
}

func (s *sheet) podStatus(o *corev1.Pod) {
	if podfacts.Terminating(o) {
		s.field("Status", fmt.Sprintf("Terminating (lasts %s)", s.since(o.DeletionTimestamp.Time)))
		if o.DeletionGracePeriodSeconds != nil {
			s.field("Termination Grace Period", fmt.Sprintf("%ds", *o.DeletionGracePeriodSeconds))
		}
	} else {
		s.field("Status", o.Status.Phase)
	}
	nonEmpty(s, "Reason", o.Status.Reason)
	nonEmpty(s, "Message", o.Status.Message)
	if sc := o.Spec.SecurityContext; sc != nil {
		s.seccomp(sc.SeccompProfile, 0)
	}
	s.field("IP", o.Status.PodIP)
	if len(o.Status.PodIPs) == 0 {
		s.field("IPs", none)
	} else {
		s.title("IPs")
		for _, ip := range o.Status.PodIPs {
			s.in(func() { s.field("IP", ip.IP) })
		}
	}
	s.controlledBy(o)
	nonEmpty(s, "NominatedNodeName", o.Status.NominatedNodeName)
}

// seccomp writes a profile; the name of one on the node stands deeper by steps.
func (s *sheet) seccomp(profile *corev1.SeccompProfile, steps int) {
	if profile == nil {
		return
	}
	s.field("SeccompProfile", profile.Type)
	if profile.Type == corev1.SeccompProfileTypeLocalhost && profile.LocalhostProfile != nil {
		s.at(steps, func() { s.field("LocalhostProfile", *profile.LocalhostProfile) })
	}
}

func (s *sheet) podConditions(o *corev1.Pod) {
	if len(o.Spec.ReadinessGates) > 0 {
		s.title("Readiness Gates")
		s.in(func() { s.line("Type\tStatus") })
		for _, g := range o.Spec.ReadinessGates {
			s.in(func() { s.line("%v \t%v ", g.ConditionType, conditionStatus(o, g.ConditionType)) })
		}
	}
	if len(o.Status.Conditions) == 0 {
		return
	}
	s.title("Conditions")
	s.in(func() {
		s.line("Type\tStatus")
		for _, c := range o.Status.Conditions {
			s.line("%v \t%v ", c.Type, c.Status)
		}
	})
}

func conditionStatus(o *corev1.Pod, t corev1.PodConditionType) string {
	for _, c := range o.Status.Conditions {
		if c.Type == t {
			return string(c.Status)
		}
	}
	return none
}

func ephemeral(all []corev1.EphemeralContainer) []corev1.Container {
	out := make([]corev1.Container, len(all))
	for i, c := range all {
		out[i] = corev1.Container(c.EphemeralContainerCommon)
	}
	return out
}

// podField resolves what the downward API can of a pod's own metadata, as kubectl does; "" for the
// rest.
func podField(o *corev1.Pod, e corev1.EnvVar) string {
	switch e.ValueFrom.FieldRef.FieldPath {
	case "metadata.name":
		return o.Name
	case "metadata.namespace":
		return o.Namespace
	}
	return ""
}

// template writes a pod template, below its controller.
// Template describes a pod template as kubectl rollout history does: with tabs, and not in columns.
func Template(t *corev1.PodTemplateSpec) string {
	s := newSheet(time.Now)
	s.out = &s.buf
	s.template(t)
	return s.buf.String()
}

func (s *sheet) template(t *corev1.PodTemplateSpec) {
	s.title("Pod Template")
	if t == nil {
		s.in(func() { s.line(unset) })
		return
	}
	s.in(func() {
		s.labels("Labels", t.Labels)
		if len(t.Annotations) > 0 {
			s.annotations("Annotations", t.Annotations)
		}
		nonEmpty(s, "Service Account", t.Spec.ServiceAccountName)
	})
	if len(t.Spec.InitContainers) > 0 {
		s.containers("Init Containers", t.Spec.InitContainers, nil, nil, true)
	}
	s.containers("Containers", t.Spec.Containers, nil, nil, true)
	s.volumes(t.Spec.Volumes, true)
	s.in(func() {
		s.spread(t.Spec.TopologySpreadConstraints)
		nonEmpty(s, "Priority Class Name", t.Spec.PriorityClassName)
		s.labels("Node-Selectors", t.Spec.NodeSelector)
		s.list("Tolerations", tolerations(t.Spec.Tolerations))
	})
}

func (s *sheet) spread(all []corev1.TopologySpreadConstraint) {
	if len(all) == 0 {
		return
	}
	all = slices.Clone(all)
	sort.SliceStable(all, func(i, j int) bool { return all[i].TopologyKey < all[j].TopologyKey })
	var out []string
	for _, c := range all {
		text := fmt.Sprintf("%s:%v when max skew %d is exceeded", c.TopologyKey, c.WhenUnsatisfiable, c.MaxSkew)
		if c.LabelSelector != nil {
			text += " for selector " + metav1.FormatLabelSelector(c.LabelSelector)
		}
		out = append(out, text)
	}
	s.list("Topology Spread Constraints", out)
}

func tolerations(all []corev1.Toleration) []string {
	all = slices.Clone(all)
	sort.SliceStable(all, func(i, j int) bool { return all[i].Key < all[j].Key })
	var out []string
	for _, t := range all {
		var b strings.Builder
		b.WriteString(t.Key)
		if t.Value != "" {
			b.WriteString("=" + t.Value)
		}
		if t.Effect != "" {
			b.WriteString(":" + string(t.Effect))
		}
		if t.Operator == corev1.TolerationOpExists && t.Value == "" {
			if b.Len() > 0 {
				b.WriteByte(' ')
			}
			b.WriteString("op=Exists")
		}
		if t.TolerationSeconds != nil {
			fmt.Fprintf(&b, " for %ds", *t.TolerationSeconds)
		}
		out = append(out, b.String())
	}
	return out
}

package scheduling

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// makeNode makes a node of a line of words: its name, then what is special about
// it. Without more it is ready, with 4 cores, 8 GiB and room for 110 pods.
func makeNode(line string) *corev1.Node {
	words := strings.Fields(line)
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: words[0], Labels: map[string]string{"name": words[0]}}}
	ready := corev1.ConditionTrue
	cpu, memory, pods, gpus := "4", "8Gi", "110", "0"
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "cpu":
			cpu = value
		case "memory":
			memory = value
		case "pods":
			pods = value
		case "example.com/gpu":
			gpus = value
		case "ready":
			ready = corev1.ConditionStatus(value)
		case "cordoned":
			n.Spec.Unschedulable = true
		case "taint": // key:effect
			k, effect, _ := strings.Cut(value, ":")
			n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: k, Effect: corev1.TaintEffect(effect)})
		default:
			n.Labels[key] = value
		}
	}
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready}}
	n.Status.Allocatable = corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory),
		corev1.ResourcePods: resource.MustParse(pods), "example.com/gpu": resource.MustParse(gpus),
	}
	return n
}

// makePod makes a pod of a line of words.
func makePod(line string) *corev1.Pod {
	words := strings.Fields(line)
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: words[0], UID: types.UID(words[0])},
		Spec: corev1.PodSpec{
			SchedulerName: corev1.DefaultSchedulerName,
			Containers:    []corev1.Container{{Name: "c", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{}}}},
		},
	}
	c := &p.Spec.Containers[0]
	affinity := func() *corev1.NodeAffinity {
		if p.Spec.Affinity == nil {
			p.Spec.Affinity = &corev1.Affinity{}
		}
		if p.Spec.Affinity.NodeAffinity == nil {
			p.Spec.Affinity.NodeAffinity = &corev1.NodeAffinity{}
		}
		return p.Spec.Affinity.NodeAffinity
	}
	in := func(key, values string) corev1.NodeSelectorRequirement {
		return corev1.NodeSelectorRequirement{Key: key, Operator: corev1.NodeSelectorOpIn, Values: strings.Split(values, ",")}
	}
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "on":
			p.Spec.NodeName = value
		case "cpu", "memory", "example.com/gpu":
			c.Resources.Requests[corev1.ResourceName(key)] = resource.MustParse(value)
		case "port": // address/number
			address, number, _ := strings.Cut(value, "/")
			port := corev1.ContainerPort{HostIP: address}
			_, _ = fmt.Sscan(number, &port.HostPort)
			c.Ports = append(c.Ports, port)
		case "version": // deployment/hash
			deployment, hash, _ := strings.Cut(value, "/")
			p.Labels = map[string]string{"pod-template-hash": hash}
			p.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: deployment + "-" + hash, UID: types.UID(value), Controller: ptr.To(true)}}
		case "tolerates":
			p.Spec.Tolerations = append(p.Spec.Tolerations, corev1.Toleration{Key: value, Operator: corev1.TolerationOpExists})
		case "select":
			k, v, _ := strings.Cut(value, ":")
			p.Spec.NodeSelector = map[string]string{k: v}
		case "require", "field": // label:value,value; with several any will do
			k, v, _ := strings.Cut(value, ":")
			term := corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{in(k, v)}}
			if key == "field" {
				term = corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{in(k, v)}}
			}
			a := affinity()
			if a.RequiredDuringSchedulingIgnoredDuringExecution == nil {
				a.RequiredDuringSchedulingIgnoredDuringExecution = &corev1.NodeSelector{}
			}
			s := a.RequiredDuringSchedulingIgnoredDuringExecution
			s.NodeSelectorTerms = append(s.NodeSelectorTerms, term)
		case "both": // two values of the node's name at once
			a, b, _ := strings.Cut(value, ",")
			affinity().RequiredDuringSchedulingIgnoredDuringExecution = &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchFields: []corev1.NodeSelectorRequirement{in("metadata.name", a), in("metadata.name", b)}}}}
		case "prefer":
			k, v, _ := strings.Cut(value, ":")
			affinity().PreferredDuringSchedulingIgnoredDuringExecution = []corev1.PreferredSchedulingTerm{{
				Weight: 10, Preference: corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{in(k, v)}}}}
		case "priority":
			p.Spec.Priority = new(int32)
			_, _ = fmt.Sscan(value, p.Spec.Priority)
		case "never-preempts":
			p.Spec.PreemptionPolicy = ptr.To(corev1.PreemptNever)
		case "phase":
			p.Status.Phase = corev1.PodPhase(value)
		default:
			makeTie(p, key, value)
		}
	}
	return p
}

// makeTie adds what a word of a pod's line says of other pods. A term is
// label:value@topology, with /namespace or /{label:value} of namespaces after it;
// a constraint is skew/topology/label:value.
func makeTie(p *corev1.Pod, key, value string) {
	near := func() *corev1.PodAffinity {
		if p.Spec.Affinity.PodAffinity == nil {
			p.Spec.Affinity.PodAffinity = &corev1.PodAffinity{}
		}
		return p.Spec.Affinity.PodAffinity
	}
	apart := func() *corev1.PodAntiAffinity {
		if p.Spec.Affinity.PodAntiAffinity == nil {
			p.Spec.Affinity.PodAntiAffinity = &corev1.PodAntiAffinity{}
		}
		return p.Spec.Affinity.PodAntiAffinity
	}
	if p.Spec.Affinity == nil && slices.Contains([]string{"near", "apart", "likes", "dislikes"}, key) {
		p.Spec.Affinity = &corev1.Affinity{}
	}
	switch key {
	case "near":
		a := near()
		a.RequiredDuringSchedulingIgnoredDuringExecution = append(a.RequiredDuringSchedulingIgnoredDuringExecution, makeTerm(value))
	case "apart":
		a := apart()
		a.RequiredDuringSchedulingIgnoredDuringExecution = append(a.RequiredDuringSchedulingIgnoredDuringExecution, makeTerm(value))
	case "likes":
		a := near()
		a.PreferredDuringSchedulingIgnoredDuringExecution = append(a.PreferredDuringSchedulingIgnoredDuringExecution,
			corev1.WeightedPodAffinityTerm{Weight: 10, PodAffinityTerm: makeTerm(value)})
	case "dislikes":
		a := apart()
		a.PreferredDuringSchedulingIgnoredDuringExecution = append(a.PreferredDuringSchedulingIgnoredDuringExecution,
			corev1.WeightedPodAffinityTerm{Weight: 10, PodAffinityTerm: makeTerm(value)})
	default:
		makeConstraint(p, key, value)
	}
}

func makeTerm(text string) corev1.PodAffinityTerm {
	text, space, elsewhere := strings.Cut(text, "/")
	selector, topology, _ := strings.Cut(text, "@")
	t := corev1.PodAffinityTerm{TopologyKey: topology, LabelSelector: makeSelector(selector)}
	if labels, ok := strings.CutPrefix(space, "{"); ok {
		t.NamespaceSelector = makeSelector(strings.TrimSuffix(labels, "}"))
	} else if elsewhere {
		t.Namespaces = strings.Split(space, ",")
	}
	return t
}

// makeSelector makes a selector of label:value, * for every pod.
func makeSelector(text string) *metav1.LabelSelector {
	if text == "*" {
		return &metav1.LabelSelector{}
	}
	k, v, _ := strings.Cut(text, ":")
	return &metav1.LabelSelector{MatchLabels: map[string]string{k: v}}
}

func makeConstraint(p *corev1.Pod, key, value string) {
	last := func() *corev1.TopologySpreadConstraint {
		return &p.Spec.TopologySpreadConstraints[len(p.Spec.TopologySpreadConstraints)-1]
	}
	switch key {
	case "spread", "balance":
		parts := strings.Split(value, "/")
		c := corev1.TopologySpreadConstraint{
			TopologyKey: parts[1], LabelSelector: makeSelector(parts[2]), WhenUnsatisfiable: corev1.DoNotSchedule,
		}
		_, _ = fmt.Sscan(parts[0], &c.MaxSkew)
		if key == "balance" {
			c.WhenUnsatisfiable = corev1.ScheduleAnyway
		}
		p.Spec.TopologySpreadConstraints = append(p.Spec.TopologySpreadConstraints, c)
	case "domains":
		last().MinDomains = new(int32)
		_, _ = fmt.Sscan(value, last().MinDomains)
	case "any-affinity":
		last().NodeAffinityPolicy = ptr.To(corev1.NodeInclusionPolicyIgnore)
	case "untainted":
		last().NodeTaintsPolicy = ptr.To(corev1.NodeInclusionPolicyHonor)
	default:
		makeLife(p, key, value)
	}
}

// makeLife adds what a word of a pod's line says of the pod's own life.
func makeLife(p *corev1.Pod, key, value string) {
	switch key {
	case "label":
		k, v, _ := strings.Cut(value, ":")
		if p.Labels == nil {
			p.Labels = map[string]string{}
		}
		p.Labels[k] = v
	case "ns":
		p.Namespace = value
	case "class":
		p.Spec.PriorityClassName = value
	case "set":
		p.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: "apps/v1", Kind: "ReplicaSet", Name: value, UID: types.UID(value), Controller: ptr.To(true),
		}}
	case "started": // seconds
		var seconds int64
		_, _ = fmt.Sscan(value, &seconds)
		p.Status.StartTime = ptr.To(metav1.Unix(seconds, 0))
	case "terminating":
		p.DeletionTimestamp = ptr.To(metav1.Unix(1, 0))
	case "preempted":
		p.DeletionTimestamp = ptr.To(metav1.Unix(1, 0))
		p.Status.Conditions = []corev1.PodCondition{{
			Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: corev1.PodReasonPreemptionByScheduler,
		}}
	default:
		panic(key)
	}
}

func makeCache(lines ...string) *cache {
	c := newCache()
	for _, line := range lines {
		if object, ok := strings.CutPrefix(line, "node "); ok {
			c.setNode(makeNode(object))
			continue
		}
		if space, ok := strings.CutPrefix(line, "namespace "); ok { // name label:value
			name, label, _ := strings.Cut(space, " ")
			k, v, _ := strings.Cut(label, ":")
			c.setSpace(name, labels.Set{k: v})
			continue
		}
		if waiting, ok := strings.CutPrefix(line, "nominated "); ok { // node pod…
			node, p, _ := strings.Cut(waiting, " ")
			c.nominate(newPod(makePod(p)), node)
			continue
		}
		p := newPod(makePod(line))
		c.put(p, p.Spec.NodeName, false)
	}
	return c
}

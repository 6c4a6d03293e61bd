package diagnosis

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	resourcehelper "k8s.io/component-helpers/resource"

	"skiff/manifests/podfacts"
)

// unscheduled is about a pod that has no node.
func (s *Scene) unscheduled(r *Report, p *corev1.Pod) {
	if len(p.Spec.SchedulingGates) > 0 {
		var names []string
		for _, g := range p.Spec.SchedulingGates {
			names = append(names, g.Name)
		}
		r.wrong("is not scheduled: its scheduling gates %s are shut", strings.Join(names, ", "))
		r.next("it is scheduled once whoever set the gates takes them away")
		return
	}
	c := podfacts.Condition(p, corev1.PodScheduled)
	switch {
	case c == nil && s.lasted(p.CreationTimestamp):
		r.wrong("is not scheduled: no scheduler has looked at it")
		if name := p.Spec.SchedulerName; name != "" && name != corev1.DefaultSchedulerName {
			r.cause("it asks for the scheduler %q, and none of that name is at work", name)
			r.do("start that scheduler, or remove spec.schedulerName")
		}
	case c == nil || c.Status == corev1.ConditionTrue:
		r.fine("waits for a node")
	default:
		head, _, _ := strings.Cut(OneLine(c.Message), ": ")
		r.wrong("is not scheduled: %s", head)
		s.unfit(r, p, c.Message)
	}
}

var (
	nodeCount = regexp.MustCompile(`^0/(\d+) nodes are available: (.*?)\.?$`)
	// nextReason is where the next of the scheduler's reasons begins.
	nextReason = regexp.MustCompile(`, (\d+ )`)
)

// nodeReasons are the scheduler's reasons, each with the number of nodes for which it holds.
func nodeReasons(message string) []string {
	text, _, _ := strings.Cut(OneLine(message), " preemption: ")
	m := nodeCount.FindStringSubmatch(text)
	if m == nil {
		return nil
	}
	return strings.Split(nextReason.ReplaceAllString(m[2], "\x00$1"), "\x00")
}

// unfit adds why no node can have a pod, and what to do about each reason.
func (s *Scene) unfit(r *Report, p *corev1.Pod, message string) {
	reasons := nodeReasons(message)
	if reasons == nil {
		r.cause("%s", message)
	}
	for _, reason := range reasons {
		r.cause("%s", reason)
		switch {
		case strings.Contains(reason, "Insufficient"):
			s.tooLarge(r, p, reason)
		case strings.Contains(reason, "unschedulable"):
			s.cordoned(r)
		case strings.Contains(reason, "untolerated taint"):
			s.tainted(r, p)
		case strings.Contains(reason, "affinity/selector"):
			s.unselected(r, p)
		case strings.Contains(reason, "free ports"):
			s.portTaken(r, p)
		case strings.Contains(reason, "Too many pods"):
			r.do("add a node (skiff node add), or delete pods")
		case strings.Contains(reason, "topology spread"), strings.Contains(reason, "anti-affinity"):
			r.do("add a node (skiff node add), or loosen the pod's rules about where its like are")
		}
	}
	s.claimsOf(r, p)
	if node := p.Status.NominatedNodeName; node != "" {
		r.next("it gets node/%s once pods of lower priority have left it", node)
	} else {
		r.next("it is looked at again as soon as nodes or pods change")
	}
}

// tooLarge adds how much a pod asks for, and how much the nodes have in all.
func (s *Scene) tooLarge(r *Report, p *corev1.Pod, reason string) {
	_, name, _ := strings.Cut(reason, "Insufficient ")
	resource := corev1.ResourceName(strings.TrimSpace(name))
	asked := resourcehelper.PodRequests(p, resourcehelper.PodResourcesOptions{})[resource]
	var has []string
	fits := false
	for i := range s.Nodes {
		n := &s.Nodes[i]
		q := n.Status.Allocatable[resource]
		has = append(has, fmt.Sprintf("node/%s has %s", n.Name, q.String()))
		fits = fits || q.Cmp(asked) >= 0
	}
	if asked.IsZero() || len(has) == 0 {
		return
	}
	if len(has) > mostBelow {
		has = append(has[:mostBelow], "…")
	}
	r.cause("the pod requests %s of %s; in all, %s", asked.String(), resource, strings.Join(has, ", "))
	if fits {
		r.do("lower requests.%s, delete pods that hold it, or add a node (skiff node add)", resource)
		return
	}
	r.do("lower requests.%s of the pod: no node is that large, even empty", resource)
}

// cordoned names the nodes that take no pods.
func (s *Scene) cordoned(r *Report) {
	for i := range s.Nodes {
		if n := &s.Nodes[i]; n.Spec.Unschedulable {
			r.do("skiff uncordon %s, if it is to have pods again", n.Name)
		}
	}
}

// tainted names the taints that a pod does not tolerate.
func (s *Scene) tainted(r *Report, p *corev1.Pod) {
	for i := range s.Nodes {
		n := &s.Nodes[i]
		for j := range n.Spec.Taints {
			taint := &n.Spec.Taints[j]
			if taint.Effect == corev1.TaintEffectPreferNoSchedule || slices.ContainsFunc(p.Spec.Tolerations, func(t corev1.Toleration) bool { return tolerates(&t, taint) }) {
				continue
			}
			r.cause("node/%s has the taint %s, which the pod does not tolerate", n.Name, taint.ToString())
			if taint.Key == corev1.TaintNodeNotReady || taint.Key == corev1.TaintNodeUnreachable {
				r.do("skiff why node/%s", n.Name)
				continue
			}
			if taint.Key == corev1.TaintNodeUnschedulable {
				r.do("skiff uncordon %s, if it is to have pods again", n.Name)
				continue
			}
			r.do("give the pod a toleration of %s, or take the taint away: skiff taint node %s %s:%s-", taint.Key, n.Name, taint.Key, taint.Effect)
		}
	}
}

// unselected says which labels a pod wants of its node, and what is near.
func (s *Scene) unselected(r *Report, p *corev1.Pod) {
	if len(p.Spec.NodeSelector) == 0 {
		r.do("compare the pod's node affinity with the labels of the nodes: skiff get nodes --show-labels")
		return
	}
	wanted := labels.Set(p.Spec.NodeSelector)
	r.cause("the pod's nodeSelector is %s", wanted)
	for i := range s.Nodes {
		for _, miss := range misses(wanted, s.Nodes[i].Labels) {
			r.cause("node/%s has %s", s.Nodes[i].Name, miss)
		}
	}
	r.do("mend the nodeSelector, or label a node: skiff label node NAME %s", strings.ReplaceAll(wanted.String(), ",", " "))
}

// misses are the labels that stand between an object and a selector: missing ones, and other values.
func misses(wanted, has map[string]string) []string {
	var out []string
	for key, value := range wanted {
		switch other, there := has[key]; {
		case !there:
			out = append(out, "no label "+key)
		case other != value:
			out = append(out, key+"="+other)
		}
	}
	slices.Sort(out)
	return out
}

// portTaken names the pods that hold a port of the machine which a pod wants. A pod that is to replace
// its like on the only node waits for ever.
func (s *Scene) portTaken(r *Report, p *corev1.Pod) {
	found := false
	for _, holder := range s.holders(p) {
		found = true
		r.cause("hostPort %s is held by pod/%s on node/%s", holder.ports, name(holder.pod, p.Namespace), holder.pod.Spec.NodeName)
		top := s.ownersTop(p)
		if top == "" || top != s.ownersTop(holder.pod) || holder.pod.Namespace != p.Namespace {
			if holder.pod.DeletionTimestamp != nil {
				r.next("pod/%s is ending; the port is free then", holder.pod.Name)
			}
			continue
		}
		deployment, ok := strings.CutPrefix(top, "deployment/")
		if !ok {
			r.cause("both belong to %s: a node can have only one of them", top)
			continue
		}
		s.surging(r, named(s.Deployments, deployment), p, holder.pod)
	}
	switch {
	case len(r.Do) > 0:
	case found:
		r.do("give one of them another hostPort, or use a Service (skiff expose) instead of hostPort")
	case len(hostPorts(p)) > 0:
		r.do("see who listens on the port (ss -ltnp), and stop it, or use another hostPort")
		r.next("it is tried again every 10 s")
	}
}

// surging is about a deployment whose new pod wants the port of its old one.
func (s *Scene) surging(r *Report, d *appsv1.Deployment, p, holder *corev1.Pod) {
	if d == nil {
		return
	}
	if sameRevision(p, holder) {
		r.cause("both are of the same version of deployment/%s: a node can have only one of them", d.Name)
		r.do("scale it to the number of nodes (skiff scale deployment %s --replicas=1), or use a Service instead of hostPort", d.Name)
		return
	}
	r.cause("deployment/%s can not surge: its new pod wants the port that its own old pod holds until the new one is ready", d.Name)
	r.do(`replace pods without surging: skiff patch deployment %s -p '{"spec":{"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":0,"maxUnavailable":1}}}}'`, d.Name)
	r.do(`or all at once: skiff patch deployment %s -p '{"spec":{"strategy":{"type":"Recreate","rollingUpdate":null}}}'`, d.Name)
}

func sameRevision(a, b *corev1.Pod) bool {
	x, y := metav1.GetControllerOf(a), metav1.GetControllerOf(b)
	return x != nil && y != nil && x.UID == y.UID
}

// holder is a pod that holds ports of its node.
type holder struct {
	pod   *corev1.Pod
	ports string
}

// holders are the pods that hold ports of a node which another pod wants.
func (s *Scene) holders(p *corev1.Pod) []holder {
	wanted := hostPorts(p)
	var out []holder
	for _, all := range [][]corev1.Pod{s.Pods, s.Neighbours} {
		for i := range all {
			other := &all[i]
			if other.UID == p.UID || other.Spec.NodeName == "" || podfacts.Terminal(other) {
				continue
			}
			var both []string
			for _, port := range hostPorts(other) {
				if slices.Contains(wanted, port) {
					both = append(both, port)
				}
			}
			if len(both) > 0 {
				out = append(out, holder{other, strings.Join(both, ", ")})
			}
		}
	}
	return out
}

// hostPorts are the ports of its node that a pod wants: 8080, 53/UDP.
func hostPorts(p *corev1.Pod) []string {
	var out []string
	for _, all := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for i := range all {
			for _, port := range all[i].Ports {
				number := port.HostPort
				if p.Spec.HostNetwork && number == 0 {
					number = port.ContainerPort
				}
				if number == 0 {
					continue
				}
				text := fmt.Sprint(number)
				if port.Protocol != "" && port.Protocol != corev1.ProtocolTCP {
					text += "/" + string(port.Protocol)
				}
				out = append(out, text)
			}
		}
	}
	return out
}

// name is a pod's name, with its namespace when that is another one.
func name(p *corev1.Pod, namespace string) string {
	if p.Namespace == namespace {
		return p.Name
	}
	return p.Name + " in namespace " + p.Namespace
}

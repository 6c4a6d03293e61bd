package describe

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	resourcehelper "k8s.io/component-helpers/resource"

	"skiff/cli/client"
)

func node(p *page, o *corev1.Node) error {
	pods, err := listOf[corev1.Pod](p, "", "Pod", client.ListOptions{Fields: "spec.nodeName=" + o.Name + ",status.phase!=Failed,status.phase!=Succeeded"})
	if err != nil && !apierrors.IsForbidden(err) {
		return err
	}
	allowed := err == nil
	p.nodeHead(o)
	p.lease(o.Name)
	p.nodeConditions(o)
	p.title("Addresses")
	for _, a := range o.Status.Addresses {
		p.in(func() { p.field(string(a.Type), a.Address) })
	}
	p.nodeQuantities("Capacity", o.Status.Capacity)
	p.nodeQuantities("Allocatable", o.Status.Allocatable)
	p.nodeInfo(o)
	if allowed {
		p.nodePods(o, pods)
	} else {
		p.field("Pods", "not authorized")
	}
	p.events(o, "Node", o.Name)
	return nil
}

func (s *sheet) nodeHead(o *corev1.Node) {
	s.field("Name", o.Name)
	s.field("Roles", orNone(strings.Join(nodeRoles(o), ",")))
	s.labelled(o)
	s.field("CreationTimestamp", stamp(o.CreationTimestamp.Time))
	taints := slices.Clone(o.Spec.Taints)
	sort.SliceStable(taints, func(i, j int) bool {
		return string(taints[i].Effect)+","+taints[i].Key < string(taints[j].Effect)+","+taints[j].Key
	})
	var texts []string
	for _, t := range taints {
		texts = append(texts, t.ToString())
	}
	s.list("Taints", texts)
	s.field("Unschedulable", o.Spec.Unschedulable)
}

func nodeRoles(o *corev1.Node) []string {
	roles := map[string]bool{}
	for k, v := range o.Labels {
		if role, ok := strings.CutPrefix(k, "node-role.kubernetes.io/"); ok && role != "" {
			roles[role] = true
		} else if k == "kubernetes.io/role" && v != "" {
			roles[v] = true
		}
	}
	return slices.Sorted(maps.Keys(roles))
}

// lease shows the node's heartbeat.
func (p *page) lease(name string) {
	r, err := p.mapping("coordination.k8s.io", "Lease")
	lease := &coordinationv1.Lease{}
	if err == nil {
		r.Namespace, r.Name = corev1.NamespaceNodeLease, name
		err = p.Client.GetInto(p.ctx, r, lease)
	}
	if err != nil {
		p.field("Lease", "Failed to get lease: "+err.Error())
		return
	}
	p.title("Lease")
	p.in(func() {
		optional(p.sheet, "HolderIdentity", lease.Spec.HolderIdentity, "%s")
		acquired, renewed := unset, unset
		if t := lease.Spec.AcquireTime; t != nil {
			acquired = stamp(t.Time)
		}
		if t := lease.Spec.RenewTime; t != nil {
			renewed = stamp(t.Time)
		}
		p.field("AcquireTime", acquired)
		p.field("RenewTime", renewed)
	})
}

func (s *sheet) nodeConditions(o *corev1.Node) {
	if len(o.Status.Conditions) == 0 {
		return
	}
	s.title("Conditions")
	s.in(func() {
		s.line("Type\tStatus\tLastHeartbeatTime\tLastTransitionTime\tReason\tMessage")
		s.line("----\t------\t-----------------\t------------------\t------\t-------")
		for _, c := range o.Status.Conditions {
			s.line("%v \t%v \t%s \t%s \t%v \t%v", c.Type, c.Status, stamp(c.LastHeartbeatTime.Time), stamp(c.LastTransitionTime.Time), c.Reason, c.Message)
		}
	})
}

func (s *sheet) nodeQuantities(name string, list corev1.ResourceList) {
	if len(list) == 0 {
		return
	}
	s.title(name)
	s.in(func() { s.quantities(list) })
}

func (s *sheet) nodeInfo(o *corev1.Node) {
	i := o.Status.NodeInfo
	s.title("System Info")
	s.in(func() {
		s.field("Machine ID", i.MachineID)
		s.field("System UUID", i.SystemUUID)
		s.field("Boot ID", i.BootID)
		s.field("Kernel Version", i.KernelVersion)
		s.field("OS Image", i.OSImage)
		s.field("Operating System", i.OperatingSystem)
		s.field("Architecture", i.Architecture)
		s.field("Container Runtime Version", i.ContainerRuntimeVersion)
		s.field("Kubelet Version", i.KubeletVersion)
	})
	nonEmpty(s, "PodCIDR", o.Spec.PodCIDR)
	nonEmpty(s, "PodCIDRs", strings.Join(o.Spec.PodCIDRs, ","))
	nonEmpty(s, "ProviderID", o.Spec.ProviderID)
}

// nodePods lists the pods of a node with what each asks for, and what that comes to.
func (s *sheet) nodePods(o *corev1.Node, pods []corev1.Pod) {
	have := o.Status.Allocatable
	if len(have) == 0 {
		have = o.Status.Capacity
	}
	s.line("Non-terminated Pods:\t(%d in total)", len(pods))
	requests, limits := corev1.ResourceList{}, corev1.ResourceList{}
	s.in(func() {
		s.line("Namespace\tName\t\tCPU Requests\tCPU Limits\tMemory Requests\tMemory Limits\tAge")
		s.line("---------\t----\t\t------------\t----------\t---------------\t-------------\t---")
		for i := range pods {
			pod := &pods[i]
			req, lim := resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{}), resourcehelper.PodLimits(pod, resourcehelper.PodResourcesOptions{})
			add(requests, req)
			add(limits, lim)
			s.line("%s\t%s\t\t%s\t%s\t%s\t%s\t%s", pod.Namespace, pod.Name, share(req, have, corev1.ResourceCPU), share(lim, have, corev1.ResourceCPU),
				share(req, have, corev1.ResourceMemory), share(lim, have, corev1.ResourceMemory), s.since(pod.CreationTimestamp.Time))
		}
	})
	s.line("Allocated resources:")
	s.in(func() {
		s.line("(Total limits may be over 100 percent, i.e., overcommitted.)")
		s.line("Resource\tRequests\tLimits")
		s.line("--------\t--------\t------")
		for _, name := range allocated(have) {
			s.line("%s\t%s\t%s", name, share(requests, have, name), share(limits, have, name))
		}
	})
}

// allocated are the resources that a node hands out, in the order they are shown: huge pages after
// the usual ones.
func allocated(have corev1.ResourceList) []corev1.ResourceName {
	names := []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage}
	var huge, others []corev1.ResourceName
	for _, name := range slices.Sorted(maps.Keys(have)) {
		switch {
		case strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix):
			huge = append(huge, name)
		case name != corev1.ResourcePods && !slices.Contains(names, name):
			others = append(others, name)
		}
	}
	return append(append(names, huge...), others...)
}

func add(total, more corev1.ResourceList) {
	for name, q := range more {
		sum := total[name]
		sum.Add(q)
		total[name] = sum
	}
}

// share is a quantity and how much of the node's it is: 250m (12%). Devices are counted, not shared
// out.
func share(of, have corev1.ResourceList, name corev1.ResourceName) string {
	q, total := of[name], have[name]
	if strings.Contains(string(name), "/") {
		return q.String()
	}
	percent := int64(0)
	if t := amount(total, name); t != 0 {
		percent = int64(float64(amount(q, name)) / float64(t) * 100)
	}
	return fmt.Sprintf("%s (%d%%)", q.String(), percent)
}

func amount(q resource.Quantity, name corev1.ResourceName) int64 {
	if name == corev1.ResourceCPU {
		return q.MilliValue()
	}
	return q.Value()
}

package table

import (
	"cmp"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func nodeColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		nameColumn(),
		text("Status", "Whether the node is ready and takes new pods."),
		text("Roles", "The roles the node's labels give it."),
		ageColumn(),
		text("Version", "The Kubernetes version the node runs."),
		wide(text("Internal-IP", "The node's address in the cluster.")),
		wide(text("External-IP", "The node's address outside of the cluster.")),
		wide(text("OS-Image", "The node's operating system.")),
		wide(text("Kernel-Version", "The version and architecture of the node's kernel.")),
		wide(text("Container-Runtime", "The name and version of what runs the node's containers.")),
	}
}

func nodeCells(n *corev1.Node, now time.Time) []any {
	info := &n.Status.NodeInfo
	kernel := cmp.Or(info.KernelVersion, unknown)
	if info.Architecture != "" {
		kernel += " (" + info.Architecture + ")"
	}
	return []any{
		n.Name, nodeStatus(n), cmp.Or(strings.Join(nodeRoles(n), ","), none), age(n.CreationTimestamp, now), info.KubeletVersion,
		nodeAddress(n, corev1.NodeInternalIP), nodeAddress(n, corev1.NodeExternalIP),
		cmp.Or(info.OSImage, unknown), kernel, cmp.Or(info.ContainerRuntimeVersion, unknown),
	}
}

func nodeStatus(n *corev1.Node) string {
	status := "Unknown"
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			status = "NotReady"
			if c.Status == corev1.ConditionTrue {
				status = "Ready"
			}
		}
	}
	if n.Spec.Unschedulable {
		status += ",SchedulingDisabled"
	}
	return status
}

// nodeRoles are the roles given by the labels node-role.kubernetes.io/ROLE and
// kubernetes.io/role=ROLE.
func nodeRoles(n *corev1.Node) []string {
	var roles []string
	for key, value := range n.Labels {
		role, ok := strings.CutPrefix(key, "node-role.kubernetes.io/")
		if key == "kubernetes.io/role" {
			role, ok = value, true
		}
		if ok && role != "" {
			roles = append(roles, role)
		}
	}
	slices.Sort(roles)
	return slices.Compact(roles)
}

// nodeAddress is the node's first address of a type.
func nodeAddress(n *corev1.Node, t corev1.NodeAddressType) string {
	for _, a := range n.Status.Addresses {
		if a.Type == t {
			return a.Address
		}
	}
	return none
}

func namespaceColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		nameColumn(), text("Status", "Whether the namespace is in use or going away."), ageColumn(),
	}
}

func namespaceCells(n *corev1.Namespace, now time.Time) []any {
	return []any{n.Name, string(n.Status.Phase), age(n.CreationTimestamp, now)}
}

func leaseColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		nameColumn(), text("Holder", "Who holds the lease."), ageColumn(),
	}
}

func leaseCells(l *coordinationv1.Lease, now time.Time) []any {
	return []any{l.Name, orOf(l.Spec.HolderIdentity, ""), age(l.CreationTimestamp, now)}
}

func priorityClassColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		nameColumn(),
		number("Value", "The priority of the class's pods."),
		truth("Global-Default", "Whether pods without a class have this one."),
		ageColumn(),
		text("PreemptionPolicy", "Whether the class's pods make pods of lower priority give way."),
	}
}

func priorityClassCells(c *schedulingv1.PriorityClass, now time.Time) []any {
	return []any{c.Name, int64(c.Value), c.GlobalDefault, age(c.CreationTimestamp, now), orOf(c.PreemptionPolicy, "")}
}

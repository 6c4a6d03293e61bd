package node

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"skiff/docker"
	"skiff/orchestrator/node/pod"
)

// worthWriting reports whether a status says something new, or the present one is old.
func (a *Agent) worthWriting(old, status *corev1.NodeStatus) bool {
	ready := slices.IndexFunc(old.Conditions, func(c corev1.NodeCondition) bool { return c.Type == corev1.NodeReady })
	if ready < 0 {
		return true
	}
	// A heartbeat in the future was written before the clock was set back.
	if age := a.Clock.Since(old.Conditions[ready].LastHeartbeatTime.Time); age < 0 || age >= a.StatusInterval {
		return true
	}
	fresh := status.DeepCopy()
	for i := range fresh.Conditions {
		for _, c := range old.Conditions {
			if c.Type == fresh.Conditions[i].Type {
				fresh.Conditions[i].LastHeartbeatTime = c.LastHeartbeatTime
			}
		}
	}
	return !equality.Semantic.DeepEqual(old, fresh)
}

// nodeStatus is the node's status now. Conditions that others have written stay.
func (a *Agent) nodeStatus(n *corev1.Node, transitions *[]nodeEvent) corev1.NodeStatus {
	s := *n.Status.DeepCopy()
	s.Addresses = []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: a.Name}}
	if ip := a.hostIP(); ip != "" {
		s.Addresses = append([]corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: ip}}, s.Addresses...)
	}
	s.Features = &corev1.NodeFeatures{SupplementalGroupsPolicy: ptr.To(true)}
	s.DaemonEndpoints.KubeletEndpoint.Port = a.Port
	arch := a.goArch()
	m := &a.machine
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known {
		// Capacity that the agent does not know was written by somebody else: that is how extended
		// resources are advertised.
		if s.Capacity == nil {
			s.Capacity = corev1.ResourceList{}
		}
		maps.Copy(s.Capacity, m.limits.DeepCopy())
		s.Allocatable = s.Capacity.DeepCopy()
		s.NodeInfo = a.nodeInfo(m.info, arch)
		s.Images = nodeImages(m.images)
	}
	a.setConditions(&s, transitions)
	return s
}

func (a *Agent) nodeInfo(info docker.Info, arch string) corev1.NodeSystemInfo {
	return corev1.NodeSystemInfo{
		MachineID:               info.MachineID,
		SystemUUID:              info.MachineID,
		KernelVersion:           info.KernelVersion,
		OSImage:                 info.OSImage,
		ContainerRuntimeVersion: "docker://" + info.EngineVersion,
		KubeletVersion:          a.Version,
		OperatingSystem:         "linux",
		Architecture:            arch,
	}
}

// The status lists the largest images (k8s.io/kubernetes/pkg/kubelet/nodestatus/setters.go): this
// many, with this many names each.
const (
	maxNodeImages = 50
	maxImageNames = 5
)

func nodeImages(images []docker.Image) []corev1.ContainerImage {
	sorted := slices.Clone(images)
	slices.SortStableFunc(sorted, func(a, b docker.Image) int {
		if a.Size != b.Size {
			return int(min(max(b.Size-a.Size, -1), 1))
		}
		return strings.Compare(a.ID, b.ID)
	})
	var out []corev1.ContainerImage
	for _, image := range sorted[:min(len(sorted), maxNodeImages)] {
		names := append(slices.Clone(image.RepoDigests), image.RepoTags...)
		if len(names) == 0 {
			continue
		}
		out = append(out, corev1.ContainerImage{Names: names[:min(len(names), maxImageNames)], SizeBytes: image.Size})
	}
	return out
}

// setConditions sets the node's conditions, Ready last as clients expect. skiff measures no
// pressure: the machine has other uses beside it.
func (a *Agent) setConditions(s *corev1.NodeStatus, transitions *[]nodeEvent) {
	fine := func(kind corev1.NodeConditionType, reason, message string) corev1.NodeCondition {
		return corev1.NodeCondition{Type: kind, Status: corev1.ConditionFalse, Reason: reason, Message: message}
	}
	ready := corev1.NodeCondition{
		Type: corev1.NodeReady, Status: corev1.ConditionTrue,
		Reason: "KubeletReady", Message: "kubelet is posting ready status",
	}
	if down := a.engine.why(); down != "" && down != notListedYet {
		ready.Status, ready.Reason = corev1.ConditionFalse, "KubeletNotReady"
		ready.Message = "container runtime is down: " + down
	}
	for _, c := range []corev1.NodeCondition{
		fine(corev1.NodeMemoryPressure, "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
		fine(corev1.NodeDiskPressure, "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
		fine(corev1.NodePIDPressure, "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
		ready,
	} {
		a.setCondition(s, c, transitions)
	}
}

// nodeEvent is an event about the node itself.
type nodeEvent struct{ reason, message string }

// transitionReasons are the events of a condition that has changed.
var transitionReasons = map[corev1.NodeConditionType]map[corev1.ConditionStatus]string{
	corev1.NodeMemoryPressure: {corev1.ConditionFalse: "NodeHasSufficientMemory"},
	corev1.NodeDiskPressure:   {corev1.ConditionFalse: "NodeHasNoDiskPressure"},
	corev1.NodePIDPressure:    {corev1.ConditionFalse: "NodeHasSufficientPID"},
	corev1.NodeReady:          {corev1.ConditionTrue: "NodeReady", corev1.ConditionFalse: "NodeNotReady"},
}

func (a *Agent) setCondition(s *corev1.NodeStatus, c corev1.NodeCondition, transitions *[]nodeEvent) {
	now := pod.APITime(a.Clock.Now())
	c.LastHeartbeatTime, c.LastTransitionTime = now, now
	i := slices.IndexFunc(s.Conditions, func(old corev1.NodeCondition) bool { return old.Type == c.Type })
	if i >= 0 && s.Conditions[i].Status == c.Status {
		c.LastTransitionTime = s.Conditions[i].LastTransitionTime
	} else if reason := transitionReasons[c.Type][c.Status]; reason != "" {
		*transitions = append(*transitions, nodeEvent{reason, fmt.Sprintf("Node %s status is now: %s", a.Name, reason)})
	}
	if i >= 0 {
		s.Conditions = slices.Delete(s.Conditions, i, i+1)
	}
	s.Conditions = append(s.Conditions, c)
}

// emitNode records an event about the node. Like kubelet's, it has the node's name in place of its
// UID: that is what kubectl describe looks for.
func (a *Agent) emitNode(reason, message string) {
	a.Recorder.Event(&corev1.ObjectReference{APIVersion: "v1", Kind: "Node", Name: a.Name, UID: types.UID(a.Name)}, corev1.EventTypeNormal, reason, "%s", message)
}

package node

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/docker"
)

// machine is what the agent knows of the machine its engine is on.
type machine struct {
	mu     sync.Mutex
	known  bool
	info   docker.Info
	images []docker.Image
	disk   int64
	limits corev1.ResourceList
	// news is closed when something about the node has changed.
	news chan struct{}
}

func (m *machine) changed() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.news != nil {
		close(m.news)
		m.news = nil
	}
}

// next is closed when something changes from now on.
func (m *machine) next() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.news == nil {
		m.news = make(chan struct{})
	}
	return m.news
}

// memory is the machine's, in bytes, 0 if it isn't known yet.
func (m *machine) memory() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.info.MemoryBytes
}

// capacity is what the node has to give.
func (m *machine) capacity() corev1.ResourceList {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.limits
}

// Introduced is closed once the running agent has tried to write its Node object for the first time.
func (a *Agent) Introduced() <-chan struct{} { return a.introduced }

// keepNode registers the node and keeps its Lease and its status up to date until ctx ends. What could not be found out or
// written is tried again with the next Lease.
func (a *Agent) keepNode(ctx context.Context) error {
	stale := !a.describeNode(ctx)
	close(a.introduced)
	a.tellNode(corev1.EventTypeNormal, "Starting", "Starting kubelet.")
	a.renewLease(ctx)
	lease := a.Clock.NewTicker(a.LeaseInterval)
	defer lease.Stop()
	status := a.Clock.NewTicker(a.StatusInterval)
	defer status.Stop()
	for {
		news := a.machine.next()
		select {
		case <-ctx.Done():
			return nil
		case <-lease.C():
			a.renewLease(ctx)
			if stale || a.misrepresented() {
				stale = !a.describeNode(ctx)
			}
		case <-status.C():
			stale = !a.describeNode(ctx)
		case <-news:
			stale = !a.describeNode(ctx)
		}
	}
}

// describeNode finds out what the node is and writes it, and tells whether both went well.
func (a *Agent) describeNode(ctx context.Context) bool {
	surveyed := a.survey(ctx)
	return a.writeNode(ctx) && surveyed
}

// survey asks the engine about the machine. What can't be found out stays as it was.
func (a *Agent) survey(ctx context.Context) bool {
	info, err := a.Runtime.Info(ctx)
	switch {
	case ctx.Err() != nil:
		return false
	case isOutage(err):
		a.engineFailed(err)
		return false
	case err != nil:
		a.log.Error("engine not asked about the machine", "error", err)
		return false
	}
	images, imagesErr := a.Runtime.Images(ctx)
	if imagesErr != nil && ctx.Err() == nil {
		a.log.Error("images not listed", "error", imagesErr)
	}
	disk := diskSize(a.VolumeDir)
	m := &a.machine
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known, m.info, m.disk = true, info, disk
	m.limits = a.capacityOf(info, disk)
	if imagesErr == nil {
		m.images = images
	}
	return imagesErr == nil
}

// capacityOf is what the node offers: what Options say, else what the machine has.
func (a *Agent) capacityOf(info docker.Info, disk int64) corev1.ResourceList {
	out := corev1.ResourceList{
		corev1.ResourceCPU:              *resource.NewQuantity(int64(info.CPUs), resource.DecimalSI),
		corev1.ResourceMemory:           *resource.NewQuantity(info.MemoryBytes, resource.BinarySI),
		corev1.ResourceEphemeralStorage: *resource.NewQuantity(disk, resource.BinarySI),
		corev1.ResourcePods:             *resource.NewQuantity(a.MaxPods, resource.DecimalSI),
	}
	maps.Copy(out, a.Capacity)
	return out
}

// diskSize is the size of the file system on which pods' volumes lie, in bytes.
func diskSize(dir string) int64 {
	var s syscall.Statfs_t
	if dir == "" || syscall.Statfs(dir, &s) != nil {
		return 0
	}
	return int64(s.Blocks) * int64(s.Bsize) //nolint:unconvert // its type is another one on other systems
}

// writeNode makes the Node object say what the node is, and makes it if it isn't there. It tells whether that went well.
func (a *Agent) writeNode(ctx context.Context) bool {
	err := a.updateNode(ctx)
	if apierrors.IsNotFound(err) && a.Registered {
		return true // it is being removed
	}
	if apierrors.IsNotFound(err) {
		if _, err = a.nodes.Create(ctx, a.newNode()); err == nil {
			err = a.updateNode(ctx)
		}
	}
	if err != nil && ctx.Err() == nil {
		a.log.Error("node not written, will retry", "error", err)
	}
	return err == nil
}

func (a *Agent) unregistered() bool {
	_, err := a.nodes.Get("", a.Name)
	return apierrors.IsNotFound(err)
}

// misrepresented tells whether somebody has deleted the Node object of a node that lives on, or written that nothing is known
// of it, as is done with a node that was silent for too long. The next status may be minutes away.
func (a *Agent) misrepresented() bool {
	n, err := a.nodes.Get("", a.Name)
	return a.unregistered() || err == nil && slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool { return c.Status == corev1.ConditionUnknown })
}

func (a *Agent) updateNode(ctx context.Context) error {
	_, err := a.nodes.Update(ctx, "", a.Name, func(n *corev1.Node) error {
		a.label(n)
		return nil
	})
	if err != nil {
		return fmt.Errorf("labelling node %s: %w", a.Name, err)
	}
	var told []event
	_, err = a.nodes.UpdateStatus(ctx, "", a.Name, func(n *corev1.Node) error {
		told = nil
		status := a.nodeStatus(n, &told)
		if a.worthWriting(&n.Status, &status) {
			n.Status = status
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("writing the status of node %s: %w", a.Name, err)
	}
	for _, e := range told {
		a.tellNode(e.kind, e.reason, e.message)
	}
	return nil
}

// worthWriting tells whether a status says something new, or the one that stands is old.
func (a *Agent) worthWriting(old, status *corev1.NodeStatus) bool {
	ready := slices.IndexFunc(old.Conditions, func(c corev1.NodeCondition) bool { return c.Type == corev1.NodeReady })
	if ready < 0 {
		return true
	}
	// A heartbeat that is yet to come was written before the clock was set back.
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

func (a *Agent) newNode() *corev1.Node {
	n := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: a.Name},
		Spec:       corev1.NodeSpec{Taints: a.Taints},
	}
	a.label(n)
	return n
}

// label gives the node its labels and leaves those alone that it has from somebody else.
func (a *Agent) label(n *corev1.Node) {
	arch := a.goArch()
	labels := map[string]string{
		corev1.LabelHostname:      a.Name,
		corev1.LabelOSStable:      "linux",
		corev1.LabelArchStable:    arch,
		"beta.kubernetes.io/os":   "linux",
		"beta.kubernetes.io/arch": arch,
	}
	if n.Labels == nil {
		n.Labels = map[string]string{}
	}
	for k, v := range a.Labels {
		if _, ok := n.Labels[k]; !ok {
			n.Labels[k] = v
		}
	}
	maps.Copy(n.Labels, labels)
}

// goArch is the engine's architecture by Go's name for it, which is Kubernetes' too.
func (a *Agent) goArch() string {
	a.machine.mu.Lock()
	defer a.machine.mu.Unlock()
	switch arch := a.machine.info.Arch; arch {
	case "":
		return runtime.GOARCH
	case "x86_64":
		return "amd64"
	case "aarch64":
		return "arm64"
	default:
		return arch
	}
}

// nodeStatus is the node's status now. Conditions and addresses of others stay.
func (a *Agent) nodeStatus(n *corev1.Node, told *[]event) corev1.NodeStatus {
	s := *n.Status.DeepCopy()
	s.Addresses = []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: a.Name}}
	if ip := a.hostIP(); ip != "" {
		s.Addresses = append([]corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: ip}}, s.Addresses...)
	}
	s.DaemonEndpoints.KubeletEndpoint.Port = a.Port
	arch := a.goArch()
	m := &a.machine
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known {
		// Capacity that the agent knows nothing of is somebody else's: extended
		// resources are advertised in this way.
		if s.Capacity == nil {
			s.Capacity = corev1.ResourceList{}
		}
		maps.Copy(s.Capacity, m.limits.DeepCopy())
		s.Allocatable = s.Capacity.DeepCopy()
		s.NodeInfo = a.nodeInfo(m.info, arch)
		s.Images = nodeImages(m.images)
	}
	a.setConditions(&s, told)
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

// What the status lists of images (k8s.io/kubernetes/pkg/kubelet/nodestatus/setters.go): so many, the largest first,
// and so many names of each.
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

// setConditions writes the node's conditions, Ready last, as everybody expects it. skiff measures no pressure: the
// engine's machine is its owner's.
func (a *Agent) setConditions(s *corev1.NodeStatus, told *[]event) {
	fine := func(kind corev1.NodeConditionType, reason, message string) corev1.NodeCondition {
		return corev1.NodeCondition{Type: kind, Status: corev1.ConditionFalse, Reason: reason, Message: message}
	}
	ready := corev1.NodeCondition{
		Type: corev1.NodeReady, Status: corev1.ConditionTrue,
		Reason: "KubeletReady", Message: "kubelet is posting ready status",
	}
	if gone := a.engine.get(); gone != "" && gone != notListedYet {
		ready.Status, ready.Reason = corev1.ConditionFalse, "KubeletNotReady"
		ready.Message = "container runtime is down: " + gone
	}
	for _, c := range []corev1.NodeCondition{
		fine(corev1.NodeMemoryPressure, "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
		fine(corev1.NodeDiskPressure, "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
		fine(corev1.NodePIDPressure, "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
		ready,
	} {
		a.setCondition(s, c, told)
	}
}

// nodeEvents are the events of a condition that has changed.
var nodeEvents = map[corev1.NodeConditionType]map[corev1.ConditionStatus]string{
	corev1.NodeMemoryPressure: {corev1.ConditionFalse: "NodeHasSufficientMemory"},
	corev1.NodeDiskPressure:   {corev1.ConditionFalse: "NodeHasNoDiskPressure"},
	corev1.NodePIDPressure:    {corev1.ConditionFalse: "NodeHasSufficientPID"},
	corev1.NodeReady:          {corev1.ConditionTrue: "NodeReady", corev1.ConditionFalse: "NodeNotReady"},
}

func (a *Agent) setCondition(s *corev1.NodeStatus, c corev1.NodeCondition, told *[]event) {
	now := apiTime(a.Clock.Now())
	c.LastHeartbeatTime, c.LastTransitionTime = now, now
	i := slices.IndexFunc(s.Conditions, func(old corev1.NodeCondition) bool { return old.Type == c.Type })
	if i >= 0 && s.Conditions[i].Status == c.Status {
		c.LastTransitionTime = s.Conditions[i].LastTransitionTime
	} else if reason := nodeEvents[c.Type][c.Status]; reason != "" {
		*told = append(*told, event{corev1.EventTypeNormal, reason, fmt.Sprintf("Node %s status is now: %s", a.Name, reason)})
	}
	if i >= 0 {
		s.Conditions = slices.Delete(s.Conditions, i, i+1)
	}
	s.Conditions = append(s.Conditions, c)
}

// tellNode records an event about the node. Kubelet refers to its node by its name in place of the UID, and kubectl
// describe looks for that.
func (a *Agent) tellNode(kind, reason, message string) {
	a.Recorder.Event(&corev1.ObjectReference{APIVersion: "v1", Kind: "Node", Name: a.Name, UID: types.UID(a.Name)}, kind, reason, "%s", message)
}

// apiTime is a time as the API has it, in whole seconds: what is read back must equal what was written.
func apiTime(t time.Time) metav1.Time {
	if t.IsZero() {
		return metav1.Time{}
	}
	return metav1.NewTime(t.Truncate(time.Second))
}

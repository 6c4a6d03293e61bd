package node

import (
	"context"
	"maps"
	"runtime"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"skiff/docker"
)

// machine is what the agent knows of the machine that its engine runs on.
type machine struct {
	mu     sync.Mutex
	known  bool
	info   docker.Info
	images []docker.Image
	disk   int64
	limits corev1.ResourceList
	// news is closed when something about the node has changed, nil if nobody waits for that.
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

// next returns a channel that is closed at the next change.
func (m *machine) next() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.news == nil {
		m.news = make(chan struct{})
	}
	return m.news
}

// memory is the machine's memory in bytes, 0 if it isn't known yet.
func (m *machine) memory() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.info.MemoryBytes
}

// capacity is the node's capacity.
func (m *machine) capacity() corev1.ResourceList {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.limits
}

// survey asks the engine about the machine and reports whether it answered in full. What can't be
// found out stays as it was.
func (a *Agent) survey(ctx context.Context) bool {
	info, err := a.Runtime.Info(ctx)
	switch {
	case ctx.Err() != nil:
		return false
	case isOutage(err):
		a.engineDown(err)
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

// capacityOf is the node's capacity: what Options say, otherwise what the machine has.
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

// goArch is Go's name for the engine's architecture, which Kubernetes uses too.
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

// kernel is the version of the machine's kernel, empty if it isn't known yet.
func (m *machine) kernel() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.info.KernelVersion
}

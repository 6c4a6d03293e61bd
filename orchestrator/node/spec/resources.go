package spec

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"skiff/docker"
	"skiff/orchestrator/node/pod"
)

// Kernel constants of CPU control (k8s.io/kubernetes/pkg/kubelet/cm/helpers_linux.go).
const (
	minShares    = 2
	maxShares    = 262144
	sharesPerCPU = 1024
	// quotaPeriod and minQuota are in microseconds.
	quotaPeriod = 100_000
	minQuota    = 1_000
)

// Resources turns requests and limits into what the engine enforces. A container without a
// CPU request gets the smallest weight, so that those with one get their share.
func Resources(p *corev1.Pod, c *corev1.Container, nodeMemory int64) docker.Resources {
	limits, requests := pod.Limits(p, c), pod.Requests(p, c)
	r := docker.Resources{
		CPUShares:   cpuShares(requestOrLimit(requests, limits, corev1.ResourceCPU)),
		Memory:      limits.Memory().Value(),
		OOMScoreAdj: oomScoreAdj(p, c, nodeMemory),
	}
	if cpu := limits.Cpu(); !cpu.IsZero() {
		r.CPUPeriod = quotaPeriod
		r.CPUQuota = max(cpu.MilliValue()*quotaPeriod/1000, minQuota)
	}
	r.MemoryReservation = reservation(requests.Memory().Value(), r.Memory)
	return r
}

// reservation is the memory that the engine is asked to leave to a container, 0 for none. The
// engine wants it to be smaller than the limit, and has a least value. That must not keep a
// container from running: a request is first of all for the scheduler, and may be as small as one
// likes.
func reservation(request, limit int64) int64 {
	if request <= 0 {
		return 0
	}
	request = max(request, docker.MinMemory)
	if limit > 0 && request >= limit {
		return 0
	}
	return request
}

func requestOrLimit(requests, limits corev1.ResourceList, name corev1.ResourceName) resource.Quantity {
	if q, ok := requests[name]; ok {
		return q
	}
	return limits[name]
}

func cpuShares(cpu resource.Quantity) int64 {
	return min(max(cpu.MilliValue()*sharesPerCPU/1000, minShares), maxShares)
}

// Scores by which the kernel chooses what to kill when memory runs out
// (k8s.io/kubernetes/pkg/kubelet/qos/policy.go). Kubelet protects guaranteed pods with a negative
// score. An unprivileged engine may not set one, so zero is the best there is.
const (
	scoreGuaranteed = 0
	scoreBestEffort = 1000
)

func oomScoreAdj(pod *corev1.Pod, c *corev1.Container, nodeMemory int64) int {
	switch class := podClass(pod); {
	case class == corev1.PodQOSGuaranteed:
		return scoreGuaranteed
	case class == corev1.PodQOSBestEffort:
		return scoreBestEffort
	case nodeMemory <= 0:
		return scoreBestEffort - 1
	}
	score := 1000 - 1000*c.Resources.Requests.Memory().Value()/nodeMemory
	return int(min(max(score, scoreGuaranteed+2), scoreBestEffort-1))
}

func podClass(p *corev1.Pod) corev1.PodQOSClass {
	if p.Status.QOSClass != "" {
		return p.Status.QOSClass
	}
	return pod.QOSClass(&p.Spec)
}

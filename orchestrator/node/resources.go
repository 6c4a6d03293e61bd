package node

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"skiff/docker"
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

// containerResources turns requests and limits into what the engine enforces. A container that asks for no CPU gets the
// smallest weight, so that one that asks for some gets it.
func containerResources(pod *corev1.Pod, c *corev1.Container, nodeMemory int64) docker.Resources {
	limits, requests := c.Resources.Limits, c.Resources.Requests
	r := docker.Resources{
		CPUShares:   cpuShares(requestOrLimit(requests, limits, corev1.ResourceCPU)),
		Memory:      limits.Memory().Value(),
		OOMScoreAdj: oomScoreAdj(pod, c, nodeMemory),
	}
	if cpu := limits.Cpu(); !cpu.IsZero() {
		r.CPUPeriod = quotaPeriod
		r.CPUQuota = max(cpu.MilliValue()*quotaPeriod/1000, minQuota)
	}
	// The engine wants the reservation to be smaller than the limit.
	if memory := requests.Memory().Value(); memory > 0 && (r.Memory == 0 || memory < r.Memory) {
		r.MemoryReservation = memory
	}
	return r
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

// Scores with which the kernel picks its victims (k8s.io/kubernetes/pkg/kubelet/qos/policy.go). Kubelet protects
// guaranteed pods with a negative score, which an unprivileged engine may not set: zero is the best there is.
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

func podClass(pod *corev1.Pod) corev1.PodQOSClass {
	if pod.Status.QOSClass != "" {
		return pod.Status.QOSClass
	}
	return qosClass(&pod.Spec)
}

package statefulset

import (
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"skiff/manifests/podfacts"
	"skiff/orchestrator/workload"
	"skiff/orchestrator/workload/revision"
)

var gvk = appsv1.SchemeGroupVersion.WithKind("StatefulSet")

var numbered = regexp.MustCompile(`^(.*)-([0-9]+)$`)

// ordinalOf is the number in a pod's name, if the pod is named as one of the
// set's.
func ordinalOf(set *appsv1.StatefulSet, pod string) (ordinal int, member bool) {
	parts := numbered.FindStringSubmatch(pod)
	if parts == nil || parts[1] != set.Name {
		return 0, false
	}
	n, err := strconv.ParseInt(parts[2], 10, 32)
	return int(n), err == nil
}

func podName(set *appsv1.StatefulSet, ordinal int) string {
	return set.Name + "-" + strconv.Itoa(ordinal)
}

// first and end are the range of the set's ordinals: end is not in it.
func first(set *appsv1.StatefulSet) int {
	if set.Spec.Ordinals == nil {
		return 0
	}
	return int(set.Spec.Ordinals.Start)
}

func end(set *appsv1.StatefulSet) int { return first(set) + replicas(set) }

func replicas(set *appsv1.StatefulSet) int { return int(ptr.Deref(set.Spec.Replicas, 1)) }

func ordered(set *appsv1.StatefulSet) bool {
	return set.Spec.PodManagementPolicy != appsv1.ParallelPodManagement
}

func minReady(set *appsv1.StatefulSet) time.Duration {
	return time.Duration(set.Spec.MinReadySeconds) * time.Second
}

func rolls(set *appsv1.StatefulSet) bool {
	return set.Spec.UpdateStrategy.Type == appsv1.RollingUpdateStatefulSetStrategyType
}

// partition is the first ordinal, counted from 0, that updates reach.
func partition(set *appsv1.StatefulSet) int {
	if r := set.Spec.UpdateStrategy.RollingUpdate; r != nil {
		return int(ptr.Deref(r.Partition, 0))
	}
	return 0
}

// maxUnavailable is how many pods an update may have unavailable at a time: at
// least one.
func maxUnavailable(set *appsv1.StatefulSet) (int, error) {
	r := set.Spec.UpdateStrategy.RollingUpdate
	if r == nil || r.MaxUnavailable == nil {
		return 1, nil
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(r.MaxUnavailable, replicas(set), false)
	if err != nil {
		return 0, fmt.Errorf("maxUnavailable: %w", err)
	}
	return max(1, n), nil
}

// revisionFor is the revision that a pod of the ordinal is to be made of: below
// the partition the current one, else the one the set is being updated to.
func (s *snapshot) revisionFor(ordinal int) *appsv1.ControllerRevision {
	index := ordinal - first(s.set)
	reached := partition(s.set)
	if rolls(s.set) && s.set.Spec.UpdateStrategy.RollingUpdate == nil {
		reached = int(s.set.Status.CurrentReplicas)
	}
	if rolls(s.set) && index < reached {
		return s.current
	}
	return s.update
}

// newPod is the pod of an ordinal, made of a revision.
func newPod(set *appsv1.StatefulSet, ordinal int, from *appsv1.ControllerRevision) (*corev1.Pod, error) {
	template, err := revision.Template(from)
	if err != nil {
		return nil, err
	}
	pod := workload.PodFromTemplate(template, set, gvk)
	pod.GenerateName, pod.Name = "", podName(set, ordinal)
	identify(pod, ordinal)
	pod.Labels[appsv1.ControllerRevisionHashLabelKey] = from.Name
	pod.Spec.Hostname, pod.Spec.Subdomain = pod.Name, set.Spec.ServiceName
	mountClaims(set, pod, ordinal)
	return pod, nil
}

// identify gives a pod the labels by which it can be told from its siblings.
func identify(pod *corev1.Pod, ordinal int) {
	labels := maps.Clone(pod.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[appsv1.StatefulSetPodNameLabel] = pod.Name
	labels[appsv1.PodIndexLabel] = strconv.Itoa(ordinal)
	pod.Labels = labels
}

// available reports whether a pod counts as serving. One that has ended may still have the condition
// Ready: whoever ends a pod whose node is gone writes its phase alone.
func (s *snapshot) available(p *corev1.Pod) bool {
	return p != nil && p.DeletionTimestamp == nil && runningAndReady(p) && podfacts.Available(p, minReady(s.set), s.now)
}

func runningAndReady(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodRunning && podfacts.Ready(p)
}

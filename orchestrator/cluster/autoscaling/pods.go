package autoscaling

import (
	"errors"
	"fmt"
	"slices"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	resourcehelper "k8s.io/component-helpers/resource"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"
)

// The times for which a pod's processor use may be that of its start. They are upstream's
// --horizontal-pod-autoscaler-cpu-initialization-period and -initial-readiness-delay.
const (
	initializationPeriod = 5 * time.Minute
	readinessDelay       = 30 * time.Second
)

// tolerance is by which part the ratio of use and target may differ from one before anything is scaled:
// upstream's --horizontal-pod-autoscaler-tolerance.
const tolerance = 0.1

// podUsage is what a target's pods use of a resource, in thousandths of its unit.
type podUsage struct {
	resource  corev1.ResourceName
	container string
	pods      []*corev1.Pod
	// current is how many replicas the target has. values are by pod, of those that are ready; ready is
	// their number. Of unready pods what is known says nothing yet, and of missing ones nothing is known.
	current          int32
	values           map[string]int64
	ready            int
	unready, missing []string
	// down and up are the tolerances.
	down, up float64
}

// usageOf is what the pods use of a resource: all their containers, or the named one.
func usageOf(s snapshot, name corev1.ResourceName, container string) (podUsage, error) {
	of := fmt.Sprintf("unable to get metrics for resource %s", name)
	switch {
	case s.usageErr != nil:
		return podUsage{}, fmt.Errorf("%s: unable to fetch metrics from resource metrics API: %w", of, s.usageErr)
	case len(s.usage) == 0:
		return podUsage{}, fmt.Errorf("%s: no metrics returned from resource metrics API", of)
	case len(s.pods) == 0:
		return podUsage{}, errors.New("no pods returned by selector while calculating replica count")
	}
	u := podUsage{resource: name, container: container, pods: s.pods, current: s.target.want, values: map[string]int64{}, down: tolerance, up: tolerance}
	if b := s.autoscaler.Spec.Behavior; b != nil {
		u.down, u.up = toleranceOf(b.ScaleDown), toleranceOf(b.ScaleUp)
	}
	known := map[string]*metricsv1beta1.PodMetrics{}
	for i := range s.usage {
		known[s.usage[i].Name] = &s.usage[i]
	}
	for _, p := range s.pods {
		u.add(p, known[p.Name], s.now)
	}
	if len(u.values) == 0 {
		return podUsage{}, errors.New("did not receive metrics for targeted pods (pods might be unready)")
	}
	return u, nil
}

func toleranceOf(r *autoscalingv2.HPAScalingRules) float64 {
	if r == nil || r.Tolerance == nil {
		return tolerance
	}
	return r.Tolerance.AsApproximateFloat64()
}

func (u podUsage) tolerated(ratio float64) bool { return 1-u.down <= ratio && ratio <= 1+u.up }

// add counts a pod among those that are ready, unready or missing. Pods that go or have failed are
// none of them.
func (u *podUsage) add(p *corev1.Pod, m *metricsv1beta1.PodMetrics, now time.Time) {
	if p.DeletionTimestamp != nil || p.Status.Phase == corev1.PodFailed {
		return
	}
	if p.Status.Phase == corev1.PodPending {
		u.unready = append(u.unready, p.Name)
		return
	}
	value, ok := valueOf(m, u.resource, u.container)
	switch {
	case !ok:
		u.missing = append(u.missing, p.Name)
	case u.resource == corev1.ResourceCPU && starting(p, m, now):
		u.unready = append(u.unready, p.Name)
	default:
		u.values[p.Name] = value
		u.ready++
	}
}

// starting reports whether what a pod uses of the processor may be what its start takes.
func starting(p *corev1.Pod, m *metricsv1beta1.PodMetrics, now time.Time) bool {
	at := slices.IndexFunc(p.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodReady })
	if at < 0 || p.Status.StartTime == nil {
		return true
	}
	ready := p.Status.Conditions[at]
	if p.Status.StartTime.Add(initializationPeriod).After(now) {
		return ready.Status == corev1.ConditionFalse || m.Timestamp.Time.Before(ready.LastTransitionTime.Add(m.Window.Duration))
	}
	return ready.Status == corev1.ConditionFalse && p.Status.StartTime.Add(readinessDelay).After(ready.LastTransitionTime.Time)
}

// valueOf is what a pod uses in thousandths; false if it is not known of each of its containers, or of
// the named one.
func valueOf(m *metricsv1beta1.PodMetrics, name corev1.ResourceName, container string) (total int64, ok bool) {
	if m == nil {
		return 0, false
	}
	for _, c := range m.Containers {
		if container != "" && c.Name != container {
			continue
		}
		q, known := c.Usage[name]
		if !known {
			return 0, false
		}
		total, ok = total+q.MilliValue(), true
	}
	return total, ok
}

// requests are what the pods request, by pod, in thousandths: of themselves if they do, else by their
// containers, each of which must.
func (u podUsage) requests() (map[string]int64, error) {
	out := make(map[string]int64, len(u.pods))
	for _, p := range u.pods {
		n, err := requestOf(p, u.resource, u.container)
		if err != nil {
			return nil, err
		}
		out[p.Name] = n
	}
	return out, nil
}

func requestOf(p *corev1.Pod, name corev1.ResourceName, container string) (total int64, err error) {
	if container == "" && resourcehelper.IsPodLevelRequestsSet(p) {
		all := resourcehelper.PodRequests(p, resourcehelper.PodResourcesOptions{})
		q, ok := all[name]
		if !ok {
			return 0, fmt.Errorf("missing pod-level request for %s in Pod %s", name, p.Name)
		}
		return q.MilliValue(), nil
	}
	containers := slices.Clone(p.Spec.Containers)
	for _, c := range p.Spec.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			containers = append(containers, c)
		}
	}
	found := container == ""
	for _, c := range containers {
		if container != "" && c.Name != container {
			continue
		}
		found = true
		q, ok := c.Resources.Requests[name]
		if !ok {
			return 0, fmt.Errorf("missing request for %s in container %s of Pod %s", name, c.Name, p.Name)
		}
		total += q.MilliValue()
	}
	if !found {
		return 0, fmt.Errorf("container %s not found in Pod %s", container, p.Name)
	}
	return total, nil
}

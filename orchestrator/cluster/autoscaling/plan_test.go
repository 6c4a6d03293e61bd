package autoscaling

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"
	"k8s.io/utils/ptr"
)

var now = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func quantity(text string) *resource.Quantity { return ptr.To(resource.MustParse(text)) }

// cpu is a metric: a share such as 50%, or an amount.
func cpu(target string) autoscalingv2.MetricSpec {
	return autoscalingv2.MetricSpec{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricSource{Name: corev1.ResourceCPU, Target: want(target)}}
}

func container(name, target string) autoscalingv2.MetricSpec {
	return autoscalingv2.MetricSpec{Type: autoscalingv2.ContainerResourceMetricSourceType, ContainerResource: &autoscalingv2.ContainerResourceMetricSource{
		Name: corev1.ResourceCPU, Container: name, Target: want(target)}}
}

func want(target string) autoscalingv2.MetricTarget {
	if share, ok := strings.CutSuffix(target, "%"); ok {
		var n int32
		if _, err := fmt.Sscan(share, &n); err != nil {
			panic(err)
		}
		return autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: &n}
	}
	return autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: quantity(target)}
}

func qps() autoscalingv2.MetricSpec {
	return autoscalingv2.MetricSpec{Type: autoscalingv2.PodsMetricSourceType, Pods: &autoscalingv2.PodsMetricSource{Metric: autoscalingv2.MetricIdentifier{Name: "qps"}, Target: want("10")}}
}

// scene makes a snapshot of a target of as many replicas as there are words, each a pod that requests
// 100m. A word is what the pod uses, in thousandths; or "?", of which nothing is known; "pending";
// "going"; "failed"; or what it uses after "unready " joined by a colon, as unready:90, or fresh:90.
func scene(words string, min, max int32, metrics ...autoscalingv2.MetricSpec) snapshot {
	a := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", Generation: 1}}
	a.Spec = autoscalingv2.HorizontalPodAutoscalerSpec{MinReplicas: &min, MaxReplicas: max, Metrics: metrics}
	s := snapshot{autoscaler: a, now: now, target: target{selector: "app=web"}}
	for i, word := range strings.Fields(words) {
		s.target.want++
		s.add(fmt.Sprint("p", i), word)
	}
	s.target.have = s.target.want
	return s
}

func (s *snapshot) add(name, word string) {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.PodStatus{Phase: corev1.PodRunning, StartTime: ptr.To(metav1.NewTime(now.Add(-time.Hour)))}}
	p.Spec.Containers = []corev1.Container{{Name: "web", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: *quantity("100m")}}}}
	ready := corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(now.Add(-time.Hour))}
	s.pods = append(s.pods, p)
	kind, used, _ := strings.Cut(word, ":")
	switch kind {
	case "?":
	case "pending":
		p.Status.Phase = corev1.PodPending
	case "failed":
		p.Status.Phase = corev1.PodFailed
	case "going":
		p.DeletionTimestamp, used = ptr.To(metav1.NewTime(now)), "900"
	case "unready": // never was ready
		ready.Status, ready.LastTransitionTime = corev1.ConditionFalse, *p.Status.StartTime
	case "broken": // was ready once
		ready.Status, ready.LastTransitionTime = corev1.ConditionFalse, metav1.NewTime(now.Add(-time.Minute))
	case "fresh": // became ready within the metrics' window
		p.Status.StartTime, ready.LastTransitionTime = ptr.To(metav1.NewTime(now.Add(-20*time.Second))), metav1.NewTime(now.Add(-10*time.Second))
	case "frugal": // requests nothing
		p.Spec.Containers[0].Resources = corev1.ResourceRequirements{}
	default:
		used = word
	}
	p.Status.Conditions = []corev1.PodCondition{ready}
	if used != "" {
		s.usage = append(s.usage, metricsv1beta1.PodMetrics{
			ObjectMeta: metav1.ObjectMeta{Name: name}, Timestamp: metav1.NewTime(now), Window: metav1.Duration{Duration: 15 * time.Second},
			Containers: []metricsv1beta1.ContainerMetrics{{Name: "web", Usage: corev1.ResourceList{corev1.ResourceCPU: *quantity(used + "m")}}},
		})
	}
}

// outcome is a plan in short: the replicas, and what the metrics say.
func outcome(s snapshot) string {
	p := makePlan(s)
	replicas := s.target.want
	if p.rescale {
		replicas = p.replicas
	}
	out := fmt.Sprintf("%d -> %d", s.target.want, replicas)
	for _, m := range p.status.CurrentMetrics {
		switch {
		case m.Resource != nil:
			out += ", " + value(m.Resource.Current)
		case m.ContainerResource != nil:
			out += ", " + m.ContainerResource.Container + " " + value(m.ContainerResource.Current)
		default:
			out += ", unknown"
		}
	}
	return out
}

func value(v autoscalingv2.MetricValueStatus) string {
	if v.AverageUtilization != nil {
		return fmt.Sprintf("%d%%", *v.AverageUtilization)
	}
	return v.AverageValue.String()
}

func TestReplicas(t *testing.T) {
	for _, c := range []struct{ name, pods, target, want string }{
		{"on target", "50 50", "50%", "2 -> 2, 50%"},
		{"within the tolerance", "54 54", "50%", "2 -> 2, 54%"},
		{"above", "60 60", "50%", "2 -> 3, 60%"},
		{"far above", "100 100", "50%", "2 -> 4, 100%"},
		{"at most double", "400 400 400", "50%", "3 -> 6, 400%"},
		{"or four", "400", "50%", "1 -> 4, 400%"},
		{"below", "10 10 10 10", "50%", "4 -> 1, 10%"},
		{"an amount, above", "60 80", "50m", "2 -> 3, 70m"},
		{"an amount, below", "20 20 20", "50m", "3 -> 2, 20m"},
		{"pods that go or failed do not count", "50 50 going failed", "50%", "4 -> 4, 50%"},
		{"missing ones use all they request when scaling down", "10 10 ?", "50%", "3 -> 3, 10%"},
		{"but not more than is needed", "10 10 10 10 10 10 10 ?", "50%", "8 -> 4, 10%"},
		{"missing ones use nothing when scaling up", "100 ?", "50%", "2 -> 2, 100%"},
		{"an amount, a missing one is on target when scaling down", "10 10 10 ?", "50m", "4 -> 2, 10m"},
		{"an amount, and uses nothing when scaling up", "200 ?", "50m", "2 -> 4, 200m"},
		{"pending ones use nothing when scaling up", "200 pending", "50%", "2 -> 4, 200%"},
		{"and do not count when scaling down", "10 10 pending", "50%", "3 -> 1, 10%"},
		{"a pod that never was ready may still be starting", "200 unready:900", "50%", "2 -> 4, 200%"},
		{"one that was ready is not", "10 broken:10", "50%", "2 -> 1, 10%"},
		{"one that has just become ready is", "10 fresh:500", "50%", "2 -> 1, 10%"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := scene(c.pods, 1, 10, cpu(c.target))
			s.history.recommendations = []recommendation{{0, now.Add(-time.Hour)}} // nothing holds it back
			if got := outcome(s); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestPlans(t *testing.T) {
	behaviour := func(s snapshot, b autoscalingv2.HorizontalPodAutoscalerBehavior) snapshot {
		s.autoscaler.Spec.Behavior = &b
		return s
	}
	rules := func(window int32, how autoscalingv2.ScalingPolicySelect, policies ...autoscalingv2.HPAScalingPolicy) *autoscalingv2.HPAScalingRules {
		return &autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: &window, SelectPolicy: &how, Policies: policies}
	}
	pods := func(n, seconds int32) autoscalingv2.HPAScalingPolicy {
		return autoscalingv2.HPAScalingPolicy{Type: autoscalingv2.PodsScalingPolicy, Value: n, PeriodSeconds: seconds}
	}
	percent := func(n, seconds int32) autoscalingv2.HPAScalingPolicy {
		return autoscalingv2.HPAScalingPolicy{Type: autoscalingv2.PercentScalingPolicy, Value: n, PeriodSeconds: seconds}
	}
	free := rules(0, autoscalingv2.MaxChangePolicySelect, percent(1000, 15))
	with := func(s snapshot, change func(*snapshot)) snapshot { change(&s); return s }
	remembers := func(s snapshot, ago time.Duration, replicas int32) snapshot {
		s.history.recommendations = append(s.history.recommendations, recommendation{replicas, now.Add(-ago)})
		return s
	}
	found := "ScalingActive True ValidMetricFound: the HPA was able to successfully calculate a replica count from cpu resource utilization (percentage of request)"
	for _, c := range []struct {
		name string
		s    snapshot
		want string
	}{
		{"more", scene("100 100", 1, 10, cpu("50%")),
			"scale from 2 to 4: cpu resource utilization (percentage of request) above target\nAbleToScale True ReadyForNewScale\n" + found + "\nScalingLimited False DesiredWithinRange"},
		{"no more than allowed", scene("100 100", 1, 3, cpu("50%")),
			"scale from 2 to 3: cpu resource utilization (percentage of request) above target\nAbleToScale True ReadyForNewScale\n" + found + "\nScalingLimited True TooManyReplicas"},
		{"not too fast", scene("900 900", 1, 30, cpu("50%")),
			"scale from 2 to 4: cpu resource utilization (percentage of request) above target\nAbleToScale True ReadyForNewScale\n" + found + "\nScalingLimited True ScaleUpLimit"},
		{"not down at once", scene("10 10", 1, 10, cpu("50%")), "AbleToScale True ScaleDownStabilized\n" + found + "\nScalingLimited False DesiredWithinRange"},
		{"down after five minutes", remembers(scene("10 10", 1, 10, cpu("50%")), 6*time.Minute, 2),
			"scale from 2 to 1: All metrics below target\nAbleToScale True ReadyForNewScale\n" + found + "\nScalingLimited False DesiredWithinRange"},
		{"no fewer than allowed", remembers(scene("1 1 1 1", 2, 10, cpu("50%")), 6*time.Minute, 4),
			"scale from 4 to 2: All metrics below target\nAbleToScale True ReadyForNewScale\n" + found + "\nScalingLimited True TooFewReplicas"},
		{"above the bounds", scene("? ? ?", 1, 2, cpu("50%")), "scale from 3 to 2: Current number of replicas above Spec.MaxReplicas\nAbleToScale True SucceededGetScale"},
		{"below the bounds", scene("?", 2, 3, cpu("50%")), "scale from 1 to 2: Current number of replicas below Spec.MinReplicas\nAbleToScale True SucceededGetScale"},
		{"off", scene("", 1, 3, cpu("50%")), "AbleToScale True SucceededGetScale\nScalingActive False ScalingDisabled: scaling is disabled since the replica count of the target is zero"},
		{"no target", with(scene("", 1, 3), func(s *snapshot) { s.targetErr = errors.New(`deployments.apps "web" not found`) }),
			"AbleToScale False FailedGetScale\nwarn FailedGetScale: deployments.apps \"web\" not found"},
		{"no selector", with(scene("50", 1, 3, cpu("50%")), func(s *snapshot) { s.selectorErr = errNoSelector }),
			"AbleToScale True SucceededGetScale\nScalingActive False InvalidSelector: the HPA target's scale is missing a selector\nwarn SelectorRequired: selector is required\nwarn FailedComputeMetricsReplicas: selector is required"},
		{"two of them", with(scene("50", 1, 3, cpu("50%")), func(s *snapshot) {
			s.rivals = []types.NamespacedName{{Namespace: "d", Name: "a"}, {Namespace: "d", Name: "b"}}
		}),
			"AbleToScale True SucceededGetScale\nScalingActive False AmbiguousSelector: pods by selector app=web are controlled by more than one HPA (e.g. [d/a d/b])\n" +
				"warn AmbiguousSelector: pods by selector app=web are controlled by more than one HPA (e.g. [d/a d/b])\nwarn FailedComputeMetricsReplicas: pods by selector app=web are controlled by more than one HPA (e.g. [d/a d/b])"},
		{"nothing known", scene("? ?", 1, 3, cpu("50%")),
			"AbleToScale True SucceededGetScale\nScalingActive False FailedGetResourceMetric: the HPA was unable to compute the replica count: failed to get cpu utilization: unable to get metrics for resource cpu: no metrics returned from resource metrics API\n" +
				"warn FailedGetResourceMetric: failed to get cpu utilization: unable to get metrics for resource cpu: no metrics returned from resource metrics API\n" +
				"warn FailedComputeMetricsReplicas: invalid metrics (1 invalid out of 1), first error is: failed to get cpu resource metric value: failed to get cpu utilization: unable to get metrics for resource cpu: no metrics returned from resource metrics API"},
		{"no requests", scene("frugal:50", 1, 3, cpu("50%")),
			"AbleToScale True SucceededGetScale\nScalingActive False FailedGetResourceMetric: the HPA was unable to compute the replica count: failed to get cpu utilization: missing request for cpu in container web of Pod p0\n" +
				"warn FailedGetResourceMetric: failed to get cpu utilization: missing request for cpu in container web of Pod p0\n" +
				"warn FailedComputeMetricsReplicas: invalid metrics (1 invalid out of 1), first error is: failed to get cpu resource metric value: failed to get cpu utilization: missing request for cpu in container web of Pod p0"},
		{"a metric that nobody serves", scene("50", 1, 3, qps()),
			"AbleToScale True SucceededGetScale\nScalingActive False FailedGetPodsMetric: the HPA was unable to compute the replica count: unable to get metric qps: unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered\n" +
				"warn FailedGetPodsMetric: unable to get metric qps: unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered\n" +
				"warn FailedComputeMetricsReplicas: invalid metrics (1 invalid out of 1), first error is: failed to get pods metric value: unable to get metric qps: unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered"},
		{"beside one that wants more", scene("100", 1, 3, qps(), cpu("50%")),
			"scale from 1 to 2: cpu resource utilization (percentage of request) above target\nAbleToScale True ReadyForNewScale\n" + found + "\nScalingLimited False DesiredWithinRange\n" +
				"warn FailedGetPodsMetric: unable to get metric qps: unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered"},
		{"one container of each pod", scene("100", 1, 3, container("web", "50%")),
			"scale from 1 to 2: cpu container resource utilization (percentage of request) above target\nAbleToScale True ReadyForNewScale\n" +
				"ScalingActive True ValidMetricFound: the HPA was able to successfully calculate a replica count from cpu container resource utilization (percentage of request)\nScalingLimited False DesiredWithinRange"},
		{"a pod at a time", behaviour(scene("900 900", 1, 30, cpu("50%")), autoscalingv2.HorizontalPodAutoscalerBehavior{
			ScaleUp: rules(0, autoscalingv2.MinChangePolicySelect, pods(1, 60), percent(100, 60)), ScaleDown: free}),
			"scale from 2 to 3: cpu resource utilization (percentage of request) above target\nAbleToScale True ReadyForNewScale\n" + found + "\nScalingLimited True ScaleUpLimit"},
		{"which has been made", with(behaviour(scene("900 900", 1, 30, cpu("50%")), autoscalingv2.HorizontalPodAutoscalerBehavior{
			ScaleUp: rules(0, autoscalingv2.MaxChangePolicySelect, pods(1, 60)), ScaleDown: free}), func(s *snapshot) { s.history.changes = []change{{1, now.Add(-30 * time.Second)}} }),
			"AbleToScale True ReadyForNewScale\n" + found + "\nScalingLimited True ScaleUpLimit"},
		{"or as fast as the fastest policy", behaviour(scene("900 900", 1, 30, cpu("50%")), autoscalingv2.HorizontalPodAutoscalerBehavior{
			ScaleUp: rules(0, autoscalingv2.MaxChangePolicySelect, pods(1, 60), percent(900, 60)), ScaleDown: free}),
			"scale from 2 to 20: cpu resource utilization (percentage of request) above target\nAbleToScale True ReadyForNewScale\n" + found + "\nScalingLimited True ScaleUpLimit"},
		{"never down", behaviour(scene("1 1 1", 1, 30, cpu("50%")), autoscalingv2.HorizontalPodAutoscalerBehavior{
			ScaleUp: free, ScaleDown: rules(0, autoscalingv2.DisabledPolicySelect, pods(1, 60))}),
			"AbleToScale True ReadyForNewScale\n" + found + "\nScalingLimited True ScaleDownLimit"},
		{"a third down", behaviour(scene("1 1 1 1 1 1 1 1 1", 1, 30, cpu("50%")), autoscalingv2.HorizontalPodAutoscalerBehavior{
			ScaleUp: free, ScaleDown: rules(0, autoscalingv2.MaxChangePolicySelect, percent(33, 60))}),
			"scale from 9 to 6: All metrics below target\nAbleToScale True ReadyForNewScale\n" + found + "\nScalingLimited True ScaleDownLimit"},
		{"up only if it lasts", remembers(behaviour(scene("900 900", 1, 30, cpu("50%")), autoscalingv2.HorizontalPodAutoscalerBehavior{
			ScaleUp: rules(120, autoscalingv2.MaxChangePolicySelect, pods(9, 60)), ScaleDown: free}), time.Minute, 2),
			"AbleToScale True ScaleUpStabilized\n" + found + "\nScalingLimited False DesiredWithinRange"},
		{"down only if it lasts", remembers(behaviour(scene("1 1 1 1", 1, 30, cpu("50%")), autoscalingv2.HorizontalPodAutoscalerBehavior{
			ScaleUp: free, ScaleDown: rules(120, autoscalingv2.MaxChangePolicySelect, pods(9, 60))}), time.Minute, 3),
			"scale from 4 to 3: All metrics below target\nAbleToScale True ScaleDownStabilized\n" + found + "\nScalingLimited False DesiredWithinRange"},
		{"a tolerance of its own", behaviour(scene("100 100", 1, 30, cpu("50%")), autoscalingv2.HorizontalPodAutoscalerBehavior{
			ScaleUp: with2(free, quantity("1.5")), ScaleDown: free}), "AbleToScale True ReadyForNewScale\n" + found + "\nScalingLimited False DesiredWithinRange"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := makePlan(c.s).String(); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func with2(r *autoscalingv2.HPAScalingRules, tolerance *resource.Quantity) *autoscalingv2.HPAScalingRules {
	r = r.DeepCopy()
	r.Tolerance = tolerance
	return r
}

func TestMemoryIsToldInBinaryUnits(t *testing.T) {
	s := scene("50", 1, 3, autoscalingv2.MetricSpec{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricSource{Name: corev1.ResourceMemory, Target: want("64Mi")}})
	s.usage[0].Containers[0].Usage[corev1.ResourceMemory] = resource.MustParse("128Mi")
	if got := outcome(s); got != "1 -> 2, 128Mi" {
		t.Error(got)
	}
}

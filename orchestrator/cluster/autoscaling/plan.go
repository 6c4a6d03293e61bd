package autoscaling

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"
	"k8s.io/utils/ptr"
)

// snapshot is all that a plan is made of.
type snapshot struct {
	autoscaler *autoscalingv2.HorizontalPodAutoscaler
	target     target
	targetErr  error
	// selector is the target's, and pods are those that it selects. rivals are the autoscalers that
	// control them, if there are several.
	selector    labels.Selector
	selectorErr error
	pods        []*corev1.Pod
	rivals      []types.NamespacedName
	// usage is what the pods use, as far as it is known.
	usage    []metricsv1beta1.PodMetrics
	usageErr error
	history  history
	now      time.Time
}

// least is how many replicas there shall be at least.
func (s snapshot) least() int32 { return ptr.Deref(s.autoscaler.Spec.MinReplicas, 1) }

// dependsOnMetrics reports whether metrics decide: a target of no replicas is off, and one outside of
// the bounds is brought back to them.
func (s snapshot) dependsOnMetrics() bool {
	n := s.target.want
	return n != 0 && n <= s.autoscaler.Spec.MaxReplicas && n >= s.least()
}

// plan is what is to be done about an autoscaler, and what its status says then.
type plan struct {
	rescale  bool
	replicas int32
	// reason is why the target is scaled.
	reason   string
	status   autoscalingv2.HorizontalPodAutoscalerStatus
	warnings []warning
	history  history

	now time.Time
}

// warning is an event about something that is wrong.
type warning struct{ reason, message string }

// makePlan decides as upstream's controller does
// (pkg/controller/podautoscaler/horizontal.go in k8s.io/kubernetes).
func makePlan(s snapshot) plan {
	p := plan{status: *s.autoscaler.Status.DeepCopy(), history: s.history, now: s.now}
	if s.targetErr != nil {
		p.warn("FailedGetScale", s.targetErr)
		p.condition(autoscalingv2.AbleToScale, false, "FailedGetScale", fmt.Sprintf("the HPA controller was unable to get the target's current scale: %v", s.targetErr))
		return p
	}
	p.condition(autoscalingv2.AbleToScale, true, "SucceededGetScale", "the HPA controller was able to get the target's current scale")
	current := s.target.want
	p.history = p.history.begun(current, s.now)
	if s.dependsOnMetrics() {
		p.byMetrics(s)
		return p
	}
	var metrics []autoscalingv2.MetricStatus
	switch most := s.autoscaler.Spec.MaxReplicas; {
	case current == 0:
		p.condition(autoscalingv2.ScalingActive, false, "ScalingDisabled", "scaling is disabled since the replica count of the target is zero")
		p.counted(s, 0, metrics)
	case current > most:
		p.scale(s, most, "Current number of replicas above Spec.MaxReplicas", metrics)
	default:
		p.scale(s, s.least(), "Current number of replicas below Spec.MinReplicas", metrics)
	}
	return p
}

// byMetrics decides by what the metrics want.
func (p *plan) byMetrics(s snapshot) {
	current := s.target.want
	m := p.measure(s)
	if m.none {
		p.counted(s, s.autoscaler.Status.DesiredReplicas, m.statuses)
		p.warn("FailedComputeMetricsReplicas", m.err)
		return
	}
	reason := ""
	switch {
	case m.replicas > current:
		reason = m.name + " above target"
	case m.replicas < current:
		reason = "All metrics below target"
	}
	if want := p.limit(s, max(m.replicas, 0)); want != current {
		p.scale(s, want, reason, m.statuses)
	} else {
		p.counted(s, current, m.statuses)
	}
}

// measured is what all metrics together want.
type measured struct {
	replicas int32
	// name is the metric that wants most.
	name     string
	statuses []autoscalingv2.MetricStatus
	// err is why some metrics are not known. none says that nothing can be decided by the others:
	// there are none, or they want less, which those that are not known may not.
	err  error
	none bool
}

// measure takes the highest of what the metrics want.
func (p *plan) measure(s snapshot) measured {
	if failed, err := p.checkPods(s); err != nil {
		p.condition(autoscalingv2.ScalingActive, false, failed.reason, failed.message)
		return measured{err: err, none: true}
	}
	specs := s.autoscaler.Spec.Metrics
	m := measured{statuses: make([]autoscalingv2.MetricStatus, len(specs))}
	var first warning
	invalid := 0
	for i, spec := range specs {
		want, err := calculate(s, spec)
		if err != nil {
			w := warning{reason: failureOf(spec), message: err.Error()}
			p.warnings = append(p.warnings, w)
			if invalid++; invalid == 1 {
				first, m.err = w, fmt.Errorf("failed to get %s: %w", metricTitle(spec), err)
			}
			continue
		}
		m.statuses[i] = want.status
		if m.replicas == 0 || want.replicas > m.replicas {
			m.replicas, m.name = want.replicas, want.name
		}
	}
	if m.err != nil {
		m.err = fmt.Errorf("invalid metrics (%v invalid out of %v), first error is: %w", invalid, len(specs), m.err)
	}
	if invalid >= len(specs) || invalid > 0 && m.replicas < s.target.want {
		p.condition(autoscalingv2.ScalingActive, false, first.reason, "the HPA was unable to compute the replica count: "+first.message)
		m.none = true
		return m
	}
	p.condition(autoscalingv2.ScalingActive, true, "ValidMetricFound", "the HPA was able to successfully calculate a replica count from "+m.name)
	return m
}

// checkPods checks that it is known which pods are the target's, and that nobody else scales them. It
// returns what the condition says otherwise.
func (p *plan) checkPods(s snapshot) (warning, error) {
	switch {
	case errors.Is(s.selectorErr, errNoSelector):
		p.warn("SelectorRequired", s.selectorErr)
		return warning{"InvalidSelector", "the HPA target's scale is missing a selector"}, s.selectorErr
	case s.selectorErr != nil:
		p.warn("InvalidSelector", s.selectorErr)
		return warning{"InvalidSelector", s.selectorErr.Error()}, s.selectorErr
	case len(s.rivals) > 0:
		err := fmt.Errorf("pods by selector %v are controlled by more than one HPA (e.g. %v)", s.target.selector, s.rivals)
		p.warn("AmbiguousSelector", err)
		return warning{"AmbiguousSelector", err.Error()}, err
	}
	return warning{}, nil
}

// limit keeps what the metrics want within the autoscaler's bounds and to its pace.
func (p *plan) limit(s snapshot, want int32) int32 {
	l := limitsOf(s)
	steady := l.stabilize(want, p.history, s.now)
	if steady.replicas == want {
		p.condition(autoscalingv2.AbleToScale, true, "ReadyForNewScale", "recommended size matches current size")
	} else {
		p.condition(autoscalingv2.AbleToScale, true, steady.reason, steady.message)
	}
	p.history = p.history.recommended(want, s.now, l.memory())
	paced := l.pace(steady.replicas, p.history, s.now)
	p.condition(autoscalingv2.ScalingLimited, paced.replicas != steady.replicas, paced.reason, paced.message)
	return paced.replicas
}

func (p *plan) scale(s snapshot, replicas int32, reason string, metrics []autoscalingv2.MetricStatus) {
	p.rescale, p.replicas, p.reason = true, replicas, reason
	p.counted(s, replicas, metrics)
}

// counted writes the status anew, but for its conditions.
func (p *plan) counted(s snapshot, desired int32, metrics []autoscalingv2.MetricStatus) {
	p.status.CurrentReplicas, p.status.DesiredReplicas, p.status.CurrentMetrics = s.target.want, desired, metrics
	p.status.ObservedGeneration = ptr.To(s.autoscaler.Generation)
}

// rescaled completes a plan whose target has been scaled.
func (p *plan) rescaled(s snapshot) {
	p.condition(autoscalingv2.AbleToScale, true, "SucceededRescale", fmt.Sprintf("the HPA controller was able to update the target scale to %d", p.replicas))
	p.status.LastScaleTime = ptr.To(metav1.NewTime(s.now))
	p.history = p.history.scaled(s.target.want, p.replicas, s.now, s.autoscaler.Spec.Behavior)
}

// refused completes a plan whose target could not be scaled.
func (p *plan) refused(s snapshot, err error) {
	p.condition(autoscalingv2.AbleToScale, false, "FailedUpdateScale", fmt.Sprintf("the HPA controller was unable to update the target scale: %v", err))
	p.counted(s, s.autoscaler.Status.DesiredReplicas, p.status.CurrentMetrics)
}

func (p *plan) warn(reason string, err error) {
	p.warnings = append(p.warnings, warning{reason, err.Error()})
}

// condition sets a condition, which keeps its time as long as its status.
func (p *plan) condition(t autoscalingv2.HorizontalPodAutoscalerConditionType, is bool, reason, message string) {
	status := corev1.ConditionFalse
	if is {
		status = corev1.ConditionTrue
	}
	next := autoscalingv2.HorizontalPodAutoscalerCondition{Type: t, Status: status, Reason: reason, Message: message, LastTransitionTime: metav1.NewTime(p.now)}
	at := slices.IndexFunc(p.status.Conditions, func(c autoscalingv2.HorizontalPodAutoscalerCondition) bool { return c.Type == t })
	if at < 0 {
		p.status.Conditions = append(p.status.Conditions, next)
		return
	}
	if old := p.status.Conditions[at]; old.Status == status {
		next.LastTransitionTime = old.LastTransitionTime
	}
	p.status.Conditions[at] = next
}

// String is the plan in words, without messages that only repeat a reason.
func (p plan) String() string {
	var lines []string
	if p.rescale {
		lines = append(lines, fmt.Sprintf("scale from %d to %d: %s", p.status.CurrentReplicas, p.replicas, p.reason))
	}
	for _, c := range p.status.Conditions {
		line := fmt.Sprintf("%s %s %s", c.Type, c.Status, c.Reason)
		if c.Type == autoscalingv2.ScalingActive {
			line += ": " + c.Message
		}
		lines = append(lines, line)
	}
	for _, w := range p.warnings {
		lines = append(lines, fmt.Sprintf("warn %s: %s", w.reason, w.message))
	}
	return strings.Join(lines, "\n")
}

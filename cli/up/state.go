package up

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"skiff/cli/client"
	"skiff/cli/pods"
)

// phase is how far something has come.
type phase int

const (
	pending phase = iota
	ready
	// finished has done what it was to do and does not run any more.
	finished
	failed
)

// line is what the view shows of one workload or pod.
type line struct {
	name  string
	text  string
	phase phase
	// depth is 1 for a workload's pods.
	depth int
}

// failure is why something cannot come up.
type failure struct {
	// what is the object: pod/kubia-x2x4f.
	what string
	// why is the reason and its explanation, on one line.
	why string
	// pod and container name the log that may tell more; "" when none does. crashed is whether it is the one before the last restart.
	pod       *corev1.Pod
	container string
	crashed   bool
}

// picture is one look at everything: a pure function of the objects and the time.
type picture struct {
	lines   []line
	failure *failure
	// up is whether everything runs, or has run; done whether nothing runs any more, and never will.
	up, done bool
}

// patience is how long a state may last that is often over by itself.
const patience = 10 * time.Second

// snapshot are the objects that a picture is made of.
type snapshot struct {
	// workloads are what the files name, in order, as the server has them; nil Value for one not seen yet.
	workloads []workload
	pods      []*corev1.Pod
	sets      []*appsv1.ReplicaSet
}

// workload is an object that has pods, or is one.
type workload struct {
	client.Ref
	value *unstructured.Unstructured
}

func (w workload) name() string {
	return strings.ToLower(w.Mapping.GroupVersionKind.Kind) + "/" + w.Name
}

// workloadKinds are the kinds that run something.
var workloadKinds = []string{"Pod", "ReplicationController", "ReplicaSet", "Deployment", "StatefulSet", "DaemonSet", "Job"}

func isWorkload(r client.Ref) bool {
	return slices.Contains(workloadKinds, r.Mapping.GroupVersionKind.Kind)
}

// look judges a snapshot. complete is whether jobs must have ended to be up.
func look(s snapshot, now time.Time, complete bool) picture {
	p := picture{up: true, done: len(s.workloads) > 0}
	for _, w := range s.workloads {
		own := s.podsOf(w)
		l, f := judge(w, own, now, complete)
		p.lines = append(p.lines, l)
		for _, pod := range own {
			if w.Mapping.GroupVersionKind.Kind == "Pod" {
				continue
			}
			pl, pf := judgePod(pod, now)
			pl.depth = 1
			if l.phase == finished && pf == nil {
				continue // the pods of a job that is over
			}
			p.lines = append(p.lines, pl)
			if f == nil && countsForItself(w) && !s.outdated(w, pod) {
				f = pf
			}
		}
		if p.failure == nil {
			p.failure = f
		}
		p.up = p.up && (l.phase == ready || l.phase == finished)
		p.done = p.done && over(w, l, own)
	}
	return p
}

// outdated tells whether a pod is being replaced by its workload, because it is of a template that has been changed: what it
// suffers from may have been mended.
func (s snapshot) outdated(w workload, pod *corev1.Pod) bool {
	switch w.Mapping.GroupVersionKind.Kind {
	case "Deployment":
		seen, _, _ := unstructured.NestedInt64(w.value.Object, "status", "observedGeneration")
		newest := s.newestSet(w)
		return seen < w.value.GetGeneration() || newest == nil || !metav1.IsControlledBy(pod, newest)
	case "DaemonSet":
		template := w.value.GetAnnotations()[appsv1.DeprecatedTemplateGeneration]
		return template != "" && pod.Labels["pod-template-generation"] != template
	}
	return false
}

// newestSet is the replica set that a deployment rolls out.
func (s snapshot) newestSet(w workload) *appsv1.ReplicaSet {
	var newest *appsv1.ReplicaSet
	last := int64(-1)
	for _, rs := range s.sets {
		ref := metav1.GetControllerOf(rs)
		if ref == nil || ref.UID != w.value.GetUID() {
			continue
		}
		revision, err := strconv.ParseInt(rs.Annotations["deployment.kubernetes.io/revision"], 10, 64)
		if err == nil && revision > last {
			newest, last = rs, revision
		}
	}
	return newest
}

// over is whether a workload runs no more and never will. A pod that crashes is started again; only jobs and pods that
// are not to be restarted come to an end.
func over(w workload, l line, own []*corev1.Pod) bool {
	switch w.Mapping.GroupVersionKind.Kind {
	case "Pod":
		return len(own) > 0 && (own[0].Status.Phase == corev1.PodSucceeded || own[0].Status.Phase == corev1.PodFailed)
	case "Job":
		return l.phase == finished || l.phase == failed
	}
	return false
}

// countsForItself is whether a pod that fails fails its workload. A job makes another one until it gives up by itself.
func countsForItself(w workload) bool { return w.Mapping.GroupVersionKind.Kind != "Job" }

// podsOf are a workload's own pods, by owner; through its replica sets for a deployment.
func (s snapshot) podsOf(w workload) []*corev1.Pod {
	if w.value == nil {
		return nil
	}
	owners := []types.UID{w.value.GetUID()}
	for _, rs := range s.sets {
		if ref := metav1.GetControllerOf(rs); ref != nil && ref.UID == owners[0] {
			owners = append(owners, rs.UID)
		}
	}
	var out []*corev1.Pod
	for _, p := range s.pods {
		ref := metav1.GetControllerOf(p)
		if p.UID == owners[0] || ref != nil && slices.Contains(owners, ref.UID) {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b *corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// judge says how far a workload has come.
func judge(w workload, own []*corev1.Pod, now time.Time, complete bool) (line, *failure) {
	l := line{name: w.name()}
	if w.value == nil {
		return l, nil
	}
	var f *failure
	var err error
	switch w.Mapping.GroupVersionKind.Kind {
	case "Pod":
		if len(own) == 0 {
			return l, nil
		}
		return judgePod(own[0], now)
	case "ReplicationController":
		l.phase, l.text, f, err = as(w, func(o *corev1.ReplicationController) (phase, string, string) {
			text, why := replicas(o.Spec.Replicas, o.Status.ReadyReplicas, o.Status.Replicas, o.Generation <= o.Status.ObservedGeneration), ""
			for _, c := range o.Status.Conditions {
				why = refused(why, string(c.Type), c.Status, c.Message, c.LastTransitionTime, now)
			}
			return text.phase, text.text, why
		})
	case "ReplicaSet":
		l.phase, l.text, f, err = as(w, func(o *appsv1.ReplicaSet) (phase, string, string) {
			text, why := replicas(o.Spec.Replicas, o.Status.ReadyReplicas, o.Status.Replicas, o.Generation <= o.Status.ObservedGeneration), ""
			for _, c := range o.Status.Conditions {
				why = refused(why, string(c.Type), c.Status, c.Message, c.LastTransitionTime, now)
			}
			return text.phase, text.text, why
		})
	case "Deployment":
		l.phase, l.text, f, err = as(w, func(o *appsv1.Deployment) (phase, string, string) { return judgeDeployment(o) })
	case "StatefulSet":
		l.phase, l.text, f, err = as(w, judgeStatefulSet)
	case "DaemonSet":
		l.phase, l.text, f, err = as(w, judgeDaemonSet)
	case "Job":
		l.phase, l.text, f, err = as(w, func(o *batchv1.Job) (phase, string, string) { return judgeJob(o, complete) })
	}
	if err != nil {
		l.text = err.Error()
	}
	if f != nil {
		l.phase = failed
	}
	return l, f
}

// as reads a workload as its type and judges it; why "" is no failure.
func as[T any](w workload, judge func(*T) (phase, string, string)) (phase, string, *failure, error) {
	o := new(T)
	if err := client.Into(w.value, o); err != nil {
		return pending, "", nil, err
	}
	p, text, why := judge(o)
	if why == "" {
		return p, text, nil, nil
	}
	return failed, text, &failure{what: w.name(), why: why}, nil
}

type progress struct {
	phase phase
	text  string
}

// replicas is how many of the wanted replicas are ready. seen is whether the controller has looked at the newest version.
func replicas(want *int32, readyNow, there int32, seen bool) progress {
	n := int32(1)
	if want != nil {
		n = *want
	}
	p := progress{text: fmt.Sprintf("%d/%d ready", readyNow, n)}
	if seen && readyNow == n && there == n {
		p.phase = ready
	}
	return p
}

// refused is a controller's complaint that it may not make its pods, once it has lasted.
func refused(before, kind string, status corev1.ConditionStatus, message string, since metav1.Time, now time.Time) string {
	if before != "" || kind != "ReplicaFailure" || status != corev1.ConditionTrue || now.Sub(since.Time) < patience/2 {
		return before
	}
	return "its pods are refused: " + message
}

func judgeDeployment(o *appsv1.Deployment) (phase, string, string) {
	n := int32(1)
	if o.Spec.Replicas != nil {
		n = *o.Spec.Replicas
	}
	text := fmt.Sprintf("%d/%d ready", o.Status.ReadyReplicas, n)
	for _, c := range o.Status.Conditions {
		if c.Type == appsv1.DeploymentProgressing && c.Reason == "ProgressDeadlineExceeded" {
			return failed, text, "ProgressDeadlineExceeded: " + c.Message
		}
	}
	s := o.Status
	if o.Generation <= s.ObservedGeneration && s.UpdatedReplicas == n && s.AvailableReplicas == n && s.Replicas == n {
		return ready, text, ""
	}
	return pending, text, ""
}

func judgeStatefulSet(o *appsv1.StatefulSet) (phase, string, string) {
	p := replicas(o.Spec.Replicas, o.Status.ReadyReplicas, o.Status.Replicas, o.Generation <= o.Status.ObservedGeneration)
	if p.phase == ready && o.Status.UpdateRevision != o.Status.CurrentRevision && o.Spec.UpdateStrategy.Type != appsv1.OnDeleteStatefulSetStrategyType {
		p.phase = pending
	}
	return p.phase, p.text, ""
}

func judgeDaemonSet(o *appsv1.DaemonSet) (phase, string, string) {
	s := o.Status
	text := fmt.Sprintf("%d/%d ready", s.NumberReady, s.DesiredNumberScheduled)
	if o.Generation <= s.ObservedGeneration && s.NumberReady >= s.DesiredNumberScheduled && s.UpdatedNumberScheduled >= s.DesiredNumberScheduled {
		return ready, text, ""
	}
	return pending, text, ""
}

func judgeJob(o *batchv1.Job, complete bool) (phase, string, string) {
	want := int32(1)
	if o.Spec.Completions != nil {
		want = *o.Spec.Completions
	}
	text := fmt.Sprintf("%d/%d complete", o.Status.Succeeded, want)
	for _, c := range o.Status.Conditions {
		switch {
		case c.Status != corev1.ConditionTrue:
		case c.Type == batchv1.JobComplete:
			return finished, text, ""
		case c.Type == batchv1.JobFailed:
			return failed, text, joinReason(c.Reason, c.Message)
		case c.Type == batchv1.JobSuspended:
			return ready, "suspended", ""
		}
	}
	if !complete && o.Status.Ready != nil && *o.Status.Ready > 0 {
		return ready, text, ""
	}
	return pending, text, ""
}

// hopeless are the waiting reasons that do not go away while nobody changes anything.
var hopeless = []string{"ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "CrashLoopBackOff", "CreateContainerConfigError", "CreateContainerError", "RunContainerError"}

// judgePod says how far a pod has come, and why it will come no further.
func judgePod(p *corev1.Pod, now time.Time) (line, *failure) {
	l := line{name: "pod/" + p.Name, text: pods.Status(p)}
	if n := pods.Restarts(p); n > 0 {
		l.text += fmt.Sprintf(" (%d restarts)", n)
	}
	switch {
	case p.DeletionTimestamp != nil:
		return l, nil
	case p.Status.Phase == corev1.PodSucceeded:
		l.phase = finished
		return l, nil
	case p.Status.Phase == corev1.PodFailed:
		l.phase = failed
		return l, podFailed(p)
	}
	if f := hopelessContainer(p); f != nil {
		l.phase = failed
		return l, f
	}
	if f := unschedulable(p, now); f != nil {
		l.phase = failed
		return l, f
	}
	if p.Status.Phase == corev1.PodRunning && pods.Ready(p) {
		l.phase = ready
	} else if message := pulling(p); message != "" {
		l.text += ": " + message
	}
	return l, nil
}

// pulling is how far the pull of a container's image is, as skiff's node says it.
func pulling(p *corev1.Pod) string {
	for _, s := range statuses(p) {
		if w := s.State.Waiting; w != nil && strings.HasPrefix(w.Message, "Pulling image ") {
			return oneLine(w.Message)
		}
	}
	return ""
}

func podFailed(p *corev1.Pod) *failure {
	f := &failure{what: "pod/" + p.Name, why: joinReason(p.Status.Reason, p.Status.Message), pod: p}
	for _, s := range statuses(p) {
		if t := s.State.Terminated; t != nil && t.ExitCode != 0 {
			f.container = s.Name
			f.why = fmt.Sprintf("container %s ended with exit code %d (%s)", s.Name, t.ExitCode, ended(t))
		}
	}
	return f
}

func ended(t *corev1.ContainerStateTerminated) string {
	if t.Reason == "" {
		return "Error"
	}
	return t.Reason
}

func statuses(p *corev1.Pod) []corev1.ContainerStatus {
	return slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses)
}

func hopelessContainer(p *corev1.Pod) *failure {
	for _, s := range statuses(p) {
		w := s.State.Waiting
		if w == nil || !slices.Contains(hopeless, w.Reason) {
			continue
		}
		f := &failure{what: "pod/" + p.Name, why: joinReason(w.Reason, w.Message), pod: p}
		if t := s.LastTerminationState.Terminated; t != nil {
			f.container, f.crashed = s.Name, true
			f.why = fmt.Sprintf("%s: container %s ended with exit code %d (%s), %d restarts", w.Reason, s.Name, t.ExitCode, ended(t), s.RestartCount)
		}
		return f
	}
	return nil
}

// unschedulable is a failure when it has lasted: a node may be a moment late.
func unschedulable(p *corev1.Pod, now time.Time) *failure {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable && now.Sub(c.LastTransitionTime.Time) >= patience {
			return &failure{what: "pod/" + p.Name, why: joinReason(c.Reason, c.Message), pod: p}
		}
	}
	return nil
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func joinReason(reason, message string) string {
	message = oneLine(message)
	switch {
	case reason == "":
		return message
	case message == "":
		return reason
	}
	return reason + ": " + message
}

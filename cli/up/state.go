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
	"k8s.io/utils/ptr"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/diagnosis"
	"skiff/cli/pods"
	"skiff/manifests/podfacts"
)

// phase is how far something has come.
type phase int

const (
	pending phase = iota
	ready
	// finished has completed and no longer runs.
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
	// pods is how many of a workload's pods must be ready.
	pods int32
	// note means that it is no object's: it says more about the line before.
	note bool
	// id tells lines apart that have the same name; "" where the name does.
	id string
	// began is when what the line is about began; zero for when it was first shown.
	began time.Time
}

// picture is a view of everything: a pure function of the objects and the time.
type picture struct {
	lines []line
	// branches are the same lines with what they are about.
	branches []branch
	failure  *diagnosis.Failure
	// up reports whether everything runs, or has run; done whether nothing runs any more, and never
	// will.
	up, done bool
	// wait is how long it takes until what runs has run long enough; 0 when nothing is waited for.
	wait time.Duration
}

// snapshot are the objects that a picture is made of.
type snapshot struct {
	// workloads are the workloads in the files, in order, as the server has them; value is nil for
	// one not seen yet.
	workloads []workload
	pods      []*corev1.Pod
	sets      []*appsv1.ReplicaSet
	history
	// incidents are what events have said.
	incidents known
	// ended are the last failures of the pods of jobs, by the job's UID.
	ended map[types.UID]diagnosis.Failure
}

// workload is an object that has pods, or is one.
type workload struct {
	client.Ref
	value *unstructured.Unstructured
	// blind means that its pods may not be looked at: the controller's word is all there is.
	blind bool
}

func (w workload) kind() string { return w.Mapping.GroupVersionKind.Kind }

func (w workload) name() string { return strings.ToLower(w.kind()) + "/" + w.Name }

// workloadKinds are the kinds that run something.
var workloadKinds = []string{"Pod", "ReplicationController", "ReplicaSet", "Deployment", "StatefulSet", "DaemonSet", "Job"}

func isWorkload(r client.Ref) bool {
	return slices.Contains(workloadKinds, r.Mapping.GroupVersionKind.Kind)
}

// criteria say when things count as up.
type criteria struct {
	// complete means that jobs must have completed.
	complete bool
	// settle is how long a container without a readiness probe must have run; 0 for not at all.
	settle time.Duration
	// since is when this run began: what ended earlier does not count.
	since time.Time
	// history is the snapshot's.
	history history
}

// look judges a snapshot.
func look(s snapshot, now time.Time, c criteria) picture {
	c.history = s.history
	p := picture{up: true, done: len(s.workloads) > 0}
	for _, w := range s.workloads {
		own := s.podsOf(w)
		l, f := judge(w, own, now, c)
		if l.phase == ready {
			wait := s.settling(w, l.pods, own, now, c)
			if wait > 0 {
				l.phase = pending
			}
			p.wait = max(p.wait, wait)
		}
		p.lines = append(p.lines, l)
		b := branch{workload: w, line: l}
		for _, pod := range own {
			if w.kind() == "Pod" {
				b.leaves = append(b.leaves, leaf{pod, l})
				continue
			}
			pl, pf := judgePod(pod, now, c)
			pl.depth = 1
			if l.phase == finished && pf == nil {
				continue // the pods of a job that is over
			}
			p.lines = append(p.lines, pl)
			b.leaves = append(b.leaves, leaf{pod, pl})
			if f == nil && countsForItself(w) && !s.outdated(w, pod) {
				f = pf
			}
		}
		p.branches = append(p.branches, b)
		if w.kind() == "Job" {
			f = s.explainJob(w, l, own, f, now, c)
		}
		if p.failure == nil {
			p.failure = f
		}
		p.up = p.up && (l.phase == ready || l.phase == finished)
		p.done = p.done && over(w, l, own)
	}
	return p
}

// outdated reports whether a pod belongs to an older version of its workload's template and is
// being replaced: its failure may already be fixed.
func (s snapshot) outdated(w workload, pod *corev1.Pod) bool {
	switch w.kind() {
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

// over reports whether a workload has ended for good: a job that is complete or has failed, or a
// pod that is not restarted.
func over(w workload, l line, own []*corev1.Pod) bool {
	switch w.kind() {
	case "Pod":
		return len(own) > 0 && podfacts.Terminal(own[0])
	case "Job":
		return l.phase == finished || l.phase == failed
	}
	return false
}

// countsForItself reports whether a failing pod fails its workload. A job replaces its pods until
// it gives up by itself.
func countsForItself(w workload) bool { return w.kind() != "Job" }

// podsOf returns a workload's own pods, by owner; through its replica sets for a deployment.
func (s snapshot) podsOf(w workload) []*corev1.Pod {
	if w.value == nil {
		return nil
	}
	owners := s.ownersOf(w)
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

// judge returns the state of a workload.
func judge(w workload, own []*corev1.Pod, now time.Time, c criteria) (line, *diagnosis.Failure) {
	l := line{name: w.name()}
	if w.value == nil {
		return l, nil
	}
	var p progress
	var err error
	switch w.kind() {
	case "Pod":
		if len(own) == 0 {
			return l, nil
		}
		return judgePod(own[0], now, c)
	case "ReplicationController":
		p, err = as(w, func(o *corev1.ReplicationController) progress {
			p := replicas(o.Spec.Replicas, o.Status.ReadyReplicas, o.Status.Replicas, o.Generation <= o.Status.ObservedGeneration)
			for _, c := range o.Status.Conditions {
				p.why = refused(p.why, string(c.Type), c.Status, c.Message, c.LastTransitionTime, now)
			}
			return p
		})
	case "ReplicaSet":
		p, err = as(w, func(o *appsv1.ReplicaSet) progress {
			p := replicas(o.Spec.Replicas, o.Status.ReadyReplicas, o.Status.Replicas, o.Generation <= o.Status.ObservedGeneration)
			for _, c := range o.Status.Conditions {
				p.why = refused(p.why, string(c.Type), c.Status, c.Message, c.LastTransitionTime, now)
			}
			return p
		})
	case "Deployment":
		p, err = as(w, judgeDeployment)
	case "StatefulSet":
		p, err = as(w, judgeStatefulSet)
	case "DaemonSet":
		p, err = as(w, judgeDaemonSet)
	case "Job":
		p, err = as(w, func(o *batchv1.Job) progress { return judgeJob(o, c.complete) })
	}
	l.phase, l.text, l.pods = p.phase, p.text, p.pods
	if err != nil {
		l.text = err.Error()
	}
	if p.why == "" {
		return l, nil
	}
	l.phase = failed
	return l, &diagnosis.Failure{What: w.name(), Why: p.why, Namespace: w.Namespace}
}

// progress is how far a workload has come.
type progress struct {
	phase phase
	text  string
	// pods is how many pods must be ready.
	pods int32
	// why is why it will come no further, empty when it still may.
	why string
}

// as decodes a workload as its type and judges it.
func as[T any](w workload, judge func(*T) progress) (progress, error) {
	o := new(T)
	if err := client.Into(w.value, o); err != nil {
		return progress{}, err
	}
	return judge(o), nil
}

// replicas compares ready replicas with desired ones. seen reports whether the controller has
// observed the newest generation.
func replicas(want *int32, readyNow, there int32, seen bool) progress {
	n := ptr.Deref(want, 1)
	p := progress{text: fmt.Sprintf("%d/%d ready", readyNow, n), pods: n}
	if seen && readyNow == n && there == n {
		p.phase = ready
	}
	return p
}

// refused is a controller's lasting complaint that it may not create its pods.
func refused(before, kind string, status corev1.ConditionStatus, message string, since metav1.Time, now time.Time) string {
	if before != "" || kind != "ReplicaFailure" || status != corev1.ConditionTrue || now.Sub(since.Time) < diagnosis.Patience/2 {
		return before
	}
	return "its pods are refused: " + message
}

func judgeDeployment(o *appsv1.Deployment) progress {
	n, s := ptr.Deref(o.Spec.Replicas, 1), o.Status
	p := progress{text: fmt.Sprintf("%d/%d ready", s.ReadyReplicas, n), pods: n}
	for _, c := range s.Conditions {
		if c.Type == appsv1.DeploymentProgressing && c.Reason == "ProgressDeadlineExceeded" {
			p.why = diagnosis.Reason(c.Reason, c.Message)
			return p
		}
	}
	if o.Generation <= s.ObservedGeneration && s.UpdatedReplicas == n && s.AvailableReplicas == n && s.Replicas == n {
		p.phase = ready
	}
	return p
}

func judgeStatefulSet(o *appsv1.StatefulSet) progress {
	p := replicas(o.Spec.Replicas, o.Status.ReadyReplicas, o.Status.Replicas, o.Generation <= o.Status.ObservedGeneration)
	if p.phase == ready && o.Status.UpdateRevision != o.Status.CurrentRevision && o.Spec.UpdateStrategy.Type != appsv1.OnDeleteStatefulSetStrategyType {
		p.phase = pending
	}
	return p
}

func judgeDaemonSet(o *appsv1.DaemonSet) progress {
	s := o.Status
	p := progress{text: fmt.Sprintf("%d/%d ready", s.NumberReady, s.DesiredNumberScheduled), pods: s.DesiredNumberScheduled}
	if o.Generation <= s.ObservedGeneration && s.NumberReady >= s.DesiredNumberScheduled && s.UpdatedNumberScheduled >= s.DesiredNumberScheduled {
		p.phase = ready
	}
	return p
}

// judgePod returns the state of a pod, and why it will not become ready.
func judgePod(p *corev1.Pod, now time.Time, c criteria) (line, *diagnosis.Failure) {
	l := line{name: "pod/" + p.Name, text: podfacts.Summarize(p).Status}
	if n := pods.Restarts(p); n > 0 {
		l.text += fmt.Sprintf(" (%s)", command.Counted(int(n), "restart", "restarts"))
	}
	switch {
	case p.DeletionTimestamp != nil:
		return l, nil
	case p.Status.Phase == corev1.PodSucceeded:
		l.phase = finished
		return l, nil
	}
	f := diagnosis.Pod(p, now)
	if f == nil {
		f = c.died(p)
	}
	if f == nil {
		f = c.history.stuck(p, now)
	}
	if f != nil {
		l.phase = failed
		return l, f
	}
	if p.Status.Phase == corev1.PodRunning && podfacts.Ready(p) {
		l.phase = ready
	} else if message := pulling(p); message != "" {
		l.text += ": " + message
	}
	return l, nil
}

// pulling is the progress of an image pull, as skiff's node reports it.
func pulling(p *corev1.Pod) string {
	for _, s := range diagnosis.Statuses(p) {
		if w := s.State.Waiting; w != nil && strings.HasPrefix(w.Message, "Pulling image ") {
			return diagnosis.OneLine(w.Message)
		}
	}
	return ""
}

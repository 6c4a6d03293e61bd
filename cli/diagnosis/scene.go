package diagnosis

import (
	"regexp"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/cli/command"
	"skiff/cli/events"
)

// Scene is what the objects of a namespace and the nodes say at one moment. A Report is made of it and
// of nothing else.
type Scene struct {
	Now time.Time
	// NodeGrace is how long a node may be silent before it is marked as not ready.
	NodeGrace time.Duration

	Pods         []corev1.Pod
	ReplicaSets  []appsv1.ReplicaSet
	Controllers  []corev1.ReplicationController
	Deployments  []appsv1.Deployment
	StatefulSets []appsv1.StatefulSet
	DaemonSets   []appsv1.DaemonSet
	Jobs         []batchv1.Job
	CronJobs     []batchv1.CronJob
	Services     []corev1.Service
	Slices       []discoveryv1.EndpointSlice
	Claims       []corev1.PersistentVolumeClaim
	Ingresses    []networkingv1.Ingress
	Classes      []networkingv1.IngressClass
	Events       []corev1.Event
	Nodes        []corev1.Node
	// Leases are the nodes' signs of life.
	Leases []coordinationv1.Lease
	// Neighbours are pods of other namespaces, which may hold what a pod wants.
	Neighbours []corev1.Pod
}

// object is a pointer to a typed object.
type object[T any] interface {
	*T
	metav1.Object
}

// named finds an object by its name, nil when there is none.
func named[T any, P object[T]](all []T, name string) P {
	i := slices.IndexFunc(all, func(o T) bool { return P(&o).GetName() == name })
	if i < 0 {
		return nil
	}
	return &all[i]
}

// controlled are the objects that another one controls.
func controlled[T any, P object[T]](all []T, owner metav1.Object) []P {
	var out []P
	for i := range all {
		if metav1.IsControlledBy(P(&all[i]), owner) {
			out = append(out, &all[i])
		}
	}
	return out
}

// owned finds an object's controller among some; nil when it is not one of them.
func owned[T any, P object[T]](all []T, ref *metav1.OwnerReference) P {
	i := slices.IndexFunc(all, func(o T) bool { return P(&o).GetUID() == ref.UID })
	if i < 0 {
		return nil
	}
	return &all[i]
}

// about are the events about an object, the oldest first.
func (s *Scene) about(o metav1.Object, kind string) []corev1.Event {
	var out []corev1.Event
	for _, e := range s.Events {
		on := e.InvolvedObject
		if on.Kind == kind && on.Name == o.GetName() && (on.UID == "" || on.UID == o.GetUID() || kind == "Node") {
			out = append(out, e)
		}
	}
	slices.SortStableFunc(out, func(a, b corev1.Event) int { return events.Last(&a).Compare(events.Last(&b)) })
	return out
}

// latest is the newest event about an object with one of some reasons; nil when there is none.
func (s *Scene) latest(o metav1.Object, kind string, reasons ...string) *corev1.Event {
	all := s.about(o, kind)
	for i := range slices.Backward(all) {
		if slices.Contains(reasons, all[i].Reason) {
			return &all[i]
		}
	}
	return nil
}

// warned adds the newest warnings about an object, one of each reason, as causes.
func (s *Scene) warned(r *Report, o metav1.Object, kind string) {
	said := map[string]bool{}
	all := s.about(o, kind)
	for i := range slices.Backward(all) {
		if e := &all[i]; e.Type == corev1.EventTypeWarning && !said[e.Reason] {
			said[e.Reason] = true
			r.cause("%s, %s", Reason(e.Reason, e.Message), s.seen(e))
		}
	}
}

// said adds an event as a cause: what it says, unless the state says that already, and when.
func (s *Scene) said(r *Report, e *corev1.Event) {
	if text := Reason(e.Reason, e.Message); strings.HasSuffix(r.State, text) {
		r.cause("seen %s", s.seen(e))
	} else {
		r.cause("%s, %s", text, s.seen(e))
	}
}

// seen is when an event was seen, and how often.
func (s *Scene) seen(e *corev1.Event) string {
	n := e.Count
	if e.Series != nil {
		n = e.Series.Count
	}
	if n > 1 {
		return command.Counted(n, "time", "times") + ", last at " + s.at(events.Last(e))
	}
	return "at " + s.at(events.Last(e))
}

// at is a time of day, with its date when that is another day.
func (s *Scene) at(t time.Time) string {
	t, now := t.Local(), s.Now.Local()
	if t.Year() == now.Year() && t.YearDay() == now.YearDay() {
		return t.Format(time.TimeOnly)
	}
	return t.Format("Jan 2 15:04:05")
}

// lasted reports whether a state is older than what often resolves itself. One without a beginning is.
func (s *Scene) lasted(since metav1.Time) bool {
	return since.IsZero() || s.Now.Sub(since.Time) >= Patience
}

// who is an object's kind and name as one types it.
func who(kind string, o metav1.Object) string { return strings.ToLower(kind) + "/" + o.GetName() }

// digits are those of a number that stands alone, so not those within a name.
var digits = regexp.MustCompile(`\b\d+\b`)

func lastSeen(e *corev1.Event) time.Time { return events.Last(e) }

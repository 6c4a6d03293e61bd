package deployment

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"
)

// world is a Deployment and its sets, whose controller and pods are played: what
// has been ordered comes about only when the world is told to let it.
type world struct {
	d    *appsv1.Deployment
	sets []*appsv1.ReplicaSet
	// pods and sound are how many pods each set has, and how many of them are
	// available. The sets' status says so once their controller has reported.
	pods, sound map[types.UID]int32
	born        int32
}

func newWorld() *world {
	return &world{d: deploymentOf("limit=2 deadline=600"), pods: map[types.UID]int32{}, sound: map[types.UID]int32{}}
}

func (w *world) snapshot() snapshot {
	s := snapshot{deployment: w.d, selector: labels.SelectorFromSet(kubia), sets: w.sets, now: now, pods: map[types.UID][]*corev1.Pod{}}
	for uid, n := range w.pods {
		s.pods[uid] = make([]*corev1.Pod, n)
		for i := range s.pods[uid] {
			s.pods[uid][i] = &corev1.Pod{}
		}
	}
	return s
}

func (w *world) String() string {
	var b strings.Builder
	l := limitsOf(w.d)
	fmt.Fprintf(&b, "%s %d replicas, at most %d, at least %d:", w.d.Spec.Strategy.Type, l.replicas, l.maxTotal(), l.minAvailable())
	for _, rs := range w.sets {
		fmt.Fprintf(&b, " %s(size %d, pods %d, available %d, reported %d/%d)", rs.Name, size(rs), w.pods[rs.UID], w.sound[rs.UID],
			rs.Status.AvailableReplicas, rs.Status.Replicas)
	}
	return b.String()
}

func (w *world) total(of map[types.UID]int32) (n int32) {
	for _, one := range of {
		n += one
	}
	return n
}

// fewest are the available pods there are when all sets have been brought to
// their sizes and none has become available meanwhile.
func (w *world) fewest() (n int32) {
	for _, rs := range w.sets {
		n += min(size(rs), w.sound[rs.UID])
	}
	return n
}

// most are the pods there can be while the sets are brought to their sizes.
func (w *world) most() (n int32) {
	for _, rs := range w.sets {
		n += max(size(rs), w.pods[rs.UID])
	}
	return n
}

// look takes the controller's next step, and says which promise it broke.
func (w *world) look() (steps, broken string) {
	before, l, guess := w.snapshot(), limitsOf(w.d), w.mustGuess()
	most, fewest, description := w.most(), w.fewest(), w.String()
	p, err := makePlan(before)
	if err != nil {
		return "", err.Error()
	}
	w.apply(p)
	r := rolloutOf(w.d, w.sets)
	status, _ := statusOf(r, outcome{rolls: p.rolls}, now)
	w.d.Status = status
	rolling := w.d.Spec.Strategy.Type == appsv1.RollingUpdateDeploymentStrategyType
	switch {
	case rolling && p.rolls && w.most() > max(most, l.maxTotal()) && w.reported():
		broken = fmt.Sprintf("there may be %d pods", w.most())
	case sum(w.sets, size) > max(sum(before.sets, size), l.maxTotal()):
		broken = fmt.Sprintf("there shall be %d pods", sum(w.sets, size))
	case rolling && p.rolls && w.fewest() < min(fewest, l.minAvailable()) && w.reported() && !guess:
		broken = fmt.Sprintf("there will be %d available", w.fewest())
	case !rolling && p.rolls && r.current != nil && p.create != nil && w.total(w.pods) > w.pods[r.current.UID]:
		broken = "two revisions run"
	}
	if broken != "" {
		broken = fmt.Sprintf("%s\n%s\n%s", description, p, broken)
	}
	return p.String(), broken
}

// reported reports whether the sets' statuses show all pods, and none as available
// that is not: no plan can be better than what it was made from.
func (w *world) reported() bool {
	for _, rs := range w.sets {
		if rs.Status.AvailableReplicas > w.sound[rs.UID] || rs.Status.Replicas < w.pods[rs.UID] {
			return false
		}
	}
	return true
}

// mustGuess reports whether one of several old sets has more available pods than its status shows yet.
// They may be the ones that seem to be missed least: of sets that look alike no plan, and not upstream's
// either, knows which to keep.
func (w *world) mustGuess() bool {
	old, unseen := active(rolloutOf(w.d, w.sets).old), false
	for _, rs := range old {
		unseen = unseen || rs.Status.AvailableReplicas < w.sound[rs.UID]
	}
	return unseen && len(old) > 1
}

func (w *world) apply(p plan) {
	replace := func(old *appsv1.ReplicaSet, change func(*appsv1.ReplicaSet)) {
		for i, rs := range w.sets {
			if rs.UID == old.UID {
				w.sets[i] = rs.DeepCopy()
				change(w.sets[i])
			}
		}
	}
	w.sets = append([]*appsv1.ReplicaSet(nil), w.sets...)
	if p.mark != nil {
		replace(p.mark.set, func(rs *appsv1.ReplicaSet) { rs.Annotations = currentAnnotations(w.d, rs.Annotations, p.mark.revision) })
	}
	if p.create != nil {
		rs := newSet(w.d, p.create)
		w.born++
		rs.UID, rs.CreationTimestamp = types.UID(fmt.Sprint(w.born)), metav1.NewTime(now.Add(time.Duration(w.born)*time.Second))
		w.sets = append(w.sets, rs)
	}
	for _, s := range p.scale {
		replace(s.set, func(rs *appsv1.ReplicaSet) {
			rs.Spec.Replicas = ptr.To(s.to)
			maps.Copy(rs.Annotations, sizeAnnotations(limitsOf(w.d)))
		})
	}
	for _, r := range p.remove {
		for i, rs := range w.sets {
			if rs.UID == r.set.UID {
				w.sets = append(w.sets[:i:i], w.sets[i+1:]...)
				break
			}
		}
	}
}

// obey has a set's controller create or delete its pods, those that are not
// available first; report has it write the status.
func (w *world) obey(rs *appsv1.ReplicaSet) {
	w.pods[rs.UID] = size(rs)
	w.sound[rs.UID] = min(w.sound[rs.UID], size(rs))
}

func (w *world) report(rs *appsv1.ReplicaSet) {
	for i := range w.sets {
		if w.sets[i].UID == rs.UID {
			next := rs.DeepCopy()
			next.Status.Replicas, next.Status.AvailableReplicas, next.Status.ReadyReplicas = w.pods[rs.UID], w.sound[rs.UID], w.sound[rs.UID]
			w.sets[i] = next
		}
	}
}

// act lets something happen in the world, or has a user do something.
func (w *world) act(r *rapid.T) string {
	verb := rapid.SampledFrom([]string{
		"look", "look", "look", "obey", "obey", "report", "report", "report", "start", "start", "break",
		"replicas", "template", "limits", "pause", "strategy", "meddle",
	}).Draw(r, "verb")
	n := rapid.Int32Range(0, 8).Draw(r, "n")
	var rs *appsv1.ReplicaSet
	if len(w.sets) > 0 {
		rs = w.sets[int(n)%len(w.sets)]
	}
	edited := true
	switch verb {
	case "replicas":
		w.d.Spec.Replicas = &n
	case "template":
		w.d.Spec.Template = template(fmt.Sprint("v", n%4), kubia)
	case "limits":
		if w.d.Spec.Strategy.RollingUpdate != nil {
			w.d.Spec.Strategy.RollingUpdate.MaxSurge = ptr.To(intstr.FromString(fmt.Sprint(n*10, "%")))
			w.d.Spec.Strategy.RollingUpdate.MaxUnavailable = ptr.To(intstr.FromInt32(n % 3))
		}
	case "pause":
		w.d.Spec.Paused = !w.d.Spec.Paused
	case "strategy":
		w.d.Spec.Strategy = deploymentOf([]string{"recreate", ""}[n%2]).Spec.Strategy
	default:
		edited = false
	}
	if edited {
		w.d = w.d.DeepCopy()
		w.d.Generation++
		return ""
	}
	if verb == "look" {
		_, broken := w.look()
		return broken
	}
	if rs == nil {
		return ""
	}
	switch verb {
	case "obey":
		w.obey(rs)
	case "report":
		w.report(rs)
	case "start":
		w.sound[rs.UID] = min(w.sound[rs.UID]+1, w.pods[rs.UID])
	case "break":
		w.sound[rs.UID] = max(w.sound[rs.UID]-1, 0)
	case "meddle":
		for i := range w.sets {
			if w.sets[i].UID == rs.UID {
				w.sets[i] = rs.DeepCopy()
				w.sets[i].Spec.Replicas = &n
			}
		}
	}
	return ""
}

// settle lets everything come about until nothing is left to do.
func (w *world) settle() string {
	w.d = w.d.DeepCopy()
	w.d.Spec.Paused = false
	w.d.Generation++
	for range 200 {
		for _, rs := range w.sets {
			w.obey(rs)
			w.sound[rs.UID] = w.pods[rs.UID]
			w.report(rs)
		}
		steps, broken := w.look()
		if broken != "" {
			return broken
		}
		if steps == "" && complete(w.d, &w.d.Status) {
			return ""
		}
	}
	p, err := makePlan(w.snapshot())
	return fmt.Sprintf("it does not come to an end: %s\n%s %v", w, p, err)
}

// TestRolloutsKeepTheirLimits holds that whatever is done to a Deployment and
// its pods, and however late its sets' controller acts and reports, no step of a
// rolling update makes more pods than replicas and maxSurge or leaves fewer
// available than replicas without maxUnavailable; that recreating never runs two
// revisions; and that in the end all replicas are of the last template.
func TestRolloutsKeepTheirLimits(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w := newWorld()
		for range rapid.IntRange(1, 60).Draw(r, "acts") {
			if broken := w.act(r); broken != "" {
				r.Fatal(broken)
			}
		}
		if broken := w.settle(); broken != "" {
			r.Fatal(broken)
		}
	})
}

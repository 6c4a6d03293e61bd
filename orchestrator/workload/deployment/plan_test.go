package deployment

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	now   = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	kubia = map[string]string{"app": "kubia"}
)

func template(version string, labels map[string]string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: labels},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "kubia:" + version}}},
	}
}

func number(s string) int32 {
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		panic(err)
	}
	return int32(n)
}

// deploymentOf makes a Deployment of words. Without more it is of template v2,
// has 3 replicas and rolls with 1 too many and none missing.
func deploymentOf(line string) *appsv1.Deployment {
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "kubia", UID: "kubia", Generation: 1},
		Spec: appsv1.DeploymentSpec{
			Replicas: ptr.To[int32](3), Selector: &metav1.LabelSelector{MatchLabels: kubia}, Template: template("v2", kubia),
			Strategy: appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{
				MaxSurge: ptr.To(intstr.FromInt32(1)), MaxUnavailable: ptr.To(intstr.FromInt32(0)),
			}},
		},
	}
	for _, w := range strings.Fields(line) {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "replicas":
			d.Spec.Replicas = ptr.To(number(value))
		case "surge":
			d.Spec.Strategy.RollingUpdate.MaxSurge = ptr.To(intstr.Parse(value))
		case "unavailable":
			d.Spec.Strategy.RollingUpdate.MaxUnavailable = ptr.To(intstr.Parse(value))
		case "recreate":
			d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
		case "template":
			d.Spec.Template = template(value, kubia)
		case "paused":
			d.Spec.Paused = true
		case "limit":
			d.Spec.RevisionHistoryLimit = ptr.To(number(value))
		case "deadline":
			d.Spec.ProgressDeadlineSeconds = ptr.To(number(value))
		case "minready":
			d.Spec.MinReadySeconds = number(value)
		case "deleting":
			d.DeletionTimestamp = ptr.To(metav1.NewTime(now))
		case "rollback":
			d.Annotations = map[string]string{appsv1.DeprecatedRollbackTo: value}
		case "annotated":
			d.Annotations = map[string]string{"note": value}
		case "complete":
			n := *d.Spec.Replicas
			d.Status = appsv1.DeploymentStatus{ObservedGeneration: 1, Replicas: n, UpdatedReplicas: n, AvailableReplicas: n, ReadyReplicas: n}
		default:
			panic(w)
		}
	}
	return d
}

// setOf makes a set of words: its name, then what is special about it. Without
// more it is the Deployment's, of the template its name says, of the size given,
// with as many pods, all available; its age is by its revision.
func setOf(line string, l limits) *appsv1.ReplicaSet {
	words := strings.Fields(line)
	rs := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: words[0], UID: types.UID(words[0]), Labels: withHash(kubia, words[0]), Generation: 1,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(deploymentOf(""), gvk)}, Annotations: sizeAnnotations(l),
		},
		Spec:   appsv1.ReplicaSetSpec{Replicas: ptr.To[int32](0), Template: template(words[0], withHash(kubia, words[0]))},
		Status: appsv1.ReplicaSetStatus{ObservedGeneration: 1},
	}
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "rev":
			rs.Annotations[RevisionAnnotation] = value
			rs.CreationTimestamp = metav1.NewTime(now.Add(time.Duration(number(value)) * time.Minute))
		case "size":
			n := number(value)
			rs.Spec.Replicas = &n
			rs.Status.Replicas, rs.Status.ReadyReplicas, rs.Status.AvailableReplicas = n, n, n
		case "available":
			rs.Status.ReadyReplicas, rs.Status.AvailableReplicas = number(value), number(value)
		case "present":
			rs.Status.Replicas = number(value)
		case "desired":
			rs.Annotations[desiredAnnotation] = value
		case "max":
			rs.Annotations[maxAnnotation] = value
		case "template":
			rs.Spec.Template = template(value, withHash(kubia, words[0]))
		case "orphan":
			rs.OwnerReferences = nil
		case "relabelled":
			rs.Labels = map[string]string{"app": "foo"}
		case "unseen":
			rs.Generation = 2
		case "failing":
			rs.Status.Conditions = []appsv1.ReplicaSetCondition{{
				Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue, Reason: "FailedCreate", Message: "quota",
			}}
		default:
			panic(w)
		}
	}
	return rs
}

// snapshotOf makes a snapshot of a Deployment's line and its sets'. A line that
// begins with "pod" is a pod: its set, then its phase.
func snapshotOf(deployment string, lines ...string) snapshot {
	d := deploymentOf(deployment)
	s := snapshot{deployment: d, selector: labels.SelectorFromSet(kubia), now: now, pods: map[types.UID][]*corev1.Pod{}}
	for _, line := range lines {
		if words := strings.Fields(line); words[0] == "pod" {
			uid := types.UID(words[1])
			s.pods[uid] = append(s.pods[uid], &corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodPhase(words[2])}})
			continue
		}
		s.sets = append(s.sets, setOf(line, limitsOf(d)))
	}
	return s
}

func TestPlan(t *testing.T) {
	for _, c := range []struct {
		name, deployment string
		sets             []string
		want             string
	}{
		{"nothing there yet", "", nil, "create replica set kubia-HASH of 3 as revision 1: none has the deployment's template"},
		{"all as it should be", "", []string{"v2 rev=1 size=3"}, ""},
		{"the deleted does nothing", "deleting", []string{"v1 rev=1 size=3", "x orphan"}, ""},

		{"a new template", "", []string{"v1 rev=1 size=3"}, "create replica set kubia-HASH of 1 as revision 2: none has the deployment's template"},
		{"with no room", "surge=0 unavailable=1", []string{"v1 rev=1 size=3"}, "create replica set kubia-HASH of 0 as revision 2: none has the deployment's template"},
		{"never more than asked for", "surge=10", []string{"v1 rev=1 size=3"}, "create replica set kubia-HASH of 3 as revision 2: none has the deployment's template"},
		{"the new one must be available first", "", []string{"v1 rev=1 size=3", "v2 rev=2 size=1 available=0"}, ""},
		{"then an old one goes", "", []string{"v1 rev=1 size=3", "v2 rev=2 size=1"}, "scale replica set v1 from 3 to 2: old revision, 1 more than the 3 that must be available"},
		{"whose pod must be gone", "", []string{"v1 rev=1 size=2 present=3 available=3", "v2 rev=2 size=1"}, ""},
		{"before the next new one", "", []string{"v1 rev=1 size=2", "v2 rev=2 size=1"}, "scale replica set v2 from 1 to 2: 3 desired, 4 at most of all revisions"},
		{"to the end", "", []string{"v1 rev=1 size=1", "v2 rev=2 size=3"}, "scale replica set v1 from 1 to 0: old revision, 1 more than the 3 that must be available"},
		{"some may be missing", "replicas=10 surge=3 unavailable=2", []string{"v1 rev=1 size=10", "v2 rev=2 size=3 available=0"},
			"scale replica set v1 from 10 to 8: old revision, 2 more than the 8 that must be available"},
		{"the broken go first", "replicas=10 surge=3 unavailable=2", []string{"v0 rev=1 size=5", "v1 rev=2 size=4 available=1", "v2 rev=3 size=4"},
			"scale replica set v0 from 5 to 3: old revision, 2 more than the 8 that must be available\nscale replica set v1 from 4 to 1: old revision, 3 not available"},
		{"a new revision that hangs holds the old", "replicas=10 surge=3 unavailable=2", []string{"v1 rev=1 size=8", "v2 rev=2 size=5 available=0"}, ""},
		{"also when an old one breaks", "replicas=10 surge=3 unavailable=2", []string{"v1 rev=1 size=8 available=7", "v2 rev=2 size=5 available=0"}, ""},
		{"roll over to a third", "replicas=10 surge=3 unavailable=2", []string{"v0 rev=1 size=8", "v1 rev=2 size=5 available=0", "v2 rev=3 size=0"},
			"scale replica set v1 from 5 to 0: old revision, 5 not available"},
		{"as many as can be said", "replicas=2147483647 surge=25%", nil, "create replica set kubia-HASH of 2147483647 as revision 1: none has the deployment's template"},
		{"percentages", "replicas=10 surge=25% unavailable=25%", []string{"v1 rev=1 size=10"}, "create replica set kubia-HASH of 3 as revision 2: none has the deployment's template"},
		{"0 and 0 means 1 may be missing", "surge=0 unavailable=1%", []string{"v1 rev=1 size=3", "v2 rev=2"},
			"scale replica set v1 from 3 to 2: old revision, 1 more than the 2 that must be available"},
		{"somebody scaled the set", "", []string{"v2 rev=1 size=5"}, "scale replica set v2 from 5 to 3: 3 desired"},

		{"recreate: the old go", "recreate", []string{"v0 rev=1 size=1", "v1 rev=2 size=3"},
			"scale replica set v0 from 1 to 0: old revision\nscale replica set v1 from 3 to 0: old revision"},
		{"recreate: all of them", "recreate", []string{"v1 rev=2 present=1"}, ""},
		{"recreate: to the last", "recreate", []string{"v1 rev=2", "pod v1 Running"}, ""},
		{"recreate: then the new come", "recreate", []string{"v1 rev=2", "pod v1 Failed"}, "create replica set kubia-HASH of 3 as revision 3: none has the deployment's template"},
		{"recreate: or come back", "recreate", []string{"v1 rev=2", "v2 rev=3", "pod v2 Running"}, "scale replica set v2 from 0 to 3: 3 desired"},

		{"scaled", "replicas=5", []string{"v2 rev=1 size=3 desired=3 max=4"}, "scale replica set v2 from 3 to 5: 5 desired"},
		{"scaled by chance already", "replicas=5", []string{"v2 rev=1 size=5 desired=3 max=4"}, "note the deployment's size on replica set v2: 5 desired"},
		{"in proportion", "replicas=30 surge=3 unavailable=2", []string{"v1 rev=1 size=8 desired=10 max=13", "v2 rev=2 size=5 available=0 desired=10 max=13"},
			"scale replica set v1 from 8 to 20: in proportion, 30 desired, 33 at most of all revisions\nscale replica set v2 from 5 to 13: in proportion, 30 desired, 33 at most of all revisions"},
		{"down in proportion", "replicas=5 surge=1 unavailable=1", []string{"v1 rev=1 size=8 desired=10 max=13", "v2 rev=2 size=5 available=0 desired=10 max=13"},
			"scale replica set v1 from 8 to 4: in proportion, 5 desired, 6 at most of all revisions\nscale replica set v2 from 5 to 2: in proportion, 5 desired, 6 at most of all revisions"},
		{"down, and a set that was resized by hand does not grow", "replicas=4 surge=1 unavailable=0", []string{"v1 rev=1 size=4 desired=4 max=5", "v2 rev=2 size=3 available=0 desired=0 max=1"},
			"scale replica set v1 from 4 to 2: in proportion, 4 desired, 5 at most of all revisions\nnote the deployment's size on replica set v2: in proportion, 4 desired, 5 at most of all revisions"},
		{"to nothing", "replicas=0 surge=1", []string{"v1 rev=1 size=8 desired=10 max=13", "v2 rev=2 size=5 desired=10 max=13"},
			"scale replica set v1 from 8 to 0: in proportion, 0 desired, 1 at most of all revisions\nscale replica set v2 from 5 to 0: in proportion, 0 desired, 1 at most of all revisions"},
		{"what is left over goes to the largest", "replicas=4 surge=0 unavailable=1", []string{"v1 rev=1 size=1 desired=3 max=3", "v2 rev=2 size=2 available=0 desired=3 max=3"},
			"scale replica set v2 from 2 to 3: in proportion, 4 desired, 4 at most of all revisions\nnote the deployment's size on replica set v1: in proportion, 4 desired, 4 at most of all revisions"},
		{"a saturated revision needs no other", "", []string{"v1 rev=1 size=1 desired=2", "v2 rev=2 size=3"}, "scale replica set v1 from 1 to 0: the current revision has all replicas"},
		{"scaled while recreating", "recreate replicas=5", []string{"v1 rev=1 size=2 desired=3", "v2 rev=2 size=1 desired=3"}, "scale replica set v1 from 2 to 0: old revision"},

		{"paused: no new template", "paused", []string{"v1 rev=1 size=3"}, ""},
		{"paused: but it scales", "paused replicas=4", []string{"v1 rev=1 size=3 desired=3"}, "scale replica set v1 from 3 to 4: 4 desired"},
		{"paused: nothing is there", "paused", nil, ""},
		{"paused: none has pods", "paused", []string{"v0 rev=1", "v1 rev=2"}, "scale replica set v1 from 0 to 3: 3 desired"},

		{"history", "complete limit=1", []string{"v2 rev=4 size=3", "a rev=3", "b rev=1", "c rev=2"},
			"delete replica set b: revision 1, only 1 old ones are kept\ndelete replica set c: revision 2, only 1 old ones are kept"},
		{"history: only when the rollout is over", "limit=0", []string{"v2 rev=4 size=3", "b rev=1"}, ""},
		{"history: not what has pods", "complete limit=0", []string{"v2 rev=4 size=3", "b rev=1 present=1", "c rev=2 unseen"}, ""},
		{"history: all", fmt.Sprint("complete limit=", math.MaxInt32), []string{"v2 rev=4 size=3", "b rev=1"}, ""},

		{"adopt and release", "", []string{"v2 rev=1 size=3 relabelled", "v1 rev=2 orphan", "x orphan relabelled"},
			"release replica set v2: labels no longer match\nadopt replica set v1: matches selector, no controller"},
		{"returned to", "", []string{"v1 rev=2 size=3", "v2 rev=1"},
			"mark replica set v2 as revision 3: has the deployment's template\nscale replica set v2 from 0 to 1: 3 desired, 4 at most of all revisions"},
		{"annotated", "annotated=x", []string{"v2 rev=1 size=3"}, "mark replica set v2 as revision 1: has the deployment's template"},
		{"minReadySeconds", "minready=5", []string{"v2 rev=1 size=3"}, "mark replica set v2 as revision 1: has the deployment's template"},
		{"of two alike the oldest", "", []string{"v2 rev=3 size=3", "x rev=2 template=v2"},
			"mark replica set x as revision 4: has the deployment's template\nscale replica set x from 0 to 1: 3 desired, 4 at most of all revisions"},

		{"rollback", "rollback=1", []string{"v1 rev=1", "v2 rev=2 size=3"}, "roll back to replica set v1: revision 1"},
		{"rollback to the last", "rollback=0", []string{"v0 rev=1", "v1 rev=2", "v2 rev=3 size=3"}, "roll back to replica set v1: revision 2"},
		{"rollback to nothing", "rollback=0", []string{"v2 rev=1 size=3"}, "forget the rollback: Unable to find last revision."},
		{"rollback to the unknown", "rollback=7", []string{"v2 rev=1 size=3"}, "forget the rollback: Unable to find the revision to rollback to."},
		{"rollback to the same", "rollback=1", []string{"v2 rev=1 size=3"}, `forget the rollback: The rollback revision contains the same template as current deployment "kubia"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := snapshotOf(c.deployment, c.sets...)
			p, err := makePlan(s)
			if err != nil {
				t.Fatal(err)
			}
			hash, err := hashOf(&s.deployment.Spec.Template, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.ReplaceAll(p.String(), hash, "HASH"); got != c.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, c.want)
			}
		})
	}
}

func TestUnknownStrategy(t *testing.T) {
	s := snapshotOf("")
	s.deployment.Spec.Strategy.Type = "Magic"
	if _, err := makePlan(s); err == nil || err.Error() != "unexpected deployment strategy type: Magic" {
		t.Errorf("got %v", err)
	}
}

func TestRevisionHistory(t *testing.T) {
	d := deploymentOf("annotated=x")
	got := currentAnnotations(d, map[string]string{RevisionAnnotation: "2", revisionHistoryAnnotation: "1"}, 5)
	if got[RevisionAnnotation] != "5" || got[revisionHistoryAnnotation] != "1,2" || got["note"] != "x" {
		t.Errorf("got %v", got)
	}
	if got := currentAnnotations(d, map[string]string{RevisionAnnotation: "7"}, 5); got[RevisionAnnotation] != "7" {
		t.Errorf("a higher revision became %v", got)
	}
	if got := currentAnnotations(d, map[string]string{RevisionAnnotation: "many"}, 5); got[RevisionAnnotation] != "many" {
		t.Errorf("a revision that is no number became %v", got)
	}
	long := strings.TrimSuffix(strings.Repeat("123456789,", 200), ",") // 1999 characters
	if got := longer(long, "200"); len(got) > historyLength || !strings.HasSuffix(got, ",123456789,200") {
		t.Errorf("a long history became one of %d characters", len(got))
	}
}

func TestNames(t *testing.T) {
	a, b := template("v1", kubia), template("v2", kubia)
	hash := func(t *corev1.PodTemplateSpec, collisions *int32) string {
		h, err := hashOf(t, collisions)
		if err != nil {
			panic(err)
		}
		return h
	}
	seen := map[string]bool{hash(&a, nil): true, hash(&b, nil): true, hash(&a, ptr.To[int32](1)): true, hash(&a, ptr.To[int32](2)): true}
	if len(seen) != 4 || hash(&a, nil) != hash(a.DeepCopy(), nil) {
		t.Errorf("hashes %v", seen)
	}
	if n := setName(strings.Repeat("a", 253), "12345"); len(n) != 253 || !strings.HasSuffix(n, "a-12345") {
		t.Errorf("a long name became %s", n)
	}
}

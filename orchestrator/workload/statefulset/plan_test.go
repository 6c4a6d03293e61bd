package statefulset

import (
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"skiff/orchestrator/internal/testbed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var kubia = map[string]string{"app": "kubia"}

// statefulSet is a set that keeps an order, without claims.
func statefulSet(replicas int32, with ...func(*appsv1.StatefulSet)) *appsv1.StatefulSet {
	set := &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
		Spec: appsv1.StatefulSetSpec{
			Replicas: &replicas, ServiceName: "web", Selector: &metav1.LabelSelector{MatchLabels: kubia},
			PodManagementPolicy: appsv1.OrderedReadyPodManagement,
			UpdateStrategy: appsv1.StatefulSetUpdateStrategy{
				Type: appsv1.RollingUpdateStatefulSetStrategyType, RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{Partition: ptr.To[int32](0)},
			},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: kubia}, Spec: testbed.PodSpec()},
		},
	}
	for _, change := range with {
		change(set)
	}
	return set
}

func parallel(set *appsv1.StatefulSet) {
	set.Spec.PodManagementPolicy = appsv1.ParallelPodManagement
}
func onDelete(set *appsv1.StatefulSet) {
	set.Spec.UpdateStrategy = appsv1.StatefulSetUpdateStrategy{Type: appsv1.OnDeleteStatefulSetStrategyType}
}
func from(n int32) func(*appsv1.StatefulSet) {
	return func(set *appsv1.StatefulSet) { set.Spec.Ordinals = &appsv1.StatefulSetOrdinals{Start: n} }
}
func partitioned(n int32) func(*appsv1.StatefulSet) {
	return func(set *appsv1.StatefulSet) { set.Spec.UpdateStrategy.RollingUpdate.Partition = &n }
}
func atOnce(n string) func(*appsv1.StatefulSet) {
	return func(set *appsv1.StatefulSet) {
		set.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable = ptr.To(intstr.Parse(n))
	}
}
func withClaims(set *appsv1.StatefulSet) {
	set.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{{
		ObjectMeta: metav1.ObjectMeta{Name: "data"},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	}}
}
func retains(deleted, scaled appsv1.PersistentVolumeClaimRetentionPolicyType) func(*appsv1.StatefulSet) {
	return func(set *appsv1.StatefulSet) {
		set.Spec.PersistentVolumeClaimRetentionPolicy = &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{WhenDeleted: deleted, WhenScaled: scaled}
	}
}

const (
	retain = appsv1.RetainPersistentVolumeClaimRetentionPolicyType
	drop   = appsv1.DeletePersistentVolumeClaimRetentionPolicyType
)

// pods makes pods of words such as "web-0", "web-1/old", "web-2/pending/going":
// unless they say otherwise they are the set's, of the new revision, and ready.
func pods(words string) (out []*corev1.Pod) {
	for word := range strings.FieldsSeq(words) {
		parts := strings.Split(word, "/")
		is := func(s string) bool { return slices.Contains(parts[1:], s) }
		p := testbed.Pod("default", parts[0], map[string]string{
			"app": "kubia", appsv1.StatefulSetPodNameLabel: parts[0], appsv1.ControllerRevisionHashLabelKey: "web-new",
		})
		p.UID, p.Status.Phase = types.UID(parts[0]), corev1.PodRunning
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Unix(0, 0)}}
		if !is("orphan") {
			p.OwnerReferences = []metav1.OwnerReference{{Kind: "StatefulSet", Name: "web", UID: "web", Controller: ptr.To(true)}}
		}
		if is("old") {
			p.Labels[appsv1.ControllerRevisionHashLabelKey] = "web-old"
		}
		if is("unready") || is("pending") {
			p.Status.Conditions = nil
		}
		if is("pending") {
			p.Status.Phase = corev1.PodPending
		}
		if is("failed") {
			p.Status.Phase = corev1.PodFailed
		}
		if is("succeeded") {
			p.Status.Phase = corev1.PodSucceeded
		}
		if is("going") {
			p.DeletionTimestamp = &metav1.Time{}
		}
		if is("foreign") {
			p.Labels["app"] = "foo"
		}
		if is("anonymous") {
			delete(p.Labels, appsv1.StatefulSetPodNameLabel)
		}
		out = append(out, p)
	}
	return out
}

// claims makes claims of words such as "data-web-0" and "data-web-1/going", which
// are owned by those named with an @: data-web-1@web-1 by pod web-1.
func claims(words string) map[string]*corev1.PersistentVolumeClaim {
	out := map[string]*corev1.PersistentVolumeClaim{}
	for word := range strings.FieldsSeq(words) {
		word, owner, _ := strings.Cut(word, "@")
		name, going, _ := strings.Cut(word, "/")
		c := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
		if going != "" {
			c.DeletionTimestamp = &metav1.Time{}
		}
		kind, uid, stale := podKind, types.UID(owner), strings.HasSuffix(owner, "!")
		owner = strings.TrimSuffix(owner, "!")
		if owner == "web" {
			kind = gvk
		}
		if stale {
			uid = "another"
		}
		if owner != "" {
			c.OwnerReferences = []metav1.OwnerReference{holder{kind, owner, uid}.reference()}
		}
		out[name] = c
	}
	return out
}

func snapshotOf(t *testing.T, set *appsv1.StatefulSet, pods []*corev1.Pod, claims map[string]*corev1.PersistentVolumeClaim) *snapshot {
	t.Helper()
	set.UID = "web"
	selector, err := metav1.LabelSelectorAsSelector(set.Spec.Selector)
	if err != nil {
		t.Fatal(err)
	}
	revision := func(name string) *appsv1.ControllerRevision {
		return &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Name: name}}
	}
	return &snapshot{
		set: set, selector: selector, pods: pods, claims: claims,
		current: revision("web-old"), update: revision("web-new"), now: time.Unix(1000, 0),
	}
}

func TestPlan(t *testing.T) {
	for _, c := range []struct {
		name string
		set  *appsv1.StatefulSet
		pods string
		want string
	}{
		{"a new set begins with its first pod", statefulSet(3), "", "create pod web-0 of revision web-new: ordinal 0 of 3 has none"},
		{"it waits until that is ready", statefulSet(3), "web-0/pending", "wait for pod web-0: it is not running and ready"},
		{"then comes the next", statefulSet(3), "web-0", "create pod web-1 of revision web-new: ordinal 1 of 3 has none"},
		{"a gap is filled first", statefulSet(3), "web-0 web-2", "create pod web-1 of revision web-new: ordinal 1 of 3 has none"},
		{"one that terminates is waited for", statefulSet(2), "web-0/going web-1", "wait for pod web-0: it is terminating"},
		{"one that has failed is replaced", statefulSet(2), "web-0/failed web-1", "delete pod web-0: it has ended in phase Failed"},
		{"and one that has succeeded", statefulSet(1), "web-0/succeeded", "delete pod web-0: it has ended in phase Succeeded"},
		{"ready for long enough", statefulSet(2, func(s *appsv1.StatefulSet) { s.Spec.MinReadySeconds = 2000 }), "web-0", "wait for pod web-0: it is not available yet"},
		{"nothing to do", statefulSet(2), "web-0 web-1", ""},
		{"ordinals from 5", statefulSet(2, from(5)), "web-5", "create pod web-6 of revision web-new: ordinal 6 of 2 has none"},
		{"those below the first go", statefulSet(1, from(2)), "web-0 web-1 web-2", "delete pod web-1: 1 replicas are wanted"},

		{"scaled down, and has ended without losing its condition", statefulSet(0), "web-0/failed", "delete pod web-0: 0 replicas are wanted"},
		{"scaled down from the top", statefulSet(1), "web-0 web-1 web-2", "delete pod web-2: 1 replicas are wanted"},
		{"one at a time", statefulSet(1), "web-0 web-1 web-2/going", "wait for pod web-2: it is terminating"},
		{"not while one within is not ready", statefulSet(1), "web-0/unready web-1", "wait for pod web-0: it is not running and ready"},
		{"the first unhealthy one may go", statefulSet(1), "web-0 web-1 web-2/unready", "delete pod web-2: 1 replicas are wanted"},
		{"but not a second one", statefulSet(1), "web-0 web-1/unready web-2/unready", "wait for pod web-2: it is not running and ready"},
		{"to nothing", statefulSet(0), "web-0", "delete pod web-0: 0 replicas are wanted"},

		{"parallel: all at once", statefulSet(3, parallel), "web-1/pending",
			"create pod web-0 of revision web-new: ordinal 0 of 3 has none\ncreate pod web-2 of revision web-new: ordinal 2 of 3 has none"},
		{"parallel: all go at once", statefulSet(0, parallel), "web-0 web-1/unready web-2/going",
			"delete pod web-1: 0 replicas are wanted\ndelete pod web-0: 0 replicas are wanted"},

		{"an update begins at the top", statefulSet(2), "web-0/old web-1/old", "delete pod web-1: update to web-new"},
		{"and goes on when that is ready", statefulSet(2), "web-0/old web-1", "delete pod web-0: update to web-new"},
		{"not before", statefulSet(2), "web-0/old web-1/unready", "wait for pod web-1: it is not running and ready"},
		{"a broken one has to be deleted by hand", statefulSet(2), "web-0/old web-1/old/unready", "wait for pod web-1: it is not running and ready"},
		{"down to the partition", statefulSet(3, partitioned(2)), "web-0/old web-1/old web-2", ""},
		{"below it the old revision is kept", statefulSet(3, partitioned(2)), "web-0/old web-2", "create pod web-1 of revision web-old: ordinal 1 of 3 has none"},
		{"above it not", statefulSet(3, partitioned(1), from(3)), "web-3/old", "create pod web-4 of revision web-new: ordinal 4 of 3 has none"},
		{"several at a time", statefulSet(4, atOnce("50%")), "web-0/old web-1/old web-2/old web-3/old", "delete pod web-3: update to web-new\ndelete pod web-2: update to web-new"},
		{"at least one", statefulSet(3, atOnce("10%")), "web-0/old web-1/old web-2/old", "delete pod web-2: update to web-new"},
		{"parallel: what is unavailable goes at once", statefulSet(3, parallel), "web-0/old/unready web-1/old web-2/old/unready",
			"delete pod web-2: update to web-new, it is unavailable\ndelete pod web-0: update to web-new, it is unavailable"},
		{"parallel: else one at a time", statefulSet(3, parallel), "web-0/old web-1/old web-2/old", "delete pod web-2: update to web-new"},
		{"parallel: the budget is spent", statefulSet(3, parallel), "web-0/old web-1/old web-2/pending", ""},
		{"on delete nothing", statefulSet(2, onDelete), "web-0/old web-1/old", ""},
		{"on delete the new revision", statefulSet(2, onDelete), "web-0/old", "create pod web-1 of revision web-new: ordinal 1 of 2 has none"},

		{"an orphan is adopted", statefulSet(1), "web-0/orphan", "adopt pod web-0: a member without controller"},
		{"not one of another name", statefulSet(1), "web-0 web-x/orphan api-1/orphan", ""},
		{"one relabelled is released", statefulSet(1), "web-0/foreign", "release pod web-0: no longer a member"},
		{"identity is restored", statefulSet(1), "web-0/anonymous", "update pod web-0: it has lost its identity"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := makePlan(snapshotOf(t, c.set, pods(c.pods), nil))
			if err != nil {
				t.Fatal(err)
			}
			if got := p.String(); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestPlanOfClaims(t *testing.T) {
	for _, c := range []struct {
		name         string
		set          *appsv1.StatefulSet
		pods, claims string
		want         string
	}{
		{"first the claim, then the pod", statefulSet(1), "", "", "create claim data-web-0: there is none by template data\n" +
			"create pod web-0 of revision web-new: ordinal 0 of 1 has none"},
		{"a claim from before", statefulSet(1), "", "data-web-0", "create pod web-0 of revision web-new: ordinal 0 of 1 has none"},
		{"one that is going is waited for", statefulSet(1), "", "data-web-0/going", "refuse pod web-0: pvc data-web-0 is being deleted"},
		{"a pod that waits for a lost claim", statefulSet(1), "web-0/pending", "", "create claim data-web-0: there is none by template data\n" +
			"wait for pod web-0: it is not running and ready"},
		{"retained: no owner", statefulSet(1, retains(retain, retain)), "web-0", "data-web-0@web", "change owners of claim data-web-0: retention policy"},
		{"goes with the set", statefulSet(1, retains(drop, retain)), "web-0", "data-web-0", "change owners of claim data-web-0: retention policy"},
		{"is to go with the set already", statefulSet(1, retains(drop, drop)), "web-0", "data-web-0@web", ""},
		{"goes with the scale: not yet", statefulSet(1, retains(retain, drop)), "web-0", "data-web-0", ""},
		{"goes with the scale", statefulSet(0, retains(drop, drop)), "web-0", "data-web-0@web", "change owners of claim data-web-0: retention policy\n" +
			"delete pod web-0: 0 replicas are wanted"},
		{"the pod before has it still", statefulSet(1, retains(retain, drop)), "", "data-web-0@web-0!", "wait for pod web-0: its claim data-web-0 is still that of the pod before it"},
		{"a former set's are left alone", statefulSet(1, retains(drop, retain)), "web-0", "data-web-0@web!", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			withClaims(c.set)
			all := pods(c.pods)
			for _, p := range all {
				n, _ := ordinalOf(c.set, p.Name)
				mountClaims(c.set, p, n)
			}
			p, err := makePlan(snapshotOf(t, c.set, all, claims(c.claims)))
			if err != nil {
				t.Fatal(err)
			}
			if got := p.String(); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestSetThatIsBeingDeletedDoesNothing(t *testing.T) {
	set := statefulSet(3)
	set.DeletionTimestamp = &metav1.Time{}
	p, err := makePlan(snapshotOf(t, set, pods("web-0/foreign web-1/orphan web-7 web-9x"), nil))
	if got := p.String(); got != "" || err != nil {
		t.Errorf("%s, %v", got, err)
	}
}

func TestStatus(t *testing.T) {
	set := statefulSet(4)
	set.Status.CurrentRevision = "web-old"
	s := snapshotOf(t, set, pods("web-0/old web-1/old/going web-2/pending web-3/unready web-4"), nil)
	got, _ := statusOf(s, 2)
	want := appsv1.StatefulSetStatus{
		Replicas: 5, ReadyReplicas: 3, AvailableReplicas: 3, CurrentReplicas: 1, UpdatedReplicas: 3,
		CurrentRevision: "web-old", UpdateRevision: "web-new", CollisionCount: ptr.To[int32](2),
	}
	if got.String() != want.String() {
		t.Errorf("got %v\nwant %v", got, want)
	}
	s.pods = pods("web-0 web-1 web-2 web-3")
	if got, _ = statusOf(s, 0); got.CurrentRevision != "web-new" || got.CurrentReplicas != 4 {
		t.Errorf("after the update: %v", got)
	}
}

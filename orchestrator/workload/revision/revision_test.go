package revision

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"encoding/json"

	"skiff/manifests/registry"
	"skiff/orchestrator/internal/testbed"
	"skiff/orchestrator/workload"
)

func template(image string) corev1.PodTemplateSpec {
	t := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "kubia"}}, Spec: testbed.PodSpec()}
	t.Spec.Containers[0].Image = image
	return t
}

// history is a testbed with one DaemonSet, whose history is looked at by hand.
type history struct {
	*testbed.Bed
	t     *testing.T
	owner *appsv1.DaemonSet
	alive error
}

func newHistory(t *testing.T) *history {
	b := testbed.New(t)
	ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubia"}}
	ds.Spec.Selector, ds.Spec.Template = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "kubia"}}, template("v1")
	return &history{Bed: b, t: t, owner: testbed.Create(b, ds)}
}

func (h *history) record(image string, collisions int32) History {
	h.t.Helper()
	got, err := h.try(image, collisions)
	if err != nil {
		h.t.Fatal(err)
	}
	return got
}

func (h *history) try(image string, collisions int32) (History, error) {
	want := template(image)
	return Record(h.t.Context(), registry.For[*appsv1.ControllerRevision](h.Registry), Owner{
		Owner:    workload.Owner{Object: h.owner, Kind: appsv1.SchemeGroupVersion.WithKind("DaemonSet"), Alive: func() error { return h.alive }},
		Selector: labels.SelectorFromSet(labels.Set{"app": "kubia"}),
		Template: &want, HashLabel: "hash", Collisions: collisions,
	})
}

// all are the revisions there are: number, image and controller.
func (h *history) all() string {
	var out []string
	for _, r := range testbed.List[*appsv1.ControllerRevision](h.Bed, "default") {
		kept, err := Template(r)
		if err != nil {
			h.t.Fatal(err)
		}
		line := fmt.Sprintf("%d:%s", r.Revision, kept.Spec.Containers[0].Image)
		if metav1.GetControllerOf(r) == nil {
			line += " orphan"
		}
		out = append(out, line)
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

func (h *history) expect(want string) {
	h.t.Helper()
	if got := h.all(); got != want {
		h.t.Errorf("revisions %s, want %s", got, want)
	}
}

func TestHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHistory(t)
		first := h.record("v1", 0)
		if again := h.record("v1", 0); again.Update.UID != first.Update.UID || len(again.Older) != 0 {
			t.Errorf("recorded again: %+v", again)
		}
		h.record("v2", 0)
		h.expect("1:v1, 2:v2")
		back := h.record("v1", 0)
		h.expect("2:v2, 3:v1")
		if back.Update.UID != first.Update.UID || len(back.Older) != 1 || back.Older[0].Revision != 2 || back.Named(first.Update.Name) != back.Update {
			t.Errorf("rolled back: %+v", back)
		}
		if name := first.Update.Name; name != "kubia-"+first.Update.Labels["hash"] || first.Update.Labels["app"] != "kubia" {
			t.Errorf("revision %s with labels %v", name, first.Update.Labels)
		}
	})
}

// TestUndoneByPatch holds that what kubectl rollout undo sends brings the template
// back.
func TestUndoneByPatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHistory(t)
		first := h.record("v1", 0)
		now := h.owner.DeepCopy()
		now.Spec.Template = template("v2")
		now.Spec.Template.Spec.Containers = append(now.Spec.Template.Spec.Containers, corev1.Container{Name: "added", Image: "x"})
		raw, err := json.Marshal(now)
		if err != nil {
			t.Fatal(err)
		}
		patched, err := strategicpatch.StrategicMergePatch(raw, first.Update.Data.Raw, &appsv1.DaemonSet{})
		if err != nil {
			t.Fatal(err)
		}
		var got appsv1.DaemonSet
		if err := json.Unmarshal(patched, &got); err != nil {
			t.Fatal(err)
		}
		if c := got.Spec.Template.Spec.Containers; len(c) != 1 || c[0].Image != "v1" {
			t.Errorf("containers %+v", c)
		}
	})
}

func TestNameThatIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHistory(t)
		want := template("v1")
		data, err := encode(&want)
		if err != nil {
			t.Fatal(err)
		}
		other := &appsv1.ControllerRevision{Revision: 7}
		other.Namespace, other.Name, other.Data.Raw = "default", "kubia-"+hashOf(data, 0), []byte(`{}`)
		testbed.Create(h.Bed, other)
		got := h.record("v1", 0)
		if got.Collisions != 1 || got.Update.Name != "kubia-"+hashOf(data, 1) {
			t.Errorf("%d collisions, revision %s", got.Collisions, got.Update.Name)
		}
	})
}

func TestOrphansAreAdopted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHistory(t)
		made := h.record("v1", 0)
		testbed.Update(h.Bed, "default", made.Update.Name, func(r *appsv1.ControllerRevision) { r.OwnerReferences = nil })
		h.alive = errors.New("it is being deleted")
		if _, err := h.try("v1", 0); !errors.Is(err, h.alive) {
			t.Errorf("adopted by one that is being deleted: %v", err)
		}
		h.expect("1:v1 orphan")
		h.alive = nil
		h.record("v1", 0)
		h.expect("1:v1")
		testbed.Update(h.Bed, "default", made.Update.Name, func(r *appsv1.ControllerRevision) { r.Labels["app"] = "foo" })
		if _, err := h.try("v2", 0); err != nil {
			t.Fatal(err)
		}
		h.expect("1:v1 orphan, 1:v2")
	})
}

// TestNewDefaultsAreNoNewRevision holds that a revision that lacks a default, as one
// of an earlier version may, is the present one all the same.
func TestNewDefaultsAreNoNewRevision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHistory(t)
		made := h.record("v1", 0)
		bare := &appsv1.ControllerRevision{Revision: 2}
		bare.Namespace, bare.Name, bare.Labels, bare.OwnerReferences = "default", "bare", made.Update.Labels, made.Update.OwnerReferences
		bare.Data.Raw = []byte(strings.Replace(strings.Replace(string(made.Update.Data.Raw), `"dnsPolicy":"ClusterFirst",`, "", 1), `"image":"v1"`, `"image":"v2"`, 1))
		if string(bare.Data.Raw) == string(made.Update.Data.Raw) {
			t.Fatal("nothing to leave out")
		}
		testbed.Create(h.Bed, bare)
		if got := h.record("v2", 0); got.Update.Name != "bare" {
			t.Errorf("a new revision %s was made", got.Update.Name)
		}
	})
}

func TestDuplicatesAreFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHistory(t)
		made := h.record("v1", 0)
		double := made.Update.DeepCopy()
		double.ObjectMeta = metav1.ObjectMeta{Namespace: "default", Name: "double", Labels: made.Update.Labels, OwnerReferences: made.Update.OwnerReferences}
		double.Revision = 2
		testbed.Create(h.Bed, double)
		got := h.record("v1", 0)
		if got.Update.Name != "double" || len(got.Equals) != 1 || got.Equals[0].Name != made.Update.Name {
			t.Errorf("%+v", got)
		}
	})
}

func TestSurplus(t *testing.T) {
	var all []*appsv1.ControllerRevision
	for _, name := range []string{"a", "b", "c", "d"} {
		all = append(all, &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	live := func(r *appsv1.ControllerRevision) bool { return r.Name == "b" }
	for _, c := range []struct {
		limit     int
		countLive bool
		want      string
	}{{0, false, "a c d"}, {1, false, "a c"}, {3, false, ""}, {10, false, ""}, {0, true, "a c d"}, {1, true, "a c d"}, {2, true, "a c"}, {4, true, ""}} {
		var names []string
		for _, r := range Surplus(all, c.limit, live, c.countLive) {
			names = append(names, r.Name)
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("limit %d, live ones counted %v: %q, want %q", c.limit, c.countLive, got, c.want)
		}
	}
}

func TestLongNamesAreCut(t *testing.T) {
	o := Owner{Owner: workload.Owner{Object: &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: strings.Repeat("x", 250)}}}, Template: &corev1.PodTemplateSpec{}, HashLabel: "hash"}
	if name := o.make(nil, "0123456789", 1).Name; len(name) != longestPrefix+11 || len(name) > 253 {
		t.Errorf("a name of %d bytes", len(name))
	}
}

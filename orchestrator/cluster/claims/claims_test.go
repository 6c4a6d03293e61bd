package claims

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"

	"skiff/manifests/enginevolume"
	"skiff/manifests/registry"
	"skiff/orchestrator/internal/testbed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// engine remembers what was removed from it.
type engine struct {
	mu      sync.Mutex
	inUse   bool
	removed []string
}

func (e *engine) RemoveVolume(_ context.Context, name string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.inUse {
		return errors.New("volume is in use")
	}
	e.removed = append(e.removed, name)
	return nil
}

func (e *engine) setInUse(is bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.inUse = is
}

func (e *engine) take() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	taken := strings.Join(e.removed, " ")
	e.removed = nil
	return taken
}

type bed struct {
	*testbed.Bed
	t       *testing.T
	engine  *engine
	options Options
	stop    func()
}

func newBed(t *testing.T) *bed {
	b := &bed{Bed: testbed.New(t), t: t, engine: &engine{}}
	b.options = Options{
		Claims: registry.For[*corev1.PersistentVolumeClaim](b.Registry), Volumes: registry.For[*corev1.PersistentVolume](b.Registry),
		Classes: registry.For[*storagev1.StorageClass](b.Registry), Pods: registry.For[*corev1.Pod](b.Registry), Engine: b.engine, Env: b.Env(), Workers: 2,
	}
	b.start()
	return b
}

func (b *bed) start() { b.stop = b.Run(New(b.options).Run) }

func claim(name string, size string, with ...func(*corev1.PersistentVolumeClaim)) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}},
		},
	}
	for _, change := range with {
		change(c)
	}
	return c
}

func ofClass(class string) func(*corev1.PersistentVolumeClaim) {
	return func(c *corev1.PersistentVolumeClaim) { c.Spec.StorageClassName = &class }
}

func volume(name, size, class string, with ...func(*corev1.PersistentVolume)) *corev1.PersistentVolume {
	v := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:    corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)},
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, StorageClassName: class,
			PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/data"}},
		},
	}
	for _, change := range with {
		change(v)
	}
	return v
}

// user is a pod on a node that mounts a claim.
func (b *bed) user(name, claim string) {
	p := testbed.Pod("default", name, nil)
	p.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
	}}}
	testbed.Create(b.Bed, p)
	if err := b.Bind(b.t.Context(), "default", name, "node"); err != nil {
		b.t.Fatal(err)
	}
}

// state is every claim and every volume, with what they say of each other.
func (b *bed) state() string {
	synctest.Wait()
	var lines []string
	for _, c := range testbed.List[*corev1.PersistentVolumeClaim](b.Bed, "default") {
		line := fmt.Sprintf("%s %s", c.Name, c.Status.Phase)
		if c.DeletionTimestamp != nil {
			line += " going"
		}
		if c.Spec.VolumeName != "" {
			line += " " + strings.ReplaceAll(c.Spec.VolumeName, string(c.UID), "*")
		}
		lines = append(lines, line)
	}
	for _, v := range testbed.List[*corev1.PersistentVolume](b.Bed, "") {
		name, _, ours := strings.Cut(v.Name, "pvc-")
		if ours {
			name = "pvc-*"
		}
		line := fmt.Sprintf("%s %s", name, v.Status.Phase)
		if v.Spec.ClaimRef != nil {
			line += " " + v.Spec.ClaimRef.Name
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, ", ")
}

func (b *bed) expect(what, want string) {
	b.t.Helper()
	if got := b.state(); got != want {
		b.t.Errorf("%s:\n got %s\nwant %s", what, got, want)
	}
}

func TestClaimGetsANewVolumeAndTakesItAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		c := testbed.Create(b.Bed, claim("data", "1Gi"))
		b.expect("bound", "data Bound pvc-*, pvc-* Bound data")
		v := testbed.List[*corev1.PersistentVolume](b.Bed, "")[0]
		handle := "data_" + strings.ReplaceAll(string(c.UID), "-", "")[:12]
		if enginevolume.Name(v) != handle || v.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete ||
			v.Spec.Capacity.Storage().String() != "1Gi" || v.Spec.ClaimRef.UID != c.UID {
			t.Errorf("volume %+v", v)
		}
		bound, _ := testbed.Get[*corev1.PersistentVolumeClaim](b.Bed, "default", "data")
		if bound.Status.Capacity.Storage().String() != "1Gi" || len(bound.Status.AccessModes) != 1 || !slices.Contains(bound.Finalizers, "kubernetes.io/pvc-protection") {
			t.Errorf("claim %+v", bound)
		}
		if got, want := b.Recorder.Take(), "Normal ProvisioningSucceeded data: Successfully provisioned volume "+v.Name+" using skiff"; got != want {
			t.Errorf("events %s", got)
		}
		b.user("a", "data")
		testbed.Delete[*corev1.PersistentVolumeClaim](b.Bed, "default", "data")
		b.expect("in use it stays", "data Bound going pvc-*, pvc-* Bound data")
		testbed.Delete[*corev1.PersistentVolume](b.Bed, "", v.Name)
		b.expect("the volume too", "data Bound going pvc-*, pvc-* Bound data")
		b.engine.setInUse(true)
		testbed.Kill[*corev1.Pod](b.Bed, "default", "a")
		b.expect("the engine is not done with the container", "pvc-* Released data")
		b.engine.setInUse(false)
		time.Sleep(time.Minute)
		b.expect("gone with its data", "")
		if got := b.engine.take(); got != handle {
			t.Errorf("removed %q from the engine", got)
		}
	})
}

func TestEndedPodDoesNotHoldAClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		testbed.Create(b.Bed, claim("data", "1Gi"))
		b.user("a", "data")
		testbed.Delete[*corev1.PersistentVolumeClaim](b.Bed, "default", "data")
		testbed.UpdateStatus(b.Bed, "default", "a", func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded })
		b.expect("gone", "")
	})
}

func TestExistingVolumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		testbed.Create(b.Bed, volume("big", "10Gi", "manual"))
		testbed.Create(b.Bed, volume("small", "2Gi", "manual"))
		testbed.Create(b.Bed, volume("kept", "1Gi", "", func(v *corev1.PersistentVolume) {
			v.Spec.ClaimRef = &corev1.ObjectReference{Namespace: "default", Name: "mine"}
		}))
		b.expect("all free", "big Available, kept Available mine, small Available")
		testbed.Create(b.Bed, claim("first", "1Gi", ofClass("manual")))
		b.expect("the smallest", "first Bound small, big Available, kept Available mine, small Bound first")
		testbed.Create(b.Bed, claim("second", "1Gi", ofClass("manual")))
		testbed.Create(b.Bed, claim("third", "1Gi", ofClass("manual")))
		b.expect("there is no such class to make more of",
			"first Bound small, second Bound big, third Pending, big Bound second, kept Available mine, small Bound first")
		testbed.Create(b.Bed, claim("none", "1Gi", ofClass("")))
		b.expect("no more are made without a class", "first Bound small, none Pending, second Bound big, third Pending, "+
			"big Bound second, kept Available mine, small Bound first")
		if got := b.Recorder.Take(); !strings.Contains(got, "Warning FailedBinding none: no persistent volumes available for this claim and no storage class is set") {
			t.Errorf("events %s", got)
		}
		testbed.Create(b.Bed, claim("mine", "1Gi"))
		testbed.Create(b.Bed, volume("late", "1Gi", ""))
		b.expect("one reserved, one that came late", "first Bound small, mine Bound kept, none Bound late, second Bound big, third Pending, "+
			"big Bound second, kept Bound mine, late Bound none, small Bound first")
		testbed.Delete[*corev1.PersistentVolumeClaim](b.Bed, "default", "first")
		b.expect("retained", "mine Bound kept, none Bound late, second Bound big, third Pending, "+
			"big Bound second, kept Bound mine, late Bound none, small Released first")
	})
}

// TestClassThatIsNotThere: the claim waits, and gets a volume of the class once there is one.
func TestClassThatIsNotThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		testbed.Create(b.Bed, claim("c", "1Gi", ofClass("fast")))
		b.expect("no class", "c Pending")
		if got, want := b.Recorder.Take(), `Warning ProvisioningFailed c: storageclass.storage.k8s.io "fast" not found`; got != want {
			t.Errorf("events %s, want %s", got, want)
		}
		testbed.Create(b.Bed, &storagev1.StorageClass{
			ObjectMeta: metav1.ObjectMeta{Name: "fast"}, Provisioner: "example.com/fast", ReclaimPolicy: ptr.To(corev1.PersistentVolumeReclaimRetain),
		})
		b.expect("a class", "c Bound pvc-*, pvc-* Bound c")
		testbed.Delete[*corev1.PersistentVolumeClaim](b.Bed, "default", "c")
		b.expect("its volumes are retained", "pvc-* Released c")
		time.Sleep(time.Minute)
		if got := b.engine.take(); got != "" {
			t.Errorf("removed %q from the engine", got)
		}
	})
}

func TestLostVolume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		testbed.Create(b.Bed, volume("v", "1Gi", ""))
		testbed.Create(b.Bed, claim("c", "1Gi"))
		b.expect("bound", "c Bound v, v Bound c")
		testbed.Update(b.Bed, "", "v", func(v *corev1.PersistentVolume) { v.Finalizers = nil })
		testbed.Delete[*corev1.PersistentVolume](b.Bed, "", "v")
		b.expect("lost", "c Lost v")
		if got := b.Recorder.Take(); !strings.Contains(got, "Warning ClaimLost c: Bound claim has lost its PersistentVolume. Data on the volume is lost!") {
			t.Errorf("events %s", got)
		}
	})
}

func TestClaimPlan(t *testing.T) {
	bound := func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeName = "v" }
	other := func(v *corev1.PersistentVolume) {
		v.Spec.ClaimRef = &corev1.ObjectReference{Namespace: "default", Name: "other", UID: "x"}
	}
	for _, c := range []struct {
		name    string
		claim   *corev1.PersistentVolumeClaim
		volumes []*corev1.PersistentVolume
		want    string
	}{
		{"none there", claim("c", "1Gi"), nil, "provision pvc-u: no volume satisfies the claim"},
		{"of a class nobody has volumes of", claim("c", "1Gi", ofClass("fast")), nil, "provision pvc-u: no volume satisfies the claim"},
		{"of a class that is not there", claim("c", "1Gi", ofClass("lost")), nil, `wait for a volume: storageclass.storage.k8s.io "lost" not found`},
		{"of one that is not there but of which somebody has made a volume", claim("c", "1Gi", ofClass("lost")),
			[]*corev1.PersistentVolume{volume("v", "1Gi", "lost")}, "bind to v: it is the smallest that satisfies the claim"},
		{"of a class whose volumes somebody makes", claim("c", "1Gi", ofClass("local")), nil,
			"wait for a volume: no volume plugin matched name: kubernetes.io/no-provisioner"},
		{"too small", claim("c", "2Gi"), []*corev1.PersistentVolume{volume("v", "1Gi", "")}, "provision pvc-u: no volume satisfies the claim"},
		{"another's", claim("c", "1Gi"), []*corev1.PersistentVolume{volume("v", "1Gi", "", other)}, "provision pvc-u: no volume satisfies the claim"},
		{"another mode", claim("c", "1Gi", func(c *corev1.PersistentVolumeClaim) {
			c.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}
		}), []*corev1.PersistentVolume{volume("v", "1Gi", "")}, "provision pvc-u: no volume satisfies the claim"},
		{"no class on purpose", claim("c", "1Gi", ofClass("")), nil, "wait for a volume: no persistent volumes available for this claim and no storage class is set"},
		{"a selector", claim("c", "1Gi", func(c *corev1.PersistentVolumeClaim) {
			c.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}
		}), []*corev1.PersistentVolume{volume("v", "1Gi", "")}, "wait for a volume: spec.selector: claim.Spec.Selector is not supported for dynamic provisioning"},
		{"a device", claim("c", "1Gi", func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeMode = ptr.To(corev1.PersistentVolumeBlock) }), nil,
			"wait for a volume: spec.volumeMode: skiff has no block volumes"},
		{"a copy", claim("c", "1Gi", func(c *corev1.PersistentVolumeClaim) { c.Spec.DataSource = &corev1.TypedLocalObjectReference{} }), nil,
			"wait for a volume: spec.dataSource: skiff can not fill a volume from another"},
		{"by name", claim("c", "1Gi", bound), []*corev1.PersistentVolume{volume("v", "1Gi", "")}, "bind to v: the claim names it"},
		{"by a name that is not there", claim("c", "1Gi", bound), nil, "wait for v: there is no such volume"},
		{"by the name of another's", claim("c", "1Gi", bound), []*corev1.PersistentVolume{volume("v", "1Gi", "", other)},
			`wait for v: volume "v" already bound to a different claim.`},
		{"by the name of one too small", claim("c", "2Gi", bound), []*corev1.PersistentVolume{volume("v", "1Gi", "")},
			`wait for v: Cannot bind to requested volume "v": it does not satisfy the claim`},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.claim.UID = "u"
			v := claimView{claim: c.claim, volumes: c.volumes, class: map[string]*storagev1.StorageClass{
				"fast": {Provisioner: "example.com/fast"}, "local": {Provisioner: "kubernetes.io/no-provisioner"},
			}[className(c.claim)]}
			if got := planClaim(v).String(); got != c.want {
				t.Errorf("got %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestAnySequenceConverges holds that whatever is done to claims, volumes and pods,
// no volume is ever two claims', and in the end no data is kept for claims that
// are gone.
func TestAnySequenceConverges(t *testing.T) {
	verbs := []string{"claim", "claim-class", "volume", "user", "end", "drop-claim", "drop-volume", "restart", "busy", "idle"}
	rapid.Check(t, func(r *rapid.T) {
		acts := rapid.SliceOfN(rapid.Custom(func(r *rapid.T) string {
			return fmt.Sprint(rapid.SampledFrom(verbs).Draw(r, "verb"), " ", rapid.IntRange(0, 2).Draw(r, "n"))
		}), 1, 25).Draw(r, "acts")
		var failure string
		synctest.Test(t, func(t *testing.T) { failure = play(t, acts) })
		if failure != "" {
			r.Fatalf("%v: %s", acts, failure)
		}
	})
}

func play(t *testing.T, acts []string) string {
	b := newBed(t)
	for _, a := range acts {
		b.act(a)
		synctest.Wait()
		owners := map[string]string{}
		for _, c := range testbed.List[*corev1.PersistentVolumeClaim](b.Bed, "default") {
			if before := owners[c.Spec.VolumeName]; c.Spec.VolumeName != "" && before != "" {
				return fmt.Sprintf("after %s: %s and %s have volume %s", a, before, c.Name, c.Spec.VolumeName)
			}
			owners[c.Spec.VolumeName] = c.Name
		}
	}
	b.engine.setInUse(false)
	for _, p := range testbed.List[*corev1.Pod](b.Bed, "default") {
		testbed.Kill[*corev1.Pod](b.Bed, "default", p.Name)
	}
	time.Sleep(time.Minute)
	synctest.Wait()
	for _, c := range testbed.List[*corev1.PersistentVolumeClaim](b.Bed, "default") {
		if c.DeletionTimestamp != nil {
			return fmt.Sprintf("claim %s is never let go", c.Name)
		}
		if c.Status.Phase == corev1.ClaimPending && c.Spec.StorageClassName == nil {
			return fmt.Sprintf("claim %s is never bound", c.Name)
		}
	}
	for _, v := range testbed.List[*corev1.PersistentVolume](b.Bed, "") {
		if isOurs(v) && v.Status.Phase != corev1.VolumeBound {
			return fmt.Sprintf("volume %s is %s", v.Name, v.Status.Phase)
		}
	}
	return ""
}

func (b *bed) act(a string) {
	verb, n, _ := strings.Cut(a, " ")
	ctx := b.t.Context()
	claims, volumes, pods := registry.For[*corev1.PersistentVolumeClaim](b.Registry), registry.For[*corev1.PersistentVolume](b.Registry), registry.For[*corev1.Pod](b.Registry)
	// Whatever fails because the object is there or gone already is as good as not done.
	switch verb {
	case "claim":
		_, _ = claims.Create(ctx, claim("c"+n, "1Gi"))
	case "claim-class":
		_, _ = claims.Create(ctx, claim("c"+n, "1Gi", ofClass("manual")))
	case "volume":
		_, _ = volumes.Create(ctx, volume("v"+n, "1Gi", map[string]string{"0": "", "1": "manual", "2": "manual"}[n]))
	case "user":
		if _, ok := testbed.Get[*corev1.Pod](b.Bed, "default", "p"+n); !ok {
			b.user("p"+n, "c"+n)
		}
	case "end":
		_ = pods.Delete(ctx, "default", "p"+n, *metav1.NewDeleteOptions(0))
	case "drop-claim":
		_ = claims.Delete(ctx, "default", "c"+n, metav1.DeleteOptions{})
	case "drop-volume":
		_ = volumes.Delete(ctx, "", "v"+n, metav1.DeleteOptions{})
	case "restart":
		b.stop()
		b.start()
	case "busy", "idle":
		b.engine.setInUse(verb == "busy")
	}
}

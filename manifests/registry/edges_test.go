package registry_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/utils/ptr"

	"skiff/manifests"
	"skiff/manifests/registry"
	"skiff/store"
)

// recorder keeps the warnings of requests.
type recorder struct {
	mu    sync.Mutex
	texts []string
}

func (r *recorder) AddWarning(_, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.texts = append(r.texts, text)
}

func TestWarningsReachTheClient(t *testing.T) {
	f := open(t)
	var warned recorder
	ctx := warning.WithWarningRecorder(f.ctx, &warned)
	p := pod("p", func(p *corev1.Pod) { p.Spec.HostUsers = ptr.To(false) })
	manifests.Scheme().Default(p)
	if _, err := f.resource("pods").Create(ctx, "default", p, registry.CreateOptions{DryRun: true}); err != nil {
		t.Fatal(err)
	}
	want := "spec.hostUsers: skiff does not use user namespaces, the field has no effect"
	if strings.Join(warned.texts, "\n") != want {
		t.Errorf("warned %q", warned.texts)
	}
}

func TestAStoreThatHasStopped(t *testing.T) {
	s, err := store.Open(store.Options{Path: t.TempDir() + "/skiff.db", Codec: manifests.StoreCodec(), Indexes: registry.Indexes()})
	if err != nil {
		t.Fatal(err)
	}
	r := registry.New(registry.Options{Store: s})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	n := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "n"}}
	_, err = registry.For[*corev1.Namespace](r).Create(context.Background(), n)
	if wantError(t, err, "skiff is stopping"); !apierrors.IsServiceUnavailable(err) {
		t.Errorf("%T is not ServiceUnavailable", err)
	}
}

func TestARequestThatHasEnded(t *testing.T) {
	f := open(t)
	f.create(configMap("c"))
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	_, err := f.resource("configmaps").Create(ctx, "default", configMap("d"), registry.CreateOptions{})
	if !apierrors.IsTimeout(err) {
		t.Errorf("create: %v", err)
	}
	_, _, err = f.resource("configmaps").Update(ctx, "default", "c", setData("a", "b"), registry.UpdateOptions{})
	if !apierrors.IsTimeout(err) {
		t.Errorf("update: %v", err)
	}
	_, _, err = f.resource("configmaps").Delete(ctx, "default", "c", nil, registry.DeleteOptions{})
	if !apierrors.IsTimeout(err) {
		t.Errorf("delete: %v", err)
	}
	_, err = f.resource("configmaps").GetAt(ctx, "default", "c", "1000")
	if !apierrors.IsTimeout(err) {
		t.Errorf("get: %v", err)
	}
}

func TestGetAtAVersion(t *testing.T) {
	f := open(t)
	f.create(configMap("c"))
	for version, want := range map[string]string{
		"": "", "0": "", "1": "", f.version(): "",
		"x": `invalid resource version: strconv.ParseUint: parsing "x": invalid syntax`,
	} {
		_, err := f.resource("configmaps").GetAt(f.ctx, "default", "c", version)
		wantError(t, err, want)
	}
}

func TestNamespacePropagationPolicies(t *testing.T) {
	for name, test := range map[string]struct {
		options *metav1.DeleteOptions
		had     []string
		want    string
	}{
		"nothing said":            {&metav1.DeleteOptions{}, []string{"orphan", "skiff/x"}, "ends +0s [skiff/x orphan]"},
		"orphan":                  {policy(metav1.DeletePropagationOrphan), nil, "ends +0s [orphan]"},
		"foreground":              {policy(metav1.DeletePropagationForeground), []string{"orphan"}, "ends +0s [foregroundDeletion]"},
		"background":              {policy(metav1.DeletePropagationBackground), []string{"foregroundDeletion"}, "ends +0s"},
		"not to orphan":           {&metav1.DeleteOptions{OrphanDependents: ptr.To(false)}, nil, "ends +0s [foregroundDeletion]"},
		"to orphan, the old way":  {&metav1.DeleteOptions{OrphanDependents: ptr.To(true)}, nil, "ends +0s [orphan]"},
		"a dry run leaves it all": {&metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}, nil, "unwritten lives"},
	} {
		t.Run(name, func(t *testing.T) {
			f := open(t)
			f.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "n", Finalizers: test.had}})
			f.life(t, f.resource("namespaces"), "", "n", []step{{options: test.options, want: test.want}})
		})
	}
}

func TestVolumePhaseTransitions(t *testing.T) {
	f := open(t)
	f.create(&corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: "v"},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:               corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
			AccessModes:            []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/v"}},
		},
	})
	client := registry.For[*corev1.PersistentVolume](f.Registry)
	for i, step := range []struct {
		change func(*corev1.PersistentVolumeStatus)
		want   time.Duration
	}{
		{func(s *corev1.PersistentVolumeStatus) { s.Message = "x" }, 0},
		{func(s *corev1.PersistentVolumeStatus) { s.Phase = corev1.VolumeAvailable }, 2 * time.Second},
		{func(s *corev1.PersistentVolumeStatus) { s.LastPhaseTransitionTime = nil }, 2 * time.Second},
		{func(s *corev1.PersistentVolumeStatus) {
			s.Phase, s.LastPhaseTransitionTime = corev1.VolumeBound, &metav1.Time{Time: began}
		}, 0},
	} {
		f.clock.Step(time.Second)
		v, err := client.UpdateStatus(f.ctx, "", "v", func(v *corev1.PersistentVolume) error {
			step.change(&v.Status)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := v.Status.LastPhaseTransitionTime.Sub(began); got != step.want {
			t.Errorf("step %d: %s, want %s", i, got, step.want)
		}
	}
}

func TestBindingAPodThatWasNominated(t *testing.T) {
	f := open(t)
	f.create(pod("p"))
	_, err := registry.For[*corev1.Pod](f.Registry).UpdateStatus(f.ctx, "default", "p", func(p *corev1.Pod) error {
		p.Status.NominatedNodeName = "m"
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", LastTransitionTime: metav1.NewTime(began)}}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	f.clock.Step(time.Minute)
	if err := f.bind("p", "n"); err != nil {
		t.Fatal(err)
	}
	p := must(f.resource("pods").Get("default", "p")).(*corev1.Pod)
	if c := p.Status.Conditions; len(c) != 1 || c[0].Reason != "" || c[0].LastTransitionTime.Sub(began) != time.Minute || p.Status.NominatedNodeName != "" {
		t.Errorf("%+v", p.Status)
	}
}

func TestHealthCheckPorts(t *testing.T) {
	f := open(t)
	local := func(port int32) func(*corev1.ServiceSpec) {
		return func(s *corev1.ServiceSpec) {
			s.Type, s.ExternalTrafficPolicy, s.HealthCheckNodePort = corev1.ServiceTypeLoadBalancer, corev1.ServiceExternalTrafficPolicyLocal, port
		}
	}
	if got := describe(f.create(service("a", local(31000))).(*corev1.Service)); got != "10.96.1.1 [10.96.1.1] SingleStack [IPv4] http:30086 health:31000" {
		t.Errorf("got %s", got)
	}
	_, err := f.tryCreate(service("b", local(31000)))
	wantError(t, err, "Internal error occurred: failed to allocate requested HealthCheck NodePort 31000: provided port is already allocated")
}

func TestKindsThatAreNotServed(t *testing.T) {
	f := open(t)
	for _, kind := range manifests.Kinds() {
		if f.Resource(kind.GroupResource()) == nil {
			t.Errorf("%s is served, but has no resource", kind.GVK)
		}
	}
	if gvks, _, err := manifests.Scheme().ObjectKinds(&batchv1.Job{}); err != nil || len(gvks) == 0 {
		t.Errorf("jobs are not in the scheme: %v", err)
	}
}

package admission_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"

	"skiff/manifests"
	"skiff/manifests/admission"
	"skiff/manifests/registry"
	"skiff/store"
)

// state is a store with objects in it.
func state(t *testing.T, objects ...store.Object) *store.Store {
	t.Helper()
	s, err := store.Open(store.Options{Path: filepath.Join(t.TempDir(), "skiff.db"), Codec: manifests.StoreCodec(), Indexes: registry.Indexes()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, s.Close()); err != nil {
			t.Error(err)
		}
	})
	for _, obj := range objects {
		key := store.Key{Resource: kindOf(t, obj).GroupResource().String(), Namespace: obj.GetNamespace(), Name: obj.GetName()}
		if _, err := s.Commit(ctx, store.Change{Key: key, Object: obj}); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func kindOf(t *testing.T, obj store.Object) *manifests.Kind {
	t.Helper()
	gvks, _, err := manifests.Scheme().ObjectKinds(obj)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range manifests.Kinds() {
		if k.GVK == gvks[0] {
			return k
		}
	}
	t.Fatalf("%T is not served", obj)
	return nil
}

func namespace(name string, phase corev1.NamespacePhase) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.NamespaceStatus{Phase: phase}}
}

func class(name string, value int32, isDefault bool) *schedulingv1.PriorityClass {
	return &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Value: value, GlobalDefault: isDefault,
		PreemptionPolicy: ptr.To(corev1.PreemptNever)}
}

func pod(change ...func(*corev1.PodSpec)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "d", GenerateName: "p-"}}
	for _, c := range change {
		c(&p.Spec)
	}
	return p
}

func creation(t *testing.T, obj store.Object) registry.Request {
	return registry.Request{Operation: registry.Create, Kind: kindOf(t, obj), Namespace: obj.GetNamespace(), Name: obj.GetName(), Object: obj}
}

func wantError(t *testing.T, err error, text string) {
	t.Helper()
	got := ""
	if err != nil {
		got = err.Error()
	}
	if got != text {
		t.Errorf("error:\n got %q\nwant %q", got, text)
	}
}

func TestNamespaceLifecycle(t *testing.T) {
	lifecycle := admission.NamespaceLifecycle{Reader: state(t, namespace("d", corev1.NamespaceActive), namespace("going", corev1.NamespaceTerminating))}
	in := func(namespace string) *corev1.ConfigMap {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "c"}}
	}
	ns := manifests.KindFor(schema.GroupResource{Resource: "namespaces"})
	update := creation(t, in("going"))
	update.Operation = registry.Update
	for name, test := range map[string]struct {
		r    registry.Request
		want string
	}{
		"there":                {creation(t, in("d")), ""},
		"missing":              {creation(t, in("nowhere")), `namespaces "nowhere" not found`},
		"going":                {creation(t, in("going")), `configmaps "c" is forbidden: unable to create new content in namespace going because it is being terminated`},
		"an update in it":      {update, ""},
		"cluster-scoped":       {creation(t, class("c", 1, false)), ""},
		"a namespace":          {creation(t, namespace("new", "")), ""},
		"default goes":         {registry.Request{Operation: registry.Delete, Kind: ns, Name: "default"}, `namespaces "default" is forbidden: this namespace may not be deleted`},
		"kube-system goes":     {registry.Request{Operation: registry.Delete, Kind: ns, Name: "kube-system"}, `namespaces "kube-system" is forbidden: this namespace may not be deleted`},
		"kube-node-lease goes": {registry.Request{Operation: registry.Delete, Kind: ns, Name: "kube-node-lease"}, `namespaces "kube-node-lease" is forbidden: this namespace may not be deleted`},
		"another goes":         {registry.Request{Operation: registry.Delete, Kind: ns, Name: "d"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := lifecycle.Admit(context.Background(), test.r)
			wantError(t, err, test.want)
			if name == "missing" && !apierrors.IsNotFound(err) {
				t.Errorf("%T is not NotFound", err)
			}
			if name == "going" && !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
				t.Errorf("%#v has not the cause", err)
			}
		})
	}
}

func TestServiceAccount(t *testing.T) {
	mine := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "d", Name: "mine"}, ImagePullSecrets: []corev1.LocalObjectReference{{Name: "s"}}}
	accounts := admission.ServiceAccount{Reader: state(t, mine)}
	account := func(name string) func(*corev1.PodSpec) {
		return func(s *corev1.PodSpec) { s.ServiceAccountName = name }
	}
	for name, test := range map[string]struct {
		pod              *corev1.Pod
		account, secrets string
		err              string
	}{
		"default":         {pod(), "default", "[]", ""},
		"named":           {pod(account("mine")), "mine", "[{s}]", ""},
		"its own secrets": {pod(account("mine"), func(s *corev1.PodSpec) { s.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "x"}} }), "mine", "[{x}]", ""},
		"missing":         {pod(account("other")), "other", "[]", `pods "p-" is forbidden: error looking up service account d/other: serviceaccount "other" not found`},
	} {
		t.Run(name, func(t *testing.T) {
			wantError(t, accounts.Admit(context.Background(), creation(t, test.pod)), test.err)
			s := test.pod.Spec
			if s.ServiceAccountName != test.account || fmt.Sprint(s.ImagePullSecrets) != test.secrets {
				t.Errorf("account %q, secrets %v", s.ServiceAccountName, s.ImagePullSecrets)
			}
		})
	}
}

func TestPriority(t *testing.T) {
	named := func(name string) func(*corev1.PodSpec) { return func(s *corev1.PodSpec) { s.PriorityClassName = name } }
	valued := func(value int32) func(*corev1.PodSpec) { return func(s *corev1.PodSpec) { s.Priority = &value } }
	high, low, lower := class("high", 1000, false), class("low", 5, true), class("lower", 2, true)
	for name, test := range map[string]struct {
		classes []store.Object
		pod     *corev1.Pod
		want    string
		err     string
	}{
		"none":               {nil, pod(), `"" 0 PreemptLowerPriority`, ""},
		"named":              {[]store.Object{high, low}, pod(named("high")), `"high" 1000 Never`, ""},
		"default":            {[]store.Object{high, low}, pod(), `"low" 5 Never`, ""},
		"two defaults":       {[]store.Object{low, lower}, pod(), `"lower" 2 Never`, ""},
		"the same value":     {[]store.Object{high}, pod(named("high"), valued(1000)), `"high" 1000 Never`, ""},
		"another value":      {[]store.Object{high}, pod(named("high"), valued(7)), "", `pods "p-" is forbidden: the integer value of priority (7) must not be provided in pod spec; priority admission controller computed 1000 from the given PriorityClass name`},
		"another preemption": {[]store.Object{high}, pod(named("high"), func(s *corev1.PodSpec) { s.PreemptionPolicy = ptr.To(corev1.PreemptLowerPriority) }), "", `pods "p-" is forbidden: the string value of PreemptionPolicy (PreemptLowerPriority) must not be provided in pod spec; priority admission controller computed Never from the given PriorityClass name`},
		"missing":            {nil, pod(named("gone")), "", `pods "p-" is forbidden: no PriorityClass with name gone was found`},
		"another default":    {[]store.Object{low}, nil, "", `priorityclasses.scheduling.k8s.io "lower" is forbidden: PriorityClass low is already marked as default. Only one default can exist`},
	} {
		t.Run(name, func(t *testing.T) {
			priority := admission.Priority{Reader: state(t, test.classes...)}
			if test.pod == nil {
				wantError(t, priority.Admit(context.Background(), creation(t, lower)), test.err)
				return
			}
			wantError(t, priority.Admit(context.Background(), creation(t, test.pod)), test.err)
			s := test.pod.Spec
			if got := fmt.Sprintf("%q %d %s", s.PriorityClassName, ptr.Deref(s.Priority, -1), ptr.Deref(s.PreemptionPolicy, "")); test.err == "" && got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestPriorityIsKeptByUpdates(t *testing.T) {
	old := pod(func(s *corev1.PodSpec) {
		s.Priority, s.PreemptionPolicy = ptr.To[int32](5), ptr.To(corev1.PreemptNever)
	})
	r := creation(t, pod())
	r.Operation, r.Old = registry.Update, old
	if err := (admission.Priority{Reader: state(t)}).Admit(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	if s := r.Object.(*corev1.Pod).Spec; *s.Priority != 5 || *s.PreemptionPolicy != corev1.PreemptNever {
		t.Errorf("priority %v, preemption %v", s.Priority, s.PreemptionPolicy)
	}
}

func TestAClassMayStayTheDefault(t *testing.T) {
	low := class("low", 5, true)
	r := creation(t, low)
	r.Operation, r.Old = registry.Update, low
	if err := (admission.Priority{Reader: state(t, low)}).Admit(context.Background(), r); err != nil {
		t.Error(err)
	}
}

func TestDefaultTolerations(t *testing.T) {
	tolerating := func(tolerations ...corev1.Toleration) *corev1.Pod {
		return pod(func(s *corev1.PodSpec) { s.Tolerations = tolerations })
	}
	for name, test := range map[string]struct {
		o    admission.Options
		pod  *corev1.Pod
		want string
	}{
		"both":      {admission.Options{}, pod(), "not-ready:300 unreachable:300 "},
		"settable":  {admission.Options{NotReadySeconds: ptr.To[int64](2), UnreachableSeconds: ptr.To[int64](0)}, pod(), "not-ready:2 unreachable:0 "},
		"its own":   {admission.Options{}, tolerating(corev1.Toleration{Key: corev1.TaintNodeNotReady, Operator: corev1.TolerationOpExists, TolerationSeconds: ptr.To[int64](9)}), "not-ready:9 unreachable:300 "},
		"all":       {admission.Options{}, tolerating(corev1.Toleration{Operator: corev1.TolerationOpExists}), ":-1 "},
		"unrelated": {admission.Options{}, tolerating(corev1.Toleration{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoSchedule}), "not-ready:-1 not-ready:300 unreachable:300 "},
	} {
		t.Run(name, func(t *testing.T) {
			if err := admission.NewDefaultTolerations(test.o).Admit(context.Background(), creation(t, test.pod)); err != nil {
				t.Fatal(err)
			}
			var got string
			for _, toleration := range test.pod.Spec.Tolerations {
				key := toleration.Key
				if len(key) > len("node.kubernetes.io/") {
					key = key[len("node.kubernetes.io/"):]
				}
				got += fmt.Sprintf("%s:%d ", key, ptr.Deref(toleration.TolerationSeconds, -1))
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestSubresourcesAreLeftAlone: a status is no place to add to.
func TestSubresourcesAreLeftAlone(t *testing.T) {
	p := pod()
	r := creation(t, p)
	r.Operation, r.Subresource, r.Old = registry.Update, manifests.SubresourceStatus, pod()
	for _, admitter := range admission.Chain(state(t, namespace("d", corev1.NamespaceActive)), admission.Options{}) {
		if err := admitter.Admit(context.Background(), r); err != nil {
			t.Error(err)
		}
	}
	if p.Spec.Tolerations != nil || p.Spec.Priority != nil || p.Spec.ServiceAccountName != "" {
		t.Errorf("%+v", p.Spec)
	}
}

func TestRuntimeClass(t *testing.T) {
	overhead := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m")}
	classes := admission.RuntimeClass{Reader: state(t,
		&nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: "plain"}, Handler: "h"},
		&nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: "heavy"}, Handler: "h", Overhead: &nodev1.Overhead{PodFixed: overhead},
			Scheduling: &nodev1.Scheduling{NodeSelector: map[string]string{"zone": "a"}, Tolerations: []corev1.Toleration{{Key: "k", Operator: corev1.TolerationOpExists}}}})}
	of := func(name string) func(*corev1.PodSpec) {
		return func(s *corev1.PodSpec) { s.RuntimeClassName = &name }
	}
	with := func(cpu string) func(*corev1.PodSpec) {
		return func(s *corev1.PodSpec) {
			s.Overhead = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}
		}
	}
	selecting := func(zone string) func(*corev1.PodSpec) {
		return func(s *corev1.PodSpec) { s.NodeSelector = map[string]string{"zone": zone} }
	}
	tolerating := func(s *corev1.PodSpec) {
		s.Tolerations = []corev1.Toleration{{Key: "k", Operator: corev1.TolerationOpExists}}
	}
	for name, test := range map[string]struct {
		pod  *corev1.Pod
		err  string
		want string
	}{
		"no class":               {pod(), "", "map[] map[] []"},
		"a plain class":          {pod(of("plain")), "", "map[] map[] []"},
		"a heavy class":          {pod(of("heavy")), "", "map[cpu:10m] map[zone:a] [k]"},
		"the same said already":  {pod(of("heavy"), with("10m"), selecting("a"), tolerating), "", "map[cpu:10m] map[zone:a] [k]"},
		"a missing class":        {pod(of("none")), `pods "p-" is forbidden: pod rejected: RuntimeClass "none" not found`, ""},
		"overhead without class": {pod(with("1")), `pods "p-" is forbidden: pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead`, ""},
		"overhead of its own":    {pod(of("heavy"), with("1")), `pods "p-" is forbidden: pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead`, ""},
		"another zone": {pod(of("heavy"), selecting("b")),
			`pods "p-" is forbidden: conflict: runtimeClass.scheduling.nodeSelector[zone] = a; pod.spec.nodeSelector[zone] = b`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := classes.Admit(context.Background(), creation(t, test.pod))
			wantError(t, err, test.err)
			if err != nil {
				return
			}
			shown := map[corev1.ResourceName]string{}
			for r, q := range test.pod.Spec.Overhead {
				shown[r] = q.String()
			}
			var tolerated []string
			for _, t := range test.pod.Spec.Tolerations {
				tolerated = append(tolerated, t.Key)
			}
			if got := fmt.Sprint(shown, test.pod.Spec.NodeSelector, tolerated); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

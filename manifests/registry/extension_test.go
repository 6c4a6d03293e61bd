package registry_test

import (
	"context"
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/manifests/registry"
	"skiff/store"
)

// extension is what a test makes of admission's configurable part. Nil functions do nothing.
type extension struct {
	mutate   func(r registry.Request, round int) bool
	validate func(r registry.Request) error
}

func (e *extension) Mutation(_ context.Context, r registry.Request) registry.Mutation {
	if e.mutate == nil {
		return nil
	}
	return &mutation{extension: e, request: r}
}

func (e *extension) Validation(_ context.Context, r registry.Request) registry.Validation {
	if e.validate == nil {
		return nil
	}
	return validation{e, r}
}

type validation struct {
	*extension
	request registry.Request
}

func (v validation) Validate(context.Context) error { return v.validate(v.request) }

type mutation struct {
	*extension
	request registry.Request
	round   int
}

func (m *mutation) Mutate(context.Context) (bool, error) {
	m.round++
	return m.mutate(m.request, m.round), nil
}

func withExtension(e *extension) func(*store.Options, *registry.Options) {
	return func(_ *store.Options, o *registry.Options) { o.Extension = e }
}

// TestNamespaceEndsWhileAnExtensionThinks: who asks a webhook keeps nobody from ending a namespace, and
// what the webhook says comes too late then.
func TestNamespaceEndsWhileAnExtensionThinks(t *testing.T) {
	thinking, think := make(chan struct{}), make(chan struct{})
	f := open(t, withExtension(&extension{validate: func(r registry.Request) error {
		if r.Operation == registry.Create && r.Kind.Resource == "configmaps" {
			close(thinking)
			<-think
		}
		return nil
	}}))
	f.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "n"}})
	made := make(chan error, 1)
	go func() {
		_, err := registry.For[*corev1.ConfigMap](f.Registry).Create(f.ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "c", Namespace: "n"}})
		made <- err
	}()
	<-thinking
	if err := registry.For[*corev1.Namespace](f.Registry).Delete(f.ctx, "", "n", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	close(think)
	if err := <-made; !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		t.Errorf("the object was made in a namespace that ends: %v", err)
	}
	if got := registry.For[*corev1.ConfigMap](f.Registry).List("n", nil); len(got) != 0 {
		t.Errorf("%d objects are in it", len(got))
	}
}

func TestExtensionSeesAllWriters(t *testing.T) {
	var seen []string
	f := open(t, withExtension(&extension{validate: func(r registry.Request) error {
		at := string(r.Operation) + " " + r.Kind.Resource
		if r.Subresource != "" {
			at += "/" + r.Subresource
		}
		if r.Part != nil {
			at += " " + r.Part.GVK.Kind
		}
		seen = append(seen, at)
		return nil
	}}))
	client := registry.For[*corev1.Pod](f.Registry)
	took := func(what string, err error, want ...string) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if len(seen) != len(want) {
			t.Fatalf("%s: saw %q, want %q", what, seen, want)
		}
		for i := range want {
			if seen[i] != want[i] {
				t.Errorf("%s: saw %q, want %q", what, seen[i], want[i])
			}
		}
		seen = nil
	}
	seen = nil
	f.create(pod("p"))
	took("a create", nil, "CREATE pods")
	took("a binding", f.Pods().Assign(f.ctx, "default", &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Target: corev1.ObjectReference{Kind: "Node", Name: "n"}}, registry.CreateOptions{}),
		"CREATE pods/binding Binding")
	_, err := client.Update(f.ctx, "default", "p", func(p *corev1.Pod) error { p.Labels = map[string]string{"a": "b"}; return nil })
	took("an update", err, "UPDATE pods")
	_, err = client.Update(f.ctx, "default", "p", func(*corev1.Pod) error { return nil })
	took("an update that changes nothing", err)
	_, err = client.UpdateStatus(f.ctx, "default", "p", func(p *corev1.Pod) error { p.Status.Message = "m"; return nil })
	took("a status", err, "UPDATE pods/status")
	took("an eviction", f.Pods().Evict(f.ctx, "default", "p", &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: "p"}}),
		"CREATE pods/eviction Eviction")
	took("a deletion", client.Delete(f.ctx, "default", "p", *metav1.NewDeleteOptions(0)), "DELETE pods")
	f.create(pod("q"))
	seen = nil
	_, _, err = f.resource("pods").DeleteCollection(f.ctx, "default", metav1.NewDeleteOptions(0), registry.ListOptions{}, registry.DeleteOptions{})
	took("a collection", err, "DELETE pods")
}

func TestExtensionRefuses(t *testing.T) {
	no := apierrors.NewForbidden(corev1.Resource("pods"), "p", errors.New("so it is"))
	var refuse bool
	f := open(t, withExtension(&extension{validate: func(registry.Request) error {
		if refuse {
			return no
		}
		return nil
	}}))
	f.create(pod("p"))
	refuse = true
	if _, err := registry.For[*corev1.ConfigMap](f.Registry).Create(registry.WithoutExtension(f.ctx), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "c", Namespace: "default"}}); err != nil {
		t.Errorf("without it: %v", err)
	}
	client := registry.For[*corev1.Pod](f.Registry)
	_, created := client.Create(f.ctx, pod("other"))
	_, updated := client.Update(f.ctx, "default", "p", func(p *corev1.Pod) error { p.Labels = map[string]string{"a": "b"}; return nil })
	for what, err := range map[string]error{
		"create": created, "update": updated,
		"delete": client.Delete(f.ctx, "default", "p", metav1.DeleteOptions{}),
		"evict":  f.Pods().Evict(f.ctx, "default", "p", &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: "p"}}),
		"bind":   f.Pods().Assign(f.ctx, "default", &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Target: corev1.ObjectReference{Kind: "Node", Name: "n"}}, registry.CreateOptions{}),
	} {
		if !errors.Is(err, no) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestExtensionMutates: what it changes is seen by the admitters once more, validated and stored.
func TestExtensionMutates(t *testing.T) {
	var rounds []int
	change := func(r registry.Request, round int) bool {
		rounds = append(rounds, round)
		p, ok := r.Object.(*corev1.Pod)
		if ok && round == 1 {
			p.Spec.ServiceAccountName, p.Labels = "", map[string]string{"mutated": "yes"}
		}
		return ok && round == 1
	}
	e := &extension{}
	f := open(t, withExtension(e))
	e.mutate = change
	made, err := registry.For[*corev1.Pod](f.Registry).Create(f.ctx, pod("p"))
	if err != nil {
		t.Fatal(err)
	}
	if made.Labels["mutated"] != "yes" || made.Spec.ServiceAccountName != "default" || len(rounds) != 2 {
		t.Errorf("labels %v, account %q, rounds %v", made.Labels, made.Spec.ServiceAccountName, rounds)
	}
	for what, break_ := range map[string]func(*corev1.Pod){
		"another namespace": func(p *corev1.Pod) { p.Namespace = "elsewhere" },
		"an invalid object": func(p *corev1.Pod) { p.Spec.RestartPolicy = "Perhaps" },
	} {
		e.mutate = func(r registry.Request, _ int) bool { break_(r.Object.(*corev1.Pod)); return false }
		if _, err := registry.For[*corev1.Pod](f.Registry).Create(f.ctx, pod("q")); err == nil {
			t.Errorf("%s was stored", what)
		}
	}
}

// TestServicesAreMadeWhileAnExtensionThinks: who has asked about one service keeps nobody from writing
// another, and both get addresses and ports of their own.
func TestServicesAreMadeWhileAnExtensionThinks(t *testing.T) {
	var f fixture
	nested := false
	e := &extension{}
	f = open(t, withExtension(e))
	ports := func(name string) *corev1.Service {
		s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}}
		s.Spec.Type, s.Spec.Ports = corev1.ServiceTypeNodePort, []corev1.ServicePort{{Port: 80}}
		return s
	}
	e.validate = func(r registry.Request) error {
		s, ok := r.Object.(*corev1.Service)
		if !ok || nested {
			return nil
		}
		nested = true
		if s.Spec.ClusterIP == "" || s.Spec.Ports[0].NodePort == 0 {
			t.Error("it does not see what the service is given")
		}
		// The fastest is who takes just what the other was given.
		other := ports("other")
		other.Spec.ClusterIP, other.Spec.Ports[0].NodePort = s.Spec.ClusterIP, s.Spec.Ports[0].NodePort
		_, err := registry.For[*corev1.Service](f.Registry).Create(f.ctx, other)
		return err
	}
	made, err := registry.For[*corev1.Service](f.Registry).Create(f.ctx, ports("s"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := registry.For[*corev1.Service](f.Registry).Get("default", "other")
	if err != nil {
		t.Fatal(err)
	}
	if made.Spec.ClusterIP == other.Spec.ClusterIP || made.Spec.Ports[0].NodePort == other.Spec.Ports[0].NodePort {
		t.Errorf("two services have %s and %d", made.Spec.ClusterIP, made.Spec.Ports[0].NodePort)
	}
}

package routes

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"skiff/manifests/registry"
	"skiff/network/protocol"
	"skiff/orchestrator/internal/testbed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// slowRouter takes its time to be told of nodes for the first time after Replace.
type slowRouter struct {
	proceed chan struct{}

	mu    sync.Mutex
	slow  bool
	nodes []string
}

func (r *slowRouter) Replace([]protocol.Service, []protocol.Node) {}
func (r *slowRouter) Set(protocol.Service)                        {}
func (r *slowRouter) Delete(protocol.Key)                         {}

func (r *slowRouter) SetNodes(nodes []protocol.Node) {
	r.mu.Lock()
	slow := r.slow
	r.slow = false
	r.mu.Unlock()
	if slow {
		<-r.proceed
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.nodes = nil
	for _, n := range nodes {
		r.nodes = append(r.nodes, n.Name)
	}
}

// TestRouterIsToldOfNodesInOrder holds that the router is left with the newest list of nodes when
// another changes while it is told of one because of a service.
func TestRouterIsToldOfNodesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := testbed.New(t)
		node := func(name string) {
			testbed.Create(b, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}})
			synctest.Wait()
		}
		r := &slowRouter{proceed: make(chan struct{})}
		b.Run(New(Options{Env: b.Env(), Router: r, Machine: "a", Workers: 4}).Run)
		node("a")
		node("b")
		r.mu.Lock()
		r.slow = true
		r.mu.Unlock()
		local := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "local"}}
		local.Spec.InternalTrafficPolicy = ptr.To(corev1.ServiceInternalTrafficPolicyLocal)
		local.Spec.Ports = []corev1.ServicePort{{Port: 80, Protocol: corev1.ProtocolTCP}}
		testbed.Create(b, local)
		slice := sliceOf(t, local.Spec.Ports, "10.9.0.2@a")
		slice.ObjectMeta = metav1.ObjectMeta{
			Namespace: "default", Name: "local", Labels: map[string]string{discoveryv1.LabelServiceName: "local"},
		}
		testbed.Create(b, slice)
		synctest.Wait()
		r.mu.Lock()
		told := !r.slow
		r.mu.Unlock()
		if !told {
			t.Fatal("the router is not told of the nodes")
		}
		node("c")
		close(r.proceed)
		synctest.Wait()
		r.mu.Lock()
		defer r.mu.Unlock()
		if want := []string{"a", "b", "c"}; !slices.Equal(r.nodes, want) {
			t.Errorf("the router knows nodes %s, want %s", strings.Join(r.nodes, ", "), strings.Join(want, ", "))
		}
	})
}

// lateRouter takes its time to be told of everything.
type lateRouter struct {
	slowRouter
	takes func()
	has   map[protocol.Key]bool
}

func (r *lateRouter) Replace(services []protocol.Service, _ []protocol.Node) {
	r.has = map[protocol.Key]bool{}
	for _, s := range services {
		r.has[s.Key] = true
	}
	r.takes()
}

func (r *lateRouter) Delete(key protocol.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.has, key)
}

// TestDeletedBeforeFeedsAreFollowed holds that a service does not stay with the router that is deleted
// after the router was told of everything, and before the feeds are followed.
func TestDeletedBeforeFeedsAreFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := testbed.New(t)
		testbed.Create(b, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
			Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
		})
		web := protocol.Key{Namespace: "default", Name: "web"}
		told := false
		r := &lateRouter{}
		r.takes = func() {
			told = r.has[web]
			if err := registry.For[*corev1.Service](b.Registry).Delete(t.Context(), "default", "web", metav1.DeleteOptions{}); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Second) // of the virtual clock: the feed has seen it by then
		}
		b.Run(New(Options{Env: b.Env(), Router: r, Machine: "a"}).Run)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		r.mu.Lock()
		defer r.mu.Unlock()
		if !told || r.has[web] {
			t.Errorf("told of it: %v; the router knows %v", told, r.has)
		}
	})
}

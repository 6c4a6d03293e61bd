package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"skiff/docker"
	"skiff/manifests"
	"skiff/manifests/admission"
	"skiff/manifests/nodefacts"
	"skiff/manifests/registry"
	"skiff/manifests/tokens"
	"skiff/orchestrator"
	"skiff/orchestrator/cluster"
	"skiff/orchestrator/node"
	"skiff/orchestrator/node/memory"
	"skiff/orchestrator/node/pod"
	"skiff/probe"
	"skiff/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a whole daemon without the API. Its engine is in memory and outlives it, as a real one
// does.
type world struct {
	testing.TB
	dir    string
	engine *memory.Runtime
	// seconds is the default toleration, and grace how long a node may be silent.
	seconds int64
	grace   time.Duration
	// runtime is the engine as the agents see it, engine itself unless set.
	runtime node.Runtime

	registry *registry.Registry
	fleet    *Fleet
	stop     func()
}

const own = "laptop"

func newWorld(t testing.TB) *world {
	w := &world{TB: t, dir: t.TempDir(), seconds: 300, grace: 40 * time.Second, engine: memory.New(memory.Options{AnyImage: true, Clock: clock.RealClock{}})}
	w.start()
	t.Cleanup(func() { w.stop() })
	return w
}

// start starts a daemon with the data of an earlier one.
func (w *world) start() {
	w.Helper()
	s, err := store.Open(store.Options{Path: filepath.Join(w.dir, "skiff.db"), Codec: manifests.StoreCodec(), Indexes: registry.Indexes()})
	if err != nil {
		w.Fatal(err)
	}
	w.registry = registry.New(registry.Options{Store: s, Admission: admission.Chain(s, admission.Options{
		NotReadySeconds: &w.seconds, UnreachableSeconds: &w.seconds,
	})})
	controllers := orchestrator.New(orchestrator.Options{Registry: w.registry, NodeGracePeriod: w.grace})
	probes, err := NewProbes(probe.Options{Clock: clock.RealClock{}})
	if err != nil {
		w.Fatal(err)
	}
	keys, err := tokens.LoadKeys(w.dir, clock.RealClock{})
	if err != nil {
		w.Fatal(err)
	}
	network := netip.MustParsePrefix("10.0.0.0/16")
	shared := node.Options{
		Registry: w.registry, Feeds: controllers.Feeds(), Runtime: cmp.Or[node.Runtime](w.runtime, w.engine), Addresses: docker.NewAddresses(network, network.Addr().Next()),
		HostIP: func() netip.Addr { return netip.MustParseAddr("192.0.2.1") }, Prober: probes, LeaseInterval: w.grace / 4,
		Tokens: tokens.New(tokens.Options{Keys: keys, State: s, Issuer: "https://kubernetes.default.svc", Clock: clock.RealClock{}}),
	}
	mine := shared
	mine.Name, mine.VolumeDir = own, filepath.Join(w.dir, "volumes")
	mine.Recorder = controllers.Recorder("kubelet", own)
	agent := node.New(mine)
	w.fleet = New(Options{
		Registry: w.registry, Feeds: controllers.Feeds(), Own: agent,
		Provider: NewProvider(ProviderOptions{
			Node: shared, Dir: filepath.Join(w.dir, "nodes"), Logger: slog.New(slog.DiscardHandler),
			Recorder: func(name string) node.Recorder { return controllers.Recorder("kubelet", name) },
		}),
	})
	w.run(s, controllers, agent, probes)
}

func (w *world) run(s *store.Store, controllers *orchestrator.Orchestrator, agent *node.Agent, probes *Probes) {
	w.Helper()
	storing, stopStore := context.WithCancel(context.Background())
	stored := make(chan error, 1)
	go func() { stored <- s.Run(storing) }()
	services := netip.MustParsePrefix("10.244.48.0/20")
	if err := cluster.Bootstrap(context.Background(), w.registry, controllers.Recorder("test", ""), services); err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return controllers.Run(ctx, agent, w.fleet, probes) })
	w.stop = func() {
		cancel()
		err := group.Wait()
		stopStore()
		if err := errors.Join(err, <-stored, s.Close()); err != nil && !errors.Is(err, context.Canceled) {
			w.Error(err)
		}
	}
}

// restart ends the daemon and starts the next one.
func (w *world) restart() {
	w.Helper()
	w.stop()
	w.start()
}

// add makes a virtual node. Words are "simulated", "off", "capacity=…" and labels.
func (w *world) add(name string, words ...string) {
	w.Helper()
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{nodefacts.LabelVirtual: "true"}, Annotations: map[string]string{}}}
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "simulated":
			n.Labels[nodefacts.LabelSimulated] = "true"
		case "off":
			n.Annotations[nodefacts.AnnotationPower] = "off"
		case "capacity":
			n.Annotations[nodefacts.AnnotationCapacity] = value
		default:
			n.Labels[key] = value
		}
	}
	if _, err := registry.For[*corev1.Node](w.registry).Create(context.Background(), n); err != nil {
		w.Fatal(err)
	}
}

func (w *world) power(name, value string) {
	w.Helper()
	_, err := registry.For[*corev1.Node](w.registry).Update(context.Background(), "", name, func(n *corev1.Node) error {
		if n.Annotations == nil {
			n.Annotations = map[string]string{}
		}
		n.Annotations[nodefacts.AnnotationPower] = value
		return nil
	})
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) remove(name string) {
	w.Helper()
	if err := registry.For[*corev1.Node](w.registry).Delete(context.Background(), "", name, metav1.DeleteOptions{}); err != nil {
		w.Fatal(err)
	}
}

// ready is a node's Ready condition, "-" if it has none, "gone" if there is no such node.
func (w *world) ready(name string) string {
	n, err := registry.For[*corev1.Node](w.registry).Get("", name)
	if err != nil {
		return "gone"
	}
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return string(c.Status)
		}
	}
	return "-"
}

// replicas creates a ReplicaSet whose pods run on the selected nodes.
func (w *world) replicas(name string, n int32, selector map[string]string, change ...func(*corev1.PodSpec)) {
	w.Helper()
	labels := map[string]string{"app": name}
	p := &corev1.Pod{Spec: corev1.PodSpec{
		NodeSelector: selector, Containers: []corev1.Container{{Name: "main", Image: "kubia"}}, TerminationGracePeriodSeconds: new(int64),
	}}
	for _, c := range change {
		c(&p.Spec)
	}
	manifests.Scheme().Default(p)
	rs := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: &n, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: p.Spec},
		},
	}
	if _, err := registry.For[*appsv1.ReplicaSet](w.registry).Create(context.Background(), rs); err != nil {
		w.Fatal(err)
	}
}

func (w *world) pods() []*corev1.Pod {
	return registry.For[*corev1.Pod](w.registry).List("default", nil)
}

// readyOn is how many ready pods each node has, as "a=1 b=2".
func (w *world) readyOn() string {
	count := map[string]int{}
	for _, p := range w.pods() {
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue && p.DeletionTimestamp == nil {
				count[p.Spec.NodeName]++
			}
		}
	}
	var words []string
	for name, n := range count {
		words = append(words, fmt.Sprintf("%s=%d", name, n))
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

// containers are those on the engine, as "node:state", sorted.
func (w *world) containers() string {
	list, err := w.engine.List(context.Background())
	if err != nil {
		w.Fatal(err)
	}
	var words []string
	for _, c := range list {
		words = append(words, pod.NodeOf(c.Labels)+":"+string(c.State))
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

func (w *world) kept(name string) bool {
	_, err := os.Stat(filepath.Join(w.dir, "nodes", name))
	return err == nil
}

package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/yaml"

	"skiff/docker"
	"skiff/manifests"
	"skiff/manifests/registry"
	"skiff/orchestrator/controller"
	"skiff/orchestrator/events"
	"skiff/orchestrator/node/internal/podtest"
	"skiff/orchestrator/node/memory"
	"skiff/orchestrator/node/pod"
	"skiff/probe"
	"skiff/store"
)

// daemon is an agent with everything it needs: the real store, registry, events and probes.
type daemon struct {
	testing.TB
	dir   string
	adapt func(*Options)

	store    *store.Store
	registry *registry.Registry
	pods     registry.Client[*corev1.Pod]
	agent    *Agent
	stopAll  func()
}

// start starts a daemon. Its engine is set by adapt.
func (d *daemon) start() {
	d.Helper()
	s, err := store.Open(store.Options{
		Path: filepath.Join(d.dir, "skiff.db"), Codec: manifests.StoreCodec(), Indexes: registry.Indexes(),
	})
	if err != nil {
		d.Fatal(err)
	}
	d.store = s
	d.registry = registry.New(registry.Options{Store: s})
	d.pods = registry.For[*corev1.Pod](d.registry)
	feeds := controller.NewFeeds(s)
	broker := events.New(events.Options{Writer: registry.For[*corev1.Event](d.registry), Scheme: manifests.Scheme()})
	pool, err := probe.New(probe.Options{Report: func(r probe.Result) { d.agent.probeResult(r) }, Clock: clock.RealClock{}})
	if err != nil {
		d.Fatal(err)
	}
	o := Options{
		Name: "here", Registry: d.registry, Feeds: feeds, Prober: ownPool{pool}, Recorder: broker.Recorder("kubelet", "here"),
		HostIP: func() netip.Addr { return netip.MustParseAddr("192.168.1.2") }, Version: "v1.37.2", VolumeDir: filepath.Join(d.dir, "volumes"),
		Logger: slog.New(slog.NewTextHandler(testLog{d.TB}, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	d.adapt(&o)
	d.agent = New(o)
	d.run(s, feeds, broker, pool)
}

// run starts everything. The store ends last.
func (d *daemon) run(s *store.Store, feeds *controller.Feeds, broker *events.Broker, pool *probe.Pool) {
	storing, stopStore := context.WithCancel(context.Background())
	stored := make(chan error, 1)
	go func() { stored <- s.Run(storing) }()
	ctx, stop := context.WithCancel(context.Background())
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return feeds.Run(ctx) })
	group.Go(func() error { return broker.Run(ctx) })
	group.Go(func() error { return pool.Run(ctx) })
	group.Go(func() error { return d.agent.Run(ctx) })
	d.stopAll = func() {
		stop()
		err := group.Wait()
		stopStore()
		if err = errors.Join(err, <-stored, s.Close()); err != nil && !errors.Is(err, context.Canceled) {
			d.Error(err)
		}
	}
}

// ownPool is a pool that reports to the one agent of a test.
type ownPool struct{ *probe.Pool }

func (p ownPool) Set(c probe.Container, _ func(probe.Result)) { p.Pool.Set(c) }

func (d *daemon) create(obj store.Object) {
	d.Helper()
	manifests.Scheme().Default(obj)
	gvks, _, err := manifests.Scheme().ObjectKinds(obj)
	if err != nil {
		d.Fatal(err)
	}
	for _, kind := range d.registry.Kinds() {
		if kind.GVK != gvks[0] {
			continue
		}
		if _, err := d.registry.Resource(kind.GroupResource()).Create(context.Background(), obj.GetNamespace(), obj, registry.CreateOptions{}); err != nil {
			d.Fatalf("create %T %s: %v", obj, obj.GetName(), err)
		}
		return
	}
	d.Fatalf("%T is not served", obj)
}

func (d *daemon) createNamespaces() {
	d.Helper()
	for _, name := range []string{"default", corev1.NamespaceNodeLease} {
		d.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
}

// createPod creates a pod bound to the node, from a spec in YAML.
func (d *daemon) createPod(name, spec string, change ...func(*corev1.Pod)) {
	d.Helper()
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Labels: map[string]string{"app": name}}}
	if err := yaml.UnmarshalStrict([]byte(spec), &p.Spec); err != nil {
		d.Fatalf("spec: %v", err)
	}
	p.Spec.NodeName = "here"
	for _, c := range change {
		c(p)
	}
	d.create(p)
}

func (d *daemon) get(name string) *corev1.Pod {
	d.Helper()
	p, err := d.pods.Get("default", name)
	if err != nil {
		d.Fatal(err)
	}
	return p
}

// exists reports whether there is such a pod.
func (d *daemon) exists(name string) bool {
	_, err := d.pods.Get("default", name)
	return err == nil
}

// status is a pod's status in a line: its phase, then each container.
func (d *daemon) status(name string) string {
	d.Helper()
	return statusOfPod(d.get(name))
}

func statusOfPod(p *corev1.Pod) string {
	text := []string{string(p.Status.Phase)}
	if p.Status.Reason != "" {
		text = append(text, p.Status.Reason)
	}
	for _, s := range append(slices.Clone(p.Status.InitContainerStatuses), p.Status.ContainerStatuses...) {
		text = append(text, podtest.StatusText(s))
	}
	return strings.Join(text, " | ")
}

// world is a daemon in a bubble of virtual time, with an engine in memory.
type world struct {
	daemon
	engine *memory.Runtime
}

// inWorld runs a test in a new world.
func inWorld(t *testing.T, test func(*world), adapt ...func(*Options)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := &world{engine: memory.New(memory.Options{Instance: "test"})}
		w.TB, w.dir = t, dir
		w.adapt = func(o *Options) {
			o.Runtime = w.engine
			// A new daemon knows of no address until it has looked at the engine.
			o.Addresses = docker.NewAddresses(netip.MustParsePrefix("172.30.0.0/16"), netip.MustParseAddr("172.30.0.1"))
			for _, a := range adapt {
				a(o)
			}
		}
		w.engine.Build("kubia")
		w.start()
		defer func() { w.stopAll() }()
		w.createNamespaces()
		w.settle()
		test(w)
	})
}

// restart replaces the daemon with a new one and calls meanwhile in between. The engine keeps
// running.
func (w *world) restart(meanwhile func()) {
	w.Helper()
	w.stopAll()
	meanwhile()
	w.start()
	w.settle()
}

type testLog struct{ t testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// settle waits until nothing more happens unless time passes.
func (w *world) settle() { synctest.Wait() }

// pass lets time pass.
func (w *world) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// pod creates a pod and settles.
func (w *world) pod(name, spec string, change ...func(*corev1.Pod)) {
	w.Helper()
	w.createPod(name, spec, change...)
	w.settle()
}

func (w *world) delete(name string, grace *int64) {
	w.Helper()
	if err := w.pods.Delete(context.Background(), "default", name, metav1.DeleteOptions{GracePeriodSeconds: grace}); err != nil {
		w.Fatal(err)
	}
	w.settle()
}

// want fails unless the pod's status has this text.
func (w *world) want(name, text string) {
	w.Helper()
	if got := w.status(name); got != text {
		w.Errorf("status of %s\n got %s\nwant %s", name, got, text)
	}
}

// containers lists what the engine has, the newest last, without the pods' UIDs.
func (w *world) containers() string {
	w.Helper()
	list, err := w.engine.List(context.Background())
	if err != nil {
		w.Fatal(err)
	}
	var out []string
	for _, c := range list {
		short := "_" + pod.ShortUID(types.UID(c.Labels[pod.LabelPodUID]))
		out = append(out, strings.Replace(c.Name, short, "", 1)+" "+string(c.State))
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}

func (w *world) wantContainers(text string) {
	w.Helper()
	if got := w.containers(); got != text {
		w.Errorf("containers\n got %s\nwant %s", got, text)
	}
}

// id is the engine's ID of the newest container of a pod's container.
func (w *world) id(p, container string) string {
	w.Helper()
	list, err := w.engine.List(context.Background())
	if err != nil {
		w.Fatal(err)
	}
	best, number := "", -1
	for _, c := range list {
		if c.Labels[pod.LabelPodName] == p && c.Labels[pod.LabelContainer] == container {
			if n := podtest.Atoi(w.TB, c.Labels[pod.LabelAttempt]); n > number {
				best, number = c.ID, n
			}
		}
	}
	if best == "" {
		w.Fatalf("no container %s of pod %s", container, p)
	}
	return best
}

func (w *world) exit(pod, container string, code int) {
	w.Helper()
	if err := w.engine.Exit(w.id(pod, container), code); err != nil {
		w.Fatal(err)
	}
	w.settle()
}

// events lists the events about a pod with their counts, oldest first.
func (w *world) events(pod string) string {
	w.Helper()
	w.pass(time.Second) // the broker gathers them
	list := registry.For[*corev1.Event](w.registry).List("", nil)
	list = slices.DeleteFunc(slices.Clone(list), func(e *corev1.Event) bool { return e.InvolvedObject.Name != pod })
	slices.SortStableFunc(list, func(a, b *corev1.Event) int { return strings.Compare(a.Name, b.Name) })
	var out []string
	for _, e := range list {
		text := fmt.Sprintf("%s %s %s", e.Type, e.Reason, e.Message)
		if e.Count > 1 {
			text += fmt.Sprintf(" x%d", e.Count)
		}
		out = append(out, text)
	}
	return strings.Join(out, "\n")
}

func (w *world) wantEvents(pod, text string) {
	w.Helper()
	if got := w.events(pod); got != podtest.Lines(text) {
		w.Errorf("events\n%s\nwant\n%s", got, podtest.Lines(text))
	}
}

// callsSince is how often each call of the engine has been made since, except those that tests
// make.
func (w *world) callsSince(before map[string]int) string {
	now := w.engine.Calls()
	var out []string
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if n := now[name] - before[name]; n > 0 && name != "ping" && name != "list" {
			out = append(out, fmt.Sprintf("%s %d", name, n))
		}
	}
	return strings.Join(out, ", ")
}

// slowly is for tests that set how long pulls take.
func slowly(o *Options) { o.Runtime = &slowEngine{Runtime: o.Runtime.(*memory.Runtime)} }

// slowEngine is an engine with a slow network.
type slowEngine struct {
	*memory.Runtime
	mu    sync.Mutex
	takes time.Duration
	pulls int
}

func (e *slowEngine) Pull(ctx context.Context, ref string, o docker.PullOptions) error {
	e.mu.Lock()
	e.pulls++
	takes := e.takes
	e.mu.Unlock()
	if o.Progress != nil && takes > 0 {
		o.Progress("Downloading", 12_300_000, 45_000_000)
	}
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return ctx.Err()
	}
	return e.Runtime.Pull(ctx, ref, o)
}

// slowPulls sets how long pulls take, and returns a function that counts them.
func (w *world) slowPulls(takes time.Duration) (count func() int) {
	e := w.agent.Runtime.(*slowEngine)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.takes = takes
	return func() int {
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.pulls
	}
}

// startStoreOnly opens the store without a daemon while do runs.
func (w *world) startStoreOnly(do func(registry.Client[*corev1.Pod])) {
	w.Helper()
	s, err := store.Open(store.Options{
		Path: filepath.Join(w.dir, "skiff.db"), Codec: manifests.StoreCodec(), Indexes: registry.Indexes(),
	})
	if err != nil {
		w.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	do(registry.For[*corev1.Pod](registry.New(registry.Options{Store: s})))
	stop()
	if err := errors.Join(<-ended, s.Close()); err != nil && !errors.Is(err, context.Canceled) {
		w.Error(err)
	}
}

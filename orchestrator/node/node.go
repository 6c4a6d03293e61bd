// Package node is the node agent: what kubelet is to Kubernetes. It makes the containers on its engine what the pods
// bound to its node ask for, and tells in their status how that goes.
//
// For each pod it observes (the object in the store, the containers on the engine, the probes), makes a plan, which is a
// pure function of what it has observed and prints as text, and carries it out. What takes time is under way beside
// that, one work a container, and is part of the next observation; so a pod is looked at again at any moment, and
// whatever is happening to it can be overtaken by something more urgent. All that the agent keeps in memory can be had
// again from the labels of the containers and the status of the pods: a new daemon takes over from an old one without
// touching a container.
package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"skiff/manifests/registry"
	"skiff/orchestrator/controller"
	"skiff/store"
)

// Options configure an Agent. Name, Registry, Feeds, Runtime, Addresses, Prober and Recorder are required.
type Options struct {
	// Name is the node's name.
	Name     string
	Registry *registry.Registry
	// Feeds are the shared watches of the registry's store.
	Feeds     *controller.Feeds
	Runtime   Runtime
	Addresses Addresses
	// Prober must report to the agent's ProbeResult.
	Prober   Prober
	Recorder Recorder
	Clock    clock.WithTicker
	Logger   *slog.Logger
	Metrics  *controller.Metrics

	// HostIP is the node's InternalIP, and the IP of pods in the host's network.
	HostIP netip.Addr
	// Labels are given to the node beside the usual ones. A label of the node that somebody else has set stays.
	Labels map[string]string
	// Taints are those the node is registered with.
	Taints []corev1.Taint
	// Registered says that somebody else makes the Node object, and that the agent must not make it again when it is
	// deleted.
	Registered bool
	// Capacity replaces what the engine says the machine has.
	Capacity corev1.ResourceList
	// MaxPods is how many pods the scheduler may put here; 250 unless set.
	MaxPods int64
	// Version is the Kubernetes version the node reports, with its "v".
	Version string
	// Port is the port of the node's own API, which kubelet has; skiff's streams go through the API server's.
	Port int32

	// VolumeDir is where pods' volumes are kept, an absolute path that the engine has too. Without one the node has no
	// volumes and no termination messages: a simulated node needs none.
	VolumeDir string
	// MemoryDir is a directory on a tmpfs, for emptyDir volumes of medium Memory. Without one each container gets a
	// tmpfs of its own, which it loses when it restarts.
	MemoryDir string
	// ResolvConf is the file with the node's name servers, /etc/resolv.conf unless set.
	ResolvConf string

	// CrashBackoff and MaxCrashBackoff are the first and the longest wait before a container that crashed again is
	// restarted: 10 s and 5 min unless set.
	CrashBackoff, MaxCrashBackoff time.Duration
	// PullBackoff and MaxPullBackoff are the same for failed pulls, with the same defaults.
	PullBackoff, MaxPullBackoff time.Duration
	// LeaseInterval is how often the node's Lease is renewed, 10 s unless set, and LeaseDuration how long it holds,
	// 40 s unless set.
	LeaseInterval, LeaseDuration time.Duration
	// StatusInterval is how often the node's status is written when nothing has changed; 5 min unless set.
	StatusInterval time.Duration
	// EngineInterval is how often the engine is asked whether it is there; 2 s unless set.
	EngineInterval time.Duration
	// Workers is how many pods are planned for at a time, 4 unless set; Writers, how many statuses are written, 8
	// unless set; Removals, how many containers are removed, 2 unless set: removing is not urgent.
	Workers, Writers, Removals int
	// Immediate says that the runtime starts containers without any wait: then that is done at once rather than beside
	// everything else, and one status tells of it all.
	Immediate bool
}

func (o Options) withDefaults() Options {
	o.Clock = cmp.Or[clock.WithTicker](o.Clock, clock.RealClock{})
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.ResolvConf = cmp.Or(o.ResolvConf, "/etc/resolv.conf")
	o.MaxPods = cmp.Or(o.MaxPods, 250)
	o.CrashBackoff = cmp.Or(o.CrashBackoff, 10*time.Second)
	o.MaxCrashBackoff = cmp.Or(o.MaxCrashBackoff, 5*time.Minute)
	o.PullBackoff = cmp.Or(o.PullBackoff, 10*time.Second)
	o.MaxPullBackoff = cmp.Or(o.MaxPullBackoff, 5*time.Minute)
	o.LeaseInterval = cmp.Or(o.LeaseInterval, 10*time.Second)
	o.LeaseDuration = cmp.Or(o.LeaseDuration, 40*time.Second)
	o.StatusInterval = cmp.Or(o.StatusInterval, 5*time.Minute)
	o.EngineInterval = cmp.Or(o.EngineInterval, 2*time.Second)
	o.Workers = cmp.Or(o.Workers, 4)
	o.Writers = cmp.Or(o.Writers, 8)
	o.Removals = cmp.Or(o.Removals, 2)
	return o
}

// Agent runs the pods of one node.
type Agent struct {
	Options
	log *slog.Logger

	pods       registry.Client[*corev1.Pod]
	nodes      registry.Client[*corev1.Node]
	leases     registry.Client[*coordinationv1.Lease]
	configMaps registry.Client[*corev1.ConfigMap]
	secrets    registry.Client[*corev1.Secret]
	claims     registry.Client[*corev1.PersistentVolumeClaim]
	persistent registry.Client[*corev1.PersistentVolume]
	services   registry.Client[*corev1.Service]

	volumes     *volumes
	images      *images
	crashPolicy backoffPolicy
	pullPolicy  backoffPolicy

	// toPlan and toWrite are the pods to look at and those whose status may have to be written.
	toPlan, toWrite keys
	works           works
	removals        chan struct{}
	engine          engineState
	// admission is held while it is decided whether a pod is taken.
	admission  sync.Mutex
	machine    machine
	introduced chan struct{}

	mu sync.Mutex
	// records hold what is known of each pod.
	records map[types.UID]*record
	// users are the pods that use a ConfigMap or Secret.
	users map[objectRef]map[types.UID]struct{}
}

// New returns an agent that does nothing until it is run.
func New(o Options) *Agent {
	o = o.withDefaults()
	a := &Agent{
		Options:     o,
		log:         o.Logger.With("node", o.Name),
		pods:        registry.For[*corev1.Pod](o.Registry),
		nodes:       registry.For[*corev1.Node](o.Registry),
		leases:      registry.For[*coordinationv1.Lease](o.Registry),
		configMaps:  registry.For[*corev1.ConfigMap](o.Registry),
		secrets:     registry.For[*corev1.Secret](o.Registry),
		claims:      registry.For[*corev1.PersistentVolumeClaim](o.Registry),
		persistent:  registry.For[*corev1.PersistentVolume](o.Registry),
		services:    registry.For[*corev1.Service](o.Registry),
		crashPolicy: backoffPolicy{first: o.CrashBackoff, max: o.MaxCrashBackoff},
		pullPolicy:  backoffPolicy{first: o.PullBackoff, max: o.MaxPullBackoff},
		removals:    make(chan struct{}, o.Removals),
		engine:      engineState{gone: notListedYet},
		introduced:  make(chan struct{}),
		records:     map[types.UID]*record{},
		users:       map[objectRef]map[types.UID]struct{}{},
	}
	a.volumes = &volumes{dir: o.VolumeDir, memory: o.MemoryDir, sources: a, claims: a, engine: o.Runtime}
	a.images = newImages(o.Runtime, o.Clock)
	return a
}

// ConfigMap and Secret are where pods' environments and volumes get their values.
func (a *Agent) ConfigMap(namespace, name string) (*corev1.ConfigMap, error) {
	return a.configMaps.Get(namespace, name)
}

// Secret returns a Secret of the store.
func (a *Agent) Secret(namespace, name string) (*corev1.Secret, error) {
	return a.secrets.Get(namespace, name)
}

// Services returns the services of a namespace.
func (a *Agent) Services(namespace string) []*corev1.Service {
	return a.services.List(namespace, labels.Everything())
}

// Run runs the node's pods until ctx ends, once in an agent's life, and returns when all it started has ended. Containers go on running. An
// error means that the store could not be followed.
func (a *Agent) Run(ctx context.Context) error {
	if a.VolumeDir != "" {
		if err := os.MkdirAll(a.VolumeDir, 0o700); err != nil {
			return fmt.Errorf("making the directory of pods' volumes: %w", err)
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	a.works.open(ctx)
	group.Go(func() error { return a.planLoop().Run(ctx) })
	group.Go(func() error { return a.writeLoop().Run(ctx) })
	group.Go(func() error { return a.followEngine(ctx) })
	group.Go(func() error { return a.watchEngine(ctx) })
	group.Go(func() error { return a.keepNode(ctx) })
	err := group.Wait()
	a.works.wait()
	a.dropProbes()
	if err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("node agent of %s: %w", a.Name, err)
	}
	return nil
}

// works are the goroutines that carry out steps.
type works struct {
	ctx   context.Context
	group sync.WaitGroup
}

func (w *works) open(ctx context.Context) { w.ctx = ctx }

// start runs what may take time. Its context ends with Run's, or when cancel is called.
func (w *works) start(run func(ctx context.Context)) (cancel context.CancelFunc) {
	ctx, cancel := context.WithCancel(w.ctx)
	w.group.Go(func() {
		defer cancel()
		run(ctx)
	})
	return cancel
}

func (w *works) wait() { w.group.Wait() }

// keys is a loop's queue, which what comes before the loop runs can be put in too.
type keys struct {
	mu     sync.Mutex
	queue  controller.Queue[types.UID]
	before []types.UID
}

// source hands the loop's queue to the agent.
func (k *keys) source(_ context.Context, queue controller.Queue[types.UID]) (detach func(), err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.queue = queue
	for _, uid := range k.before {
		queue.Add(uid)
	}
	k.before = nil
	return func() {}, nil
}

func (k *keys) add(uid types.UID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.queue == nil {
		k.before = append(k.before, uid)
		return
	}
	k.queue.Add(uid)
}

// ofNode divides pods by their nodes.
var ofNode = controller.Part{Name: "node", Of: func(o store.Object) string { return o.(*corev1.Pod).Spec.NodeName }}

func (a *Agent) planLoop() *controller.Loop[types.UID] {
	return &controller.Loop[types.UID]{
		Name:      "node/" + a.Name,
		Workers:   a.Workers,
		Reconcile: a.reconcile,
		Sources: []controller.Source[types.UID]{
			a.toPlan.source,
			controller.FollowPart(a.Feeds.Of("pods"), ofNode, a.Name, a.podChanged),
			controller.Follow(a.Feeds.Of("configmaps"), a.configMapChanged),
			controller.Follow(a.Feeds.Of("secrets"), a.secretChanged),
			controller.Follow(a.Feeds.Of("persistentvolumeclaims"), a.claimChanged),
		},
		Clock:   a.Clock,
		Logger:  a.log,
		Metrics: a.Metrics,
	}
}

func (a *Agent) writeLoop() *controller.Loop[types.UID] {
	return &controller.Loop[types.UID]{
		Name:      "node-status/" + a.Name,
		Workers:   a.Writers,
		Reconcile: a.writeStatus,
		Sources:   []controller.Source[types.UID]{a.toWrite.source},
		Clock:     a.Clock,
		Logger:    a.log,
		Metrics:   a.Metrics,
	}
}

// Package events records what happens to objects as Kubernetes events: the
// same event again raises a count, many similar ones are combined, and a source
// that says too much about one object is cut short, all as
// k8s.io/client-go/tools/record does it.
package events

import (
	"context"
	"log/slog"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
)

const (
	// buffered is how many events wait before further ones are dropped.
	buffered = 4096
	// batchSize events are correlated, and the writes that come of it are made
	// writers at a time, so that the store can commit them together.
	batchSize = 256
	writers   = 32
)

// Writer keeps events. A registry.Client[*corev1.Event] is one.
type Writer interface {
	Create(ctx context.Context, e *corev1.Event) (*corev1.Event, error)
	Update(ctx context.Context, namespace, name string, change func(*corev1.Event) error) (*corev1.Event, error)
}

// Options say where events go.
type Options struct {
	Writer Writer
	// Scheme tells the kinds of objects.
	Scheme *runtime.Scheme
	// Clock is the real one unless set.
	Clock clock.PassiveClock
	// Logger discards unless set.
	Logger *slog.Logger
	// Metrics may be nil.
	Metrics prometheus.Registerer
}

// Broker takes events from any number of recorders and writes them.
type Broker struct {
	writer     Writer
	scheme     *runtime.Scheme
	clock      clock.PassiveClock
	logger     *slog.Logger
	correlator *correlator
	pending    chan *corev1.Event
	lastName   atomic.Int64

	dropped     atomic.Uint64 // for want of room, not yet logged
	dropCounter *prometheus.CounterVec
}

// New returns a broker that writes once it runs.
func New(o Options) *Broker {
	b := &Broker{
		writer: o.Writer, scheme: o.Scheme, clock: o.Clock, logger: o.Logger,
		correlator: newCorrelator(),
		pending:    make(chan *corev1.Event, buffered),
		dropCounter: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "skiff_events_dropped_total",
			Help: "Events not written, by cause: full (too many waited), limited (too many about one object), failed.",
		}, []string{"cause"}),
	}
	if b.clock == nil {
		b.clock = clock.RealClock{}
	}
	if b.logger == nil {
		b.logger = slog.New(slog.DiscardHandler)
	}
	if o.Metrics != nil {
		o.Metrics.MustRegister(b.dropCounter)
	}
	return b
}

// Recorder records events that come from a component, on a host if it has one:
// "kubelet" on "my-laptop".
func (b *Broker) Recorder(component, host string) *Recorder {
	return &Recorder{broker: b, source: corev1.EventSource{Component: component, Host: host}}
}

// Run writes events until ctx ends, and then what was recorded until then. End
// it after those who record, and before the store.
func (b *Broker) Run(ctx context.Context) error {
	// A write that has begun is finished: the store answers at once, and refuses
	// when it has stopped.
	writing := context.WithoutCancel(ctx)
	for {
		select {
		case e := <-b.pending:
			b.write(writing, b.batch(e))
		case <-ctx.Done():
			for len(b.pending) > 0 {
				b.write(writing, b.batch(<-b.pending))
			}
			return nil
		}
	}
}

// offer puts e where Run finds it, or drops it.
func (b *Broker) offer(e *corev1.Event) {
	select {
	case b.pending <- e:
	default:
		b.dropped.Add(1)
		b.dropCounter.WithLabelValues("full").Inc()
	}
}

// change is one write: of an event that is new, or of one written earlier.
type change struct {
	event    *corev1.Event
	repeated bool
}

// batch correlates first and what waits behind it. Of several changes to one
// event the last is enough.
func (b *Broker) batch(first *corev1.Event) []change {
	var changes []change
	places := map[types.NamespacedName]int{}
	for e := first; ; e = <-b.pending {
		repeated, keep := b.correlator.correlate(e)
		name := types.NamespacedName{Namespace: e.Namespace, Name: e.Name}
		place, again := places[name]
		switch {
		case !keep:
			b.dropCounter.WithLabelValues("limited").Inc()
		case again:
			changes[place].event = e
		default:
			places[name] = len(changes)
			changes = append(changes, change{e, repeated})
		}
		if len(changes) >= batchSize || len(b.pending) == 0 {
			return changes
		}
	}
}

func (b *Broker) write(ctx context.Context, changes []change) {
	var group errgroup.Group
	group.SetLimit(writers)
	for _, c := range changes {
		group.Go(func() error { b.writeOne(ctx, c); return nil })
	}
	_ = group.Wait() // its members report for themselves
	if n := b.dropped.Swap(0); n > 0 {
		b.logger.Warn("events dropped: they came faster than they could be written", "count", n)
	}
}

func (b *Broker) writeOne(ctx context.Context, c change) {
	err := error(nil)
	if c.repeated {
		err = b.update(ctx, c.event)
	}
	// What was written earlier may have expired since.
	if !c.repeated || apierrors.IsNotFound(err) {
		_, err = b.writer.Create(ctx, c.event)
	}
	if err == nil {
		return
	}
	b.dropCounter.WithLabelValues("failed").Inc()
	level := slog.LevelWarn
	if homeless(err) {
		level = slog.LevelDebug
	}
	b.logger.Log(ctx, level, "event not written", "namespace", c.event.Namespace, "name", c.event.Name,
		"reason", c.event.Reason, "error", err)
}

func (b *Broker) update(ctx context.Context, e *corev1.Event) error {
	_, err := b.writer.Update(ctx, e.Namespace, e.Name, func(stored *corev1.Event) error {
		stored.Count = e.Count
		stored.LastTimestamp = e.LastTimestamp
		stored.Message = e.Message
		return nil
	})
	return err
}

// homeless reports whether the event's namespace is gone or going, and its events
// with it.
func homeless(err error) bool {
	return apierrors.IsNotFound(err) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause)
}

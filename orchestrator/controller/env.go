package controller

import (
	"log/slog"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/clock"

	"skiff/manifests/registry"
)

// Recorder records events. An *events.Recorder is one.
type Recorder interface {
	// Event records that something happened to object. It never waits.
	Event(object runtime.Object, eventType, reason, format string, args ...any)
	// Prepare is Event for what is about to be done: the event bears the time of this call, and is
	// recorded when the returned function is called.
	Prepare(object runtime.Object, eventType, reason, format string, args ...any) (record func())
}

// Env is what every controller works with. Its fields are all set once WithDefaults has been
// called, which orchestrator.New does for the controllers that it makes.
type Env struct {
	// Registry is how objects are read and written. Its store has registry.Indexes.
	Registry *registry.Registry
	// Feeds are the watches of the store that the controllers share.
	Feeds *Feeds
	// Recorder returns the recorder of events that come from a component. By default nothing is
	// recorded.
	Recorder func(component string) Recorder
	// Clock is the real one by default.
	Clock clock.WithTicker
	// Logger discards by default.
	Logger *slog.Logger
	// Metrics may be nil: then there are none.
	Metrics *Metrics
}

// WithDefaults returns e with the defaults of what is not set. Registry and Feeds have none.
func (e Env) WithDefaults() Env {
	if e.Recorder == nil {
		e.Recorder = func(string) Recorder { return discard{} }
	}
	if e.Clock == nil {
		e.Clock = clock.RealClock{}
	}
	if e.Logger == nil {
		e.Logger = slog.New(slog.DiscardHandler)
	}
	return e
}

// discard is a Recorder of nothing.
type discard struct{}

func (discard) Event(runtime.Object, string, string, string, ...any) {}

func (discard) Prepare(runtime.Object, string, string, string, ...any) func() { return func() {} }

package docker

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics count what the engine is asked and how long it takes.
type metrics struct {
	calls   *prometheus.CounterVec
	seconds *prometheus.HistogramVec
}

// newMetrics registers with r, which may be nil. Two engines may share a registry: they then count
// together.
func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "skiff_engine_calls_total",
			Help: "Calls to the Docker Engine by operation and result.",
		}, []string{"op", "result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "skiff_engine_call_seconds",
			Help:    "Time the Docker Engine took for a call, without waiting for a free place among the starts.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"op"}),
	}
	if r == nil {
		return m, nil
	}
	var err error
	if m.calls, err = register(r, m.calls); err != nil {
		return nil, err
	}
	m.seconds, err = register(r, m.seconds)
	return m, err
}

func register[C prometheus.Collector](r prometheus.Registerer, c C) (C, error) {
	err := r.Register(c)
	var already prometheus.AlreadyRegisteredError
	if errors.As(err, &already) {
		if same, ok := already.ExistingCollector.(C); ok {
			return same, nil
		}
	}
	return c, err
}

func (m *metrics) observe(op string, err error, took time.Duration) {
	m.calls.WithLabelValues(op, result(err)).Inc()
	m.seconds.WithLabelValues(op).Observe(took.Seconds())
}

var results = []struct {
	err  error
	name string
}{
	{context.Canceled, "canceled"},
	{context.DeadlineExceeded, "timeout"},
	{ErrTimeout, "timeout"},
	{ErrUnavailable, "unavailable"},
	{ErrPermission, "permission"},
	{ErrUnsupported, "unsupported"},
	{ErrNotFound, "not_found"},
	{ErrImageNotFound, "not_found"},
	{ErrNoNetwork, "not_found"},
	{ErrConflict, "conflict"},
	{ErrNotRunning, "conflict"},
	{ErrAddressInUse, "in_use"},
	{ErrPortInUse, "in_use"},
	{ErrInvalid, "invalid"},
	{ErrInMemory, "invalid"},
}

// result is the label's value: a handful, so that the series stay few.
func result(err error) string {
	if err == nil {
		return "ok"
	}
	for _, r := range results {
		if errors.Is(err, r.err) {
			return r.name
		}
	}
	return "error"
}

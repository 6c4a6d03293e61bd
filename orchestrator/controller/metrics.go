package controller

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are what all controllers and node agents report together:
// skiff_reconcile_total{controller,result}, skiff_reconcile_seconds{controller},
// skiff_queue_depth{controller} and skiff_start_seconds{phase}. A nil Metrics reports nothing.
type Metrics struct {
	registerer prometheus.Registerer
	total      *prometheus.CounterVec
	seconds    *prometheus.HistogramVec
	starts     *prometheus.HistogramVec
}

// NewMetrics registers the metrics; registerer may be nil.
func NewMetrics(registerer prometheus.Registerer) *Metrics {
	if registerer == nil {
		return nil
	}
	m := &Metrics{
		registerer: registerer,
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "skiff_reconcile_total", Help: "Looks at a key, by result: ok or error.",
		}, []string{"controller", "result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "skiff_reconcile_seconds", Help: "How long a look at a key took.",
			Buckets: prometheus.ExponentialBuckets(0.00001, 4, 10),
		}, []string{"controller"}),
		starts: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "skiff_start_seconds",
			Help:    "Where the time of a container's start goes: plan, prepare, create, start, report.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
		}, []string{"phase"}),
	}
	registerer.MustRegister(m.total, m.seconds, m.starts)
	return m
}

// Reconciled counts a look at a key that took so long.
func (m *Metrics) Reconciled(controller string, took time.Duration, err error) {
	if m == nil {
		return
	}
	result := "ok"
	if err != nil {
		result = "error"
	}
	m.total.WithLabelValues(controller, result).Inc()
	m.seconds.WithLabelValues(controller).Observe(took.Seconds())
}

// StartPhase reports how long a phase of a container's start took.
func (m *Metrics) StartPhase(phase string, took time.Duration) {
	if m != nil {
		m.starts.WithLabelValues(phase).Observe(took.Seconds())
	}
}

// Depth reports the length of a queue, asked for only when someone looks at the
// metrics, until the function it returns is called.
func (m *Metrics) Depth(controller string, length func() int) (stop func()) {
	if m == nil {
		return func() {}
	}
	gauge := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "skiff_queue_depth", Help: "Keys waiting for a look.",
		ConstLabels: prometheus.Labels{"controller": controller},
	}, func() float64 { return float64(length()) })
	m.registerer.MustRegister(gauge)
	return func() { m.registerer.Unregister(gauge) }
}

package probe

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts probes. Its counters are looked up once, not for every probe.
type metrics struct {
	total   [kinds][handlers][outcomes]prometheus.Counter
	latency [kinds][handlers]prometheus.Observer
}

// newMetrics registers the metrics with r, unless it is nil.
func newMetrics(r prometheus.Registerer) (*metrics, error) {
	total := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "skiff_probe_total",
		Help: "Probes asked, by kind, handler and result. The result unknown says that asking failed.",
	}, []string{"kind", "handler", "result"})
	latency := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "skiff_probe_duration_seconds",
		Help:    "How long probes took to be answered, by kind and handler.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	}, []string{"kind", "handler"})
	if r != nil {
		for _, c := range []prometheus.Collector{total, latency} {
			if err := r.Register(c); err != nil {
				return nil, err
			}
		}
	}
	m := &metrics{}
	for k := range Kind(kinds) {
		for h := range handler(handlers) {
			kind := strings.ToLower(k.String())
			m.latency[k][h] = latency.WithLabelValues(kind, h.String())
			for o := range Outcome(outcomes) {
				m.total[k][h][o] = total.WithLabelValues(kind, h.String(), o.String())
			}
		}
	}
	return m, nil
}

// observe counts a result. One that came with an error counts as unknown, whatever its outcome.
func (m *metrics) observe(c *check, r Result) {
	h, o := c.ask.handler(), r.Outcome
	if r.Err != nil {
		o = Unknown
	}
	m.total[r.Kind][h][o].Inc()
	m.latency[r.Kind][h].Observe(r.Latency.Seconds())
}

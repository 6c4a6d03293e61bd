package store

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts what happens; what can be looked at (objects, watches, sizes) is
// looked at when it is asked for.
type metrics struct {
	registry     prometheus.Registerer
	commits      *prometheus.CounterVec
	latency      prometheus.Histogram
	transactions prometheus.Histogram
	batch        prometheus.Histogram
	gauges       *gauges
}

func newMetrics(s *Store, o Options) (*metrics, error) {
	m := &metrics{
		registry: o.Metrics,
		commits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "skiff_store_commits_total",
			Help: "Commits by result: ok, refused (conflict, exists, not found), withdrawn (the caller left, or the store stopped), failed.",
		}, []string{"result"}),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "skiff_store_commit_duration_seconds",
			Help:    "From the call of a commit to its durable answer.",
			Buckets: prometheus.ExponentialBuckets(0.00025, 2, 14),
		}),
		transactions: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "skiff_store_transaction_duration_seconds",
			Help:    "One transaction from its first statement until it is on disk and visible.",
			Buckets: prometheus.ExponentialBuckets(0.00025, 2, 14),
		}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "skiff_store_batch_commits",
			Help:    "Commits that shared one transaction.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 10),
		}),
		gauges: newGauges(s, o.Path),
	}
	for i, c := range m.collectors() {
		if m.registry == nil {
			break
		}
		if err := m.registry.Register(c); err != nil {
			for _, registered := range m.collectors()[:i] {
				m.registry.Unregister(registered)
			}
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.commits, m.latency, m.transactions, m.batch, m.gauges}
}

func (m *metrics) unregister() {
	if m.registry == nil {
		return
	}
	for _, c := range m.collectors() {
		m.registry.Unregister(c)
	}
}

func (m *metrics) committed(took time.Duration, err error) {
	result := resultOf(err)
	m.commits.WithLabelValues(result).Inc()
	if result == "ok" {
		m.latency.Observe(took.Seconds())
	}
}

func resultOf(err error) string {
	var conflict ErrConflict
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, ErrExists), errors.Is(err, ErrNotFound), errors.As(err, &conflict):
		return "refused"
	case withdrawn(err):
		return "withdrawn"
	}
	return "failed"
}

func (m *metrics) transaction(commits int, took time.Duration) {
	m.batch.Observe(float64(commits))
	m.transactions.Observe(took.Seconds())
}

// gauges are read from the store when they are asked for.
type gauges struct {
	store                               *Store
	path                                string
	objects, watches, revision, db, wal *prometheus.Desc
}

func newGauges(s *Store, path string) *gauges {
	return &gauges{
		store:    s,
		path:     path,
		objects:  prometheus.NewDesc("skiff_store_objects", "Objects stored.", []string{"resource"}, nil),
		watches:  prometheus.NewDesc("skiff_store_watches", "Watches open.", nil, nil),
		revision: prometheus.NewDesc("skiff_store_revision", "Newest revision.", nil, nil),
		db:       prometheus.NewDesc("skiff_store_db_bytes", "Size of the database file.", nil, nil),
		wal:      prometheus.NewDesc("skiff_store_wal_bytes", "Size of its write-ahead log.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{g.objects, g.watches, g.revision, g.db, g.wal} {
		to <- desc
	}
}

// Collect implements prometheus.Collector.
func (g *gauges) Collect(to chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	v := g.store.view.Load()
	for resource, t := range v.tables {
		gauge(g.objects, float64(t.objects.Len()), resource)
	}
	gauge(g.revision, float64(v.revision))
	gauge(g.watches, float64(g.store.watches.Load()))
	for desc, path := range map[*prometheus.Desc]string{g.db: g.path, g.wal: g.path + "-wal"} {
		if size, err := sizeOf(path); err == nil { // one that can't be read must not spoil the scrape
			gauge(desc, float64(size))
		}
	}
}

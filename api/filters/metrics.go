package filters

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/utils/clock"
)

// Metrics measures requests.
type Metrics struct {
	clock    clock.PassiveClock
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	inFlight *prometheus.GaugeVec
}

// NewMetrics registers skiff_api_requests_total, skiff_api_request_duration_seconds and
// skiff_api_requests_in_flight.
func NewMetrics(reg prometheus.Registerer, clk clock.PassiveClock) (*Metrics, error) {
	m := &Metrics{
		clock: clk,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "skiff_api_requests_total",
			Help: "Requests answered, by verb, resource and HTTP status.",
		}, []string{"verb", "resource", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "skiff_api_request_duration_seconds",
			Help:    "Time from a request's arrival to its answer's end, without watches, logs and streams.",
			Buckets: []float64{0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5, 30},
		}, []string{"verb", "resource"}),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "skiff_api_requests_in_flight",
			Help: "Requests being answered, by whether they are long-running (watches, logs and streams).",
		}, []string{"long_running"}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.seconds, m.inFlight} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("registering the API's metrics: %w", err)
		}
	}
	return m, nil
}

// Observe measures the requests for a resource, which is "" for all that are not for one. The
// labels stay few because only routes that exist are measured under a name of their own.
func (m *Metrics) Observe(resource string, next http.Handler) http.Handler {
	short, long := m.inFlight.WithLabelValues("false"), m.inFlight.WithLabelValues("true")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		verb, isLong := verbOf(r)
		rec, gauge := Record(w), short
		if isLong {
			gauge = long
		}
		gauge.Inc()
		began, status := m.clock.Now(), http.StatusInternalServerError // unless the handler returns, which it may not
		defer func() {
			gauge.Dec()
			m.done(verb, resource, status, isLong, m.clock.Since(began))
		}()
		next.ServeHTTP(rec, r)
		if status = rec.Status(); status == 0 {
			status = http.StatusOK // what net/http sends when a handler says nothing
		}
	})
}

func verbOf(r *http.Request) (verb string, long bool) {
	info, ok := request.RequestInfoFrom(r.Context())
	if !ok || info.Verb == "" {
		return "other", false
	}
	if !info.IsResourceRequest && info.Verb != "get" { // here it is the method, and a client may make one up
		return "other", false
	}
	return info.Verb, LongRunning(info)
}

func (m *Metrics) done(verb, resource string, status int, long bool, took time.Duration) {
	m.requests.WithLabelValues(verb, resource, strconv.Itoa(status)).Inc()
	if !long {
		m.seconds.WithLabelValues(verb, resource).Observe(took.Seconds())
	}
}

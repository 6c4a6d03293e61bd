// Package api is the Kubernetes API over HTTPS: routes, discovery, OpenAPI, tables, streams and
// health. Upstream's own request handlers (k8s.io/apiserver/pkg/endpoints/handlers) do the
// protocol, on a plain net/http.ServeMux; the registry beneath decides what happens.
package api

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/utils/clock"

	"skiff/api/fairness"
	"skiff/api/filters"
	"skiff/api/resourcemetrics"
	"skiff/api/reviews"
	"skiff/api/streams"
	"skiff/manifests"
	"skiff/manifests/custom"
	"skiff/manifests/registry"
	"skiff/manifests/tokens"
)

// PodStreams reaches into running pods, for logs, exec, attach and port-forward.
type PodStreams = streams.Pods

// OpenAPI holds the documents that describe the API.
type OpenAPI interface {
	// Handler serves /openapi/v2, /openapi/v3 and /openapi/v3/…, with what definitions returns.
	Handler(definitions func() []*custom.Definition) http.Handler
	// TypeConverter tells server-side apply of which type each field is.
	TypeConverter() managedfields.TypeConverter
	// CustomTypes is the TypeConverter of a custom resource.
	CustomTypes(*custom.Definition) managedfields.TypeConverter
}

// Metrics is where the API registers its metrics and gathers all that /metrics shows; a
// *prometheus.Registry is one.
type Metrics interface {
	prometheus.Registerer
	prometheus.Gatherer
}

// Check is something that must be well for the daemon to be healthy.
type Check struct {
	// Name is how /healthz?verbose lists it and /readyz/<name> asks for it.
	Name string
	Do   func(context.Context) error
	// Live makes it part of /livez too: when it fails, only a restart helps.
	Live bool
}

// Authorizer decides what users may do, and knows all that they may.
type Authorizer = reviews.Authorizer

// Options configure a Server. Registry, OpenAPI, Metrics, Authenticator and Authorizer are needed.
type Options struct {
	Registry *registry.Registry
	OpenAPI  OpenAPI
	Metrics  Metrics
	// Authenticator says who makes a request, and Authorizer whether they may.
	Authenticator authenticator.Request
	Authorizer    Authorizer
	// Auditing says which requests are recorded. It may be nil; then none are.
	Auditing *filters.Auditing
	// Tokens issues and checks the tokens of service accounts. It may be nil; then there are none.
	Tokens *tokens.Issuer
	// PodStreams may be nil; then pods have neither logs nor streams.
	PodStreams PodStreams
	// Meter may be nil; then metrics.k8s.io is not served.
	Meter resourcemetrics.Meter
	// KeptLogs may be nil; then nothing is known of jobs' pods that are gone.
	KeptLogs streams.KeptLogs
	// Version is what /version shows. Its minor version decides which kinds are called deprecated.
	Version version.Info
	Checks  []Check
	// Logger defaults to slog.Default(), Clock to the real one.
	Logger *slog.Logger
	Clock  clock.PassiveClock
	// RequestTimeout bounds requests other than watches, logs and streams; one minute unless set.
	RequestTimeout time.Duration
	// MaxInFlight is how many requests, other than watches, logs and streams, are answered at a time;
	// fairness.DefaultInFlight unless set.
	MaxInFlight int
	// ShutdownGrace is how long a shutdown waits for requests under way; five seconds unless set.
	ShutdownGrace time.Duration
}

// maxBody is the most bytes a request may carry, upstream's limit.
const maxBody = 3 << 20

// Server is the API.
type Server struct {
	options Options
	handler http.Handler

	down     atomic.Bool // the server is shutting down
	underWay requests
}

// New makes the API. Its errors are mistakes of the program.
func New(o Options) (*Server, error) {
	if o.Registry == nil || o.OpenAPI == nil || o.Metrics == nil || o.Authenticator == nil || o.Authorizer == nil {
		return nil, errors.New("the API needs a registry, OpenAPI documents, metrics, an authenticator and an authorizer")
	}
	setDefaults(&o)
	s := &Server{options: o}
	routes, err := s.routes()
	if err != nil {
		return nil, err
	}
	s.handler = s.filtered(routes)
	return s, nil
}

func setDefaults(o *Options) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.RequestTimeout == 0 {
		o.RequestTimeout = time.Minute
	}
	o.MaxInFlight = cmp.Or(o.MaxInFlight, fairness.DefaultInFlight)
	if o.ShutdownGrace == 0 {
		o.ShutdownGrace = 5 * time.Second
	}
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// filtered wraps the routes with what every request goes through, the outermost last.
func (s *Server) filtered(routes http.Handler) http.Handler {
	o, errs := s.options, statusErrors()
	h := filters.Authorize(routes, errs, o.Authorizer, openToAll)
	h = fairness.Filter(h, fairness.Options{
		Schemas: registry.For[*flowcontrolv1.FlowSchema](o.Registry), Levels: registry.For[*flowcontrolv1.PriorityLevelConfiguration](o.Registry),
		InFlight: o.MaxInFlight, Errors: errs,
	})
	h = filters.Impersonate(h, errs, o.Authorizer)
	h = filters.Audit(h, errs, o.Auditing)
	refused := filters.Audit(filters.Unauthorized(errs), errs, o.Auditing)
	h = filters.Authenticate(h, refused, o.Authenticator, openToAll, o.Logger)
	h = s.endable(h)
	h = filters.Deadline(h, errs, o.RequestTimeout)
	h = filters.Context(h, errs, o.Clock, o.Logger)
	return filters.Recover(h, errs, o.Logger)
}

func statusErrors() filters.Errors { return filters.Errors{Codecs: manifests.Codecs()} }

// endable counts requests, and ends watches, logs and streams when the server stops.
func (s *Server) endable(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.underWay.begin()
		defer s.underWay.end()
		stopping, ok := r.Context().Value(stoppingKey{}).(context.Context)
		if info, known := request.RequestInfoFrom(r.Context()); !ok || !known || !filters.LongRunning(info) {
			next.ServeHTTP(w, r)
			return
		}
		ctx, cancel := context.WithCancelCause(r.Context())
		defer cancel(nil)
		defer context.AfterFunc(stopping, func() { cancel(errStopping) })()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// errStopping is why a stream was cut off.
var errStopping = errors.New("the API server is shutting down")

// stoppingKey finds, in the context of a request that Serve handles, the context that ends when the
// server is told to stop. The request's own goes on: what is not endless may finish.
type stoppingKey struct{}

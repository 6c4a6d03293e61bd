package fairness

import (
	"net/http"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/endpoints/request"

	"skiff/api/filters"
	"skiff/manifests/registry"
)

// DefaultInFlight is how many requests are answered at a time unless an option says otherwise: the sum
// of upstream's --max-requests-inflight and --max-mutating-requests-inflight.
const DefaultInFlight = 600

// Options configure the filter. All are required.
type Options struct {
	Schemas registry.Client[*flowcontrolv1.FlowSchema]
	Levels  registry.Client[*flowcontrolv1.PriorityLevelConfiguration]
	// InFlight is how many requests are answered at a time.
	InFlight int
	Errors   filters.Errors
}

// Filter tells each answer to which schema and level its request belongs, and makes requests wait, or
// refuses them, when their level is busy. Those that go on until one side ends them are not counted.
// Callers that are not known pass: what they may ask for is cheap.
func Filter(next http.Handler, o Options) http.Handler {
	limits := newLimiter(o.InFlight)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, ok := request.RequestInfoFrom(r.Context())
		who, known := request.UserFrom(r.Context())
		if !ok || !known {
			next.ServeHTTP(w, r)
			return
		}
		levels := o.Levels.List("", nil)
		c, ok := classify(o.Schemas.List("", nil), levels, who, info)
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set(flowcontrolv1.ResponseHeaderMatchedFlowSchemaUID, string(c.schema.UID))
		w.Header().Set(flowcontrolv1.ResponseHeaderMatchedPriorityLevelConfigurationUID, string(c.level.UID))
		if filters.LongRunning(info) {
			next.ServeHTTP(w, r)
			return
		}
		leave, ok := limits.enter(r.Context(), c, levels)
		if !ok {
			w.Header().Set("Retry-After", "1")
			o.Errors.Write(w, r, apierrors.NewTooManyRequests("too many requests, please try again later", 1))
			return
		}
		defer leave()
		next.ServeHTTP(w, r)
	})
}

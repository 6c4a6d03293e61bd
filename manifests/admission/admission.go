// Package admission holds what every write passes between decoding and
// validation: upstream's admission plugins, as far as skiff has them.
package admission

import (
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/clock"

	"skiff/manifests/rbac"
	"skiff/manifests/registry"
	"skiff/store"
)

// DefaultTolerationSeconds is how long a pod stays on a node that is not ready
// or not reachable when it says nothing of it.
const DefaultTolerationSeconds int64 = 300

// Reader is what admission needs to see of the state; *store.Store is one.
type Reader interface {
	Get(store.Key) (store.Object, bool)
	Snapshot(resource string) store.Snapshot
	ByIndex(resource, index, value string) []store.Object
}

// Options configure Chain.
type Options struct {
	// NotReadySeconds and UnreachableSeconds are the default tolerations of pods
	// for nodes in these states; nil is DefaultTolerationSeconds.
	NotReadySeconds    *int64
	UnreachableSeconds *int64
	// Clock tells which pods are overdue and not charged to quotas any more; the
	// real one unless set.
	Clock clock.PassiveClock
}

// Chain is every admitter, in upstream's order.
func Chain(r Reader, o Options) []registry.Admitter {
	may := rbac.NewAuthorizer(r, nil)
	return []registry.Admitter{
		NamespaceLifecycle{r},
		LimitRanger{r},
		ServiceAccount{r},
		RuntimeClass{r},
		DefaultIngressClass{r},
		Priority{r},
		NewDefaultTolerations(o),
		PodResize{r},
		Escalation{Rules: rbac.RulesOf(r), Authorizer: may},
		Certificates{may},
		PodSecurity{r},
		NewResourceQuota(r, o.Clock),
	}
}

// newPod returns the pod of a request that creates one, nil for others.
func newPod(r registry.Request) *corev1.Pod {
	pod, ok := r.Object.(*corev1.Pod)
	if !ok || r.Operation != registry.Create || r.Subresource != "" {
		return nil
	}
	return pod
}

// forbidden is the error of a write that admission refuses.
func forbidden(r registry.Request, reason error) *apierrors.StatusError {
	return apierrors.NewForbidden(r.Kind.GroupResource(), nameOf(r), reason)
}

// nameOf is the name the error speaks of, which may be yet to be generated.
func nameOf(r registry.Request) string {
	if r.Name != "" {
		return r.Name
	}
	if r.Object != nil && r.Object.GetName() != "" {
		return r.Object.GetName()
	}
	if r.Object != nil && r.Object.GetGenerateName() != "" {
		return r.Object.GetGenerateName()
	}
	return "Unknown"
}

// interface checks, in one place
var (
	_ registry.Admitter = NamespaceLifecycle{}
	_ registry.Admitter = ServiceAccount{}
	_ registry.Admitter = RuntimeClass{}
	_ registry.Admitter = Priority{}
	_ registry.Admitter = DefaultTolerations{}
	_ registry.Admitter = ResourceQuota{}
	_ registry.Admitter = LimitRanger{}

	_ registry.Admitter = PodResize{}

	_ registry.Validator = LimitRanger{}
	_ registry.Validator = PodResize{}
	_ registry.Validator = Escalation{}
	_ registry.Validator = Certificates{}
	_ registry.Validator = PodSecurity{}
	_ registry.Charger   = ResourceQuota{}
	_ registry.Guard     = NamespaceLifecycle{}

	_ Reader = (*store.Store)(nil)
)

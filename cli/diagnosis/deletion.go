package diagnosis

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// finalizers are those whose owners are known, with what they wait for.
var finalizers = map[string]string{
	"kubernetes.io/pvc-protection":                "it goes when no pod uses the claim any more",
	"kubernetes.io/pv-protection":                 "it goes when no claim is bound to the volume any more",
	"kubernetes":                                  "it goes when everything in the namespace is gone",
	"batch.kubernetes.io/job-tracking":            "the job controller takes it away when it has counted the pod",
	metav1.FinalizerDeleteDependents:              "it goes when everything that the object owns is gone (--cascade=foreground)",
	metav1.FinalizerOrphanDependents:              "it goes when what the object owns has been let go (--cascade=orphan)",
	"service.kubernetes.io/load-balancer-cleanup": "it goes when the load balancer is gone",
}

// held adds which finalizers hold an object that is being deleted; false when none does. resource is
// what kubectl calls its kind.
func (s *Scene) held(r *Report, o metav1.Object, resource string) bool {
	names := o.GetFinalizers()
	if len(names) == 0 || o.GetDeletionTimestamp() == nil {
		return false
	}
	if s.lasted(*o.GetDeletionTimestamp()) {
		r.wrong("is being deleted since %s, and does not go: finalizers hold it", s.at(o.GetDeletionTimestamp().Time))
	}
	var strange []string
	for _, name := range names {
		if why, ok := finalizers[name]; ok {
			r.cause("finalizer %s: %s", name, why)
			continue
		}
		r.cause("finalizer %s: whoever set it has to take it away, and may no longer be there", name)
		strange = append(strange, name)
	}
	if len(strange) > 0 {
		r.do("start the controller that %s belongs to", strings.Join(strange, ", "))
		r.do(`if there is none any more: skiff patch %s %s --type=merge -p '{"metadata":{"finalizers":null}}', which skips its cleaning up`, resource, o.GetName())
	}
	return true
}

package registry

import (
	"slices"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"

	"skiff/store"
)

var certificateRequests = schema.GroupResource{Group: certificatesv1.GroupName, Resource: "certificatesigningrequests"}

// certificateHooks give the conditions of requests for certificates their times.
func certificateHooks(clk clock.PassiveClock) hooks {
	return hooks{beginUpdate: func(obj, old store.Object, _ string) (func(), error) {
		r, was := obj.(*certificatesv1.CertificateSigningRequest), old.(*certificatesv1.CertificateSigningRequest)
		r.Status.Conditions = slices.Clone(r.Status.Conditions)
		for i := range r.Status.Conditions {
			dateCondition(&r.Status.Conditions[i], was, metav1.NewTime(clk.Now()))
		}
		return nothing, nil
	}}
}

func dateCondition(c *certificatesv1.CertificateSigningRequestCondition, was *certificatesv1.CertificateSigningRequest, now metav1.Time) {
	if c.LastUpdateTime.IsZero() {
		c.LastUpdateTime = now
	}
	if !c.LastTransitionTime.IsZero() {
		return
	}
	c.LastTransitionTime = now
	same := slices.IndexFunc(was.Status.Conditions, func(o certificatesv1.CertificateSigningRequestCondition) bool {
		return o.Type == c.Type && o.Status == c.Status && !o.LastTransitionTime.IsZero()
	})
	if same >= 0 {
		c.LastTransitionTime = was.Status.Conditions[same].LastTransitionTime
	}
}

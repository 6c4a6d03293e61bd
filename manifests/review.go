package manifests

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/apis/core"
	kcorev1 "k8s.io/kubernetes/pkg/apis/core/v1"
	"k8s.io/kubernetes/pkg/apis/core/validation"
)

// ValidateBinding validates a request to assign a pod to a node.
func ValidateBinding(b *corev1.Binding) field.ErrorList {
	in := new(core.Binding)
	if err := kcorev1.Convert_v1_Binding_To_core_Binding(b, in, nil); err != nil {
		return refused(err).Errors
	}
	return validation.ValidatePodBinding(in)
}

// ValidateServiceAddresses validates how a service's cluster IPs, families and
// family policy fit together, before any is allocated. old is nil on create.
func ValidateServiceAddresses(s, old *corev1.Service) field.ErrorList {
	in, inOld := new(core.Service), (*core.Service)(nil)
	if err := kcorev1.Convert_v1_Service_To_core_Service(s, in, nil); err != nil {
		return refused(err).Errors
	}
	if old != nil {
		inOld = new(core.Service)
		if err := kcorev1.Convert_v1_Service_To_core_Service(old, inOld, nil); err != nil {
			return refused(err).Errors
		}
	}
	return validation.ValidateServiceClusterIPsRelatedFields(in, inOld)
}

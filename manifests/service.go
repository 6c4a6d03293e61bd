package manifests

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/api/service"
	"k8s.io/kubernetes/pkg/apis/core"
	kcorev1 "k8s.io/kubernetes/pkg/apis/core/v1"
	"k8s.io/kubernetes/pkg/apis/core/validation"
)

// serviceKind knows nothing of the allocation of addresses and ports: that is
// the registry's, which sees all services.
func serviceKind() *Kind {
	return newKind(coreKind("Service"), Kind{
		Resource: "services", ShortNames: []string{"svc"}, Categories: []string{"all"},
		Namespaced: true, HasStatus: true, CreateOnUpdate: true, ReturnsDeleted: true,
		New: newOf[*corev1.Service](), NewList: newOf[*corev1.ServiceList](),
		Rules: &rules[*corev1.Service, core.Service]{
			namespaced:    true,
			toInternal:    kcorev1.Convert_v1_Service_To_core_Service,
			fromInternal:  kcorev1.Convert_core_Service_To_v1_Service,
			prepareCreate: func(s *core.Service) { s.Status = core.ServiceStatus{} },
			validateCreate: func(_ context.Context, s *core.Service) field.ErrorList {
				return validation.ValidateServiceCreate(s)
			},
			warnCreate: func(_ context.Context, s *core.Service) []string {
				return service.GetWarningsForService(s, nil)
			},
			updates: map[string]update[core.Service]{
				SubresourceNone:   serviceUpdate(),
				SubresourceStatus: serviceStatusUpdate(),
			},
			fields: fieldTable[*corev1.Service]{
				"spec.clusterIP": func(s *corev1.Service) string { return s.Spec.ClusterIP },
				"spec.type":      func(s *corev1.Service) string { return string(s.Spec.Type) },
			},
			reset: specAndStatus(corev1.SchemeGroupVersion),
		},
	})
}

func serviceUpdate() update[core.Service] {
	return update[core.Service]{
		prepare: func(s, old *core.Service) {
			s.Status = old.Status
			dropForType(s, old)
		},
		validate: func(_ context.Context, s, old *core.Service) field.ErrorList {
			return validation.ValidateServiceUpdate(s, old)
		},
		warn: func(_ context.Context, s, old *core.Service) []string {
			return service.GetWarningsForService(s, old)
		},
	}
}

func serviceStatusUpdate() update[core.Service] {
	return update[core.Service]{
		prepare: func(s, old *core.Service) { s.Spec = old.Spec },
		validate: func(_ context.Context, s, old *core.Service) field.ErrorList {
			return validation.ValidateServiceStatusUpdate(s, old)
		},
		warn: func(_ context.Context, s, _ *core.Service) []string {
			var warnings []string
			for i, ingress := range s.Status.LoadBalancer.Ingress {
				if ingress.IP != "" {
					at := field.NewPath("status", "loadBalancer", "ingress").Index(i)
					warnings = append(warnings, apivalidation.GetWarningsForIP(at, ingress.IP)...)
				}
			}
			return warnings
		},
	}
}

// dropForType clears what the service's new type has no use for, when its old
// type had, and when the client did not change it as well: then it is an error
// for validation to find.
func dropForType(s, old *core.Service) {
	if hasClusterIP(old) && !hasClusterIP(s) {
		dropAddresses(s, old)
	}
	if hasNodePorts(old) && !hasNodePorts(s) && addsNoNodePort(s, old) {
		for i := range s.Spec.Ports {
			s.Spec.Ports[i].NodePort = 0
		}
	}
	if hasHealthCheckPort(old) && !hasHealthCheckPort(s) && s.Spec.HealthCheckNodePort == old.Spec.HealthCheckNodePort {
		s.Spec.HealthCheckNodePort = 0
	}
	if service.ExternallyAccessible(old) && !service.ExternallyAccessible(s) &&
		s.Spec.ExternalTrafficPolicy == old.Spec.ExternalTrafficPolicy {
		s.Spec.ExternalTrafficPolicy = ""
	}
	if s.Spec.Type == core.ServiceTypeLoadBalancer {
		return
	}
	if old.Spec.Type == core.ServiceTypeLoadBalancer {
		if equality.Semantic.DeepEqual(s.Spec.AllocateLoadBalancerNodePorts, old.Spec.AllocateLoadBalancerNodePorts) {
			s.Spec.AllocateLoadBalancerNodePorts = nil
		}
		if equality.Semantic.DeepEqual(s.Spec.LoadBalancerClass, old.Spec.LoadBalancerClass) {
			s.Spec.LoadBalancerClass = nil
		}
	}
	s.Status.LoadBalancer = core.LoadBalancerStatus{}
}

func dropAddresses(s, old *core.Service) {
	if s.Spec.ClusterIP == old.Spec.ClusterIP && slices.Equal(s.Spec.ClusterIPs, old.Spec.ClusterIPs) {
		s.Spec.ClusterIP, s.Spec.ClusterIPs = "", nil
	}
	if slices.Equal(s.Spec.IPFamilies, old.Spec.IPFamilies) {
		s.Spec.IPFamilies = nil
	}
	if equality.Semantic.DeepEqual(s.Spec.IPFamilyPolicy, old.Spec.IPFamilyPolicy) {
		s.Spec.IPFamilyPolicy = nil
	}
}

func hasClusterIP(s *core.Service) bool { return s.Spec.Type != core.ServiceTypeExternalName }

func hasNodePorts(s *core.Service) bool {
	return s.Spec.Type == core.ServiceTypeNodePort || s.Spec.Type == core.ServiceTypeLoadBalancer
}

func hasHealthCheckPort(s *core.Service) bool {
	return s.Spec.Type == core.ServiceTypeLoadBalancer &&
		s.Spec.ExternalTrafficPolicy == core.ServiceExternalTrafficPolicyLocal
}

// addsNoNodePort says that every node port of s is one of old's.
func addsNoNodePort(s, old *core.Service) bool {
	for _, port := range s.Spec.Ports {
		had := slices.ContainsFunc(old.Spec.Ports, func(p core.ServicePort) bool { return p.NodePort == port.NodePort })
		if port.NodePort != 0 && !had {
			return false
		}
	}
	return true
}

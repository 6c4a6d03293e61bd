package table

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

func serviceColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		nameColumn(),
		text("Type", "How the service can be reached."),
		text("Cluster-IP", "The service's address inside the cluster."),
		text("External-IP", "The service's addresses outside of the cluster."),
		text("Port(s)", "The ports the service listens at, with the node's port if there is one."),
		ageColumn(),
		wide(text("Selector", "The labels of the pods that serve.")),
	}
}

func serviceCells(s *corev1.Service, now time.Time) []any {
	clusterIP := none
	if len(s.Spec.ClusterIPs) > 0 {
		clusterIP = s.Spec.ClusterIPs[0]
	}
	return []any{
		s.Name, string(s.Spec.Type), clusterIP, externalIP(s), cmp.Or(servicePorts(s.Spec.Ports), none),
		age(s.CreationTimestamp, now), labels.FormatLabels(s.Spec.Selector),
	}
}

func externalIP(s *corev1.Service) string {
	own := strings.Join(s.Spec.ExternalIPs, ",")
	switch s.Spec.Type {
	case corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort:
		return cmp.Or(own, none)
	case corev1.ServiceTypeLoadBalancer:
		all := append(balancers(s), s.Spec.ExternalIPs...)
		return cmp.Or(strings.Join(all, ","), "<pending>")
	case corev1.ServiceTypeExternalName:
		return s.Spec.ExternalName
	}
	return unknown
}

// balancers are the addresses or names of a service's load balancers, in order and each once.
func balancers(s *corev1.Service) []string {
	var all []string
	for _, i := range s.Status.LoadBalancer.Ingress {
		if address := cmp.Or(i.IP, i.Hostname); address != "" {
			all = append(all, address)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func servicePorts(ports []corev1.ServicePort) string {
	all := make([]string, 0, len(ports))
	for _, p := range ports {
		numbers := strconv.Itoa(int(p.Port))
		if p.NodePort > 0 {
			numbers += fmt.Sprintf(":%d", p.NodePort)
		}
		all = append(all, numbers+"/"+string(p.Protocol))
	}
	return strings.Join(all, ",")
}

func endpointsColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		nameColumn(), text("Endpoints", "The addresses and ports that serve."), ageColumn(),
	}
}

func endpointsCells(e *corev1.Endpoints, now time.Time) []any {
	shown := none
	if len(e.Subsets) > 0 {
		shown = some(endpointAddresses(e.Subsets), "")
	}
	return []any{e.Name, shown, age(e.CreationTimestamp, now)}
}

// endpointAddresses are each port's addresses, or the bare addresses of a service without ports.
func endpointAddresses(subsets []corev1.EndpointSubset) []string {
	var all []string
	for _, s := range subsets {
		if len(s.Ports) == 0 {
			for _, a := range s.Addresses {
				all = append(all, a.IP)
			}
		}
		for _, p := range s.Ports {
			for _, a := range s.Addresses {
				all = append(all, net.JoinHostPort(a.IP, strconv.Itoa(int(p.Port))))
			}
		}
	}
	return all
}

func endpointSliceColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		nameColumn(),
		text("AddressType", "What kind of addresses the slice holds."),
		text("Ports", "The ports of all of the slice's endpoints."),
		text("Endpoints", "The addresses that serve."),
		ageColumn(),
	}
}

func endpointSliceCells(s *discoveryv1.EndpointSlice, now time.Time) []any {
	var ports, addresses []string
	for _, p := range s.Ports {
		ports = append(ports, slicePort(p))
	}
	for _, e := range s.Endpoints {
		addresses = append(addresses, e.Addresses...)
	}
	return []any{s.Name, string(s.AddressType), some(ports, unset), some(addresses, unset), age(s.CreationTimestamp, now)}
}

// slicePort is a port's number or name; without either it stands for every port.
func slicePort(p discoveryv1.EndpointPort) string {
	if p.Port != nil {
		return strconv.Itoa(int(*p.Port))
	}
	return orOf(p.Name, "*")
}

package table

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func ingressColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		nameColumn(),
		text("Class", "The class of controllers that acts on the object."),
		text("Hosts", "The host names whose requests are routed."),
		text("Address", "Where requests are taken."),
		text("Ports", "The ports on which requests are taken."),
		ageColumn(),
	}
}

func ingressCells(i *networkingv1.Ingress, now time.Time) []any {
	ports := "80"
	if len(i.Spec.TLS) > 0 {
		ports = "80, 443"
	}
	var addresses []string
	for _, a := range i.Status.LoadBalancer.Ingress {
		if at := cmp.Or(a.IP, a.Hostname); at != "" {
			addresses = append(addresses, at)
		}
	}
	slices.Sort(addresses)
	return []any{
		i.Name, orOf(i.Spec.IngressClassName, none), ingressHosts(i.Spec.Rules), strings.Join(slices.Compact(addresses), ","), ports,
		age(i.CreationTimestamp, now),
	}
}

// ingressHosts names the first three hosts.
func ingressHosts(rules []networkingv1.IngressRule) string {
	const most = 3
	var hosts []string
	for _, r := range rules {
		if len(hosts) == most {
			return fmt.Sprintf("%s + %d more...", strings.Join(hosts, ","), len(rules)-most)
		}
		if r.Host != "" {
			hosts = append(hosts, r.Host)
		}
	}
	return cmp.Or(strings.Join(hosts, ","), "*")
}

func ingressClassColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		nameColumn(),
		text("Controller", "The controller that acts on objects of the class."),
		text("Parameters", "The object that configures the controller."),
		ageColumn(),
	}
}

func ingressClassCells(c *networkingv1.IngressClass, now time.Time) []any {
	name := c.Name
	if c.Annotations["ingressclass.kubernetes.io/is-default-class"] == "true" {
		name += " (default)"
	}
	parameters := none
	if p := c.Spec.Parameters; p != nil {
		parameters = p.Kind
		if p.APIGroup != nil {
			parameters += "." + *p.APIGroup
		}
		parameters += "/" + p.Name
	}
	return []any{name, c.Spec.Controller, parameters, age(c.CreationTimestamp, now)}
}

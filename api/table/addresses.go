package table

import (
	"strings"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func serviceCIDRColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		nameColumn(), text("CIDRs", "The ranges that services get their addresses from."), ageColumn(),
	}
}

func serviceCIDRCells(c *networkingv1.ServiceCIDR, now time.Time) []any {
	return []any{c.Name, strings.Join(c.Spec.CIDRs, ","), age(c.CreationTimestamp, now)}
}

// ipAddressColumns have no age: upstream's printer fills a third column, but declares two.
func ipAddressColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		nameColumn(), text("ParentRef", "The object that has the address."),
	}
}

func ipAddressCells(a *networkingv1.IPAddress, _ time.Time) []any {
	parent := none
	if ref := a.Spec.ParentRef; ref != nil {
		parts := []string{strings.ToLower(schema.GroupResource{Group: ref.Group, Resource: ref.Resource}.String())}
		if ref.Namespace != "" {
			parts = append(parts, ref.Namespace)
		}
		parent = strings.Join(append(parts, ref.Name), "/")
	}
	return []any{a.Name, parent}
}

func networkPolicyColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		nameColumn(), text("Pod-Selector", "The labels of the pods whose traffic is ruled."), ageColumn(),
	}
}

func networkPolicyCells(p *networkingv1.NetworkPolicy, now time.Time) []any {
	return []any{p.Name, metav1.FormatLabelSelector(&p.Spec.PodSelector), age(p.CreationTimestamp, now)}
}

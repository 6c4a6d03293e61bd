package table

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func componentStatusColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		nameColumn(), text("Status", "Whether the component is healthy."),
		text("Message", "What the component says of itself."), text("Error", "Why the component is not healthy."),
	}
}

func componentStatusCells(s *corev1.ComponentStatus, _ time.Time) []any {
	for _, c := range s.Conditions {
		if c.Type != corev1.ComponentHealthy {
			continue
		}
		health := "Unhealthy"
		if c.Status == corev1.ConditionTrue {
			health = "Healthy"
		}
		return []any{s.Name, health, c.Message, c.Error}
	}
	return []any{s.Name, "Unknown", "", ""}
}

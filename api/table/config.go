package table

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func configMapColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{nameColumn(), text("Data", "How many entries there are."), ageColumn()}
}

func configMapCells(c *corev1.ConfigMap, now time.Time) []any {
	return []any{c.Name, int64(len(c.Data) + len(c.BinaryData)), age(c.CreationTimestamp, now)}
}

func secretColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		nameColumn(), text("Type", "What the secret is for."), text("Data", "How many entries there are."), ageColumn(),
	}
}

func secretCells(s *corev1.Secret, now time.Time) []any {
	return []any{s.Name, string(s.Type), int64(len(s.Data)), age(s.CreationTimestamp, now)}
}

func resourceQuotaColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		nameColumn(),
		text("Request", "What is used and allowed of objects and requested resources."),
		text("Limit", "What is used and allowed of resources' limits."),
		ageColumn(),
	}
}

func resourceQuotaCells(q *corev1.ResourceQuota, now time.Time) []any {
	var requests, limits []string
	for _, name := range slices.Sorted(maps.Keys(q.Status.Hard)) {
		used, hard := q.Status.Used[name], q.Status.Hard[name]
		use := fmt.Sprintf("%s: %s/%s", name, used.String(), hard.String())
		if strings.HasPrefix(string(name), "limits.") {
			limits = append(limits, use)
		} else {
			requests = append(requests, use)
		}
	}
	return []any{q.Name, strings.Join(requests, ", "), strings.Join(limits, ", "), age(q.CreationTimestamp, now)}
}

// limitRangeColumns are those upstream gives to objects without a layout of their own (apiserver's
// registry/rest/table.go).
func limitRangeColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		nameColumn(), {Name: "Created At", Type: "date", Description: "When the object was created."},
	}
}

func limitRangeCells(l *corev1.LimitRange, _ time.Time) []any {
	return []any{l.Name, l.CreationTimestamp.UTC().Format(time.RFC3339)}
}

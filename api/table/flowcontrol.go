package table

import (
	"time"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func flowSchemaColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		nameColumn(),
		text("PriorityLevel", "The priority level of the requests that match."),
		text("MatchingPrecedence", "The schema of the lowest number that matches a request counts."),
		text("DistinguisherMethod", "By what requests are put in flows: by user or by namespace."),
		ageColumn(),
		text("MissingPL", "Whether the priority level does not exist."),
	}
}

func flowSchemaCells(s *flowcontrolv1.FlowSchema, now time.Time) []any {
	method, missing := none, "?"
	if s.Spec.DistinguisherMethod != nil {
		method = string(s.Spec.DistinguisherMethod.Type)
	}
	for _, c := range s.Status.Conditions {
		if c.Type == flowcontrolv1.FlowSchemaConditionDangling {
			missing = string(c.Status)
		}
	}
	return []any{s.Name, s.Spec.PriorityLevelConfiguration.Name, int64(s.Spec.MatchingPrecedence), method, age(s.CreationTimestamp, now), missing}
}

func priorityLevelColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		nameColumn(),
		text("Type", "Whether the level's requests are limited."),
		text("NominalConcurrencyShares", "The level's share of the requests that are answered at a time."),
		text("Queues", "How many queues the level has."),
		text("HandSize", "How many queues a flow may use."),
		text("QueueLengthLimit", "How many requests may wait in a queue."),
		ageColumn(),
	}
}

func priorityLevelCells(l *flowcontrolv1.PriorityLevelConfiguration, now time.Time) []any {
	var shares, queues, hand, length any = none, none, none, none
	if limited := l.Spec.Limited; limited != nil {
		if limited.NominalConcurrencyShares != nil {
			shares = int64(*limited.NominalConcurrencyShares)
		}
		if q := limited.LimitResponse.Queuing; q != nil {
			queues, hand, length = int64(q.Queues), int64(q.HandSize), int64(q.QueueLengthLimit)
		}
	}
	return []any{l.Name, string(l.Spec.Type), shares, queues, hand, length, age(l.CreationTimestamp, now)}
}

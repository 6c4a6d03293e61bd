package deployment

import (
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Reasons of the condition Progressing, upstream's.
const (
	newReplicaSetCreated     = "NewReplicaSetCreated"
	foundNewReplicaSet       = "FoundNewReplicaSet"
	replicaSetUpdated        = "ReplicaSetUpdated"
	newReplicaSetAvailable   = "NewReplicaSetAvailable"
	replicaSetCreateError    = "ReplicaSetCreateError"
	progressDeadlineExceeded = "ProgressDeadlineExceeded"
	deploymentPaused         = "DeploymentPaused"
	deploymentResumed        = "DeploymentResumed"
)

// Reasons of the condition Available.
const (
	minimumReplicasAvailable   = "MinimumReplicasAvailable"
	minimumReplicasUnavailable = "MinimumReplicasUnavailable"
)

// conditions are a Deployment's conditions while they are being worked out.
type conditions struct {
	list []appsv1.DeploymentCondition
	now  time.Time
}

func (c *conditions) get(t appsv1.DeploymentConditionType) *appsv1.DeploymentCondition {
	for i := range c.list {
		if c.list[i].Type == t {
			return &c.list[i]
		}
	}
	return nil
}

// reason is that of a condition, "" when it is not there.
func (c *conditions) reason(t appsv1.DeploymentConditionType) string {
	if condition := c.get(t); condition != nil {
		return condition.Reason
	}
	return ""
}

// set sets a condition. One of the same status and reason stays as it is, with
// its message and times.
func (c *conditions) set(t appsv1.DeploymentConditionType, status corev1.ConditionStatus, reason, message string) {
	if old := c.get(t); old != nil && old.Status == status && old.Reason == reason {
		return
	}
	c.renew(t, status, reason, message)
}

// renew sets a condition and the time it was last updated, also when it says
// nothing new.
func (c *conditions) renew(t appsv1.DeploymentConditionType, status corev1.ConditionStatus, reason, message string) {
	now := metav1.NewTime(c.now)
	next := appsv1.DeploymentCondition{
		Type: t, Status: status, Reason: reason, Message: message, LastUpdateTime: now, LastTransitionTime: now,
	}
	if old := c.get(t); old != nil && old.Status == status {
		next.LastTransitionTime = old.LastTransitionTime
	}
	c.remove(t)
	c.list = append(c.list, next)
}

func (c *conditions) remove(t appsv1.DeploymentConditionType) {
	c.list = slices.DeleteFunc(c.list, func(one appsv1.DeploymentCondition) bool { return one.Type == t })
}

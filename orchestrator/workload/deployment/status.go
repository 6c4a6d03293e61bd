package deployment

import (
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// outcome is what came of a plan, as far as the status tells of it.
type outcome struct {
	rolls bool
	// created is the name of a set that was made.
	created string
	// failure is why one could not be made.
	failure string
	// collided: the name for it is another's.
	collided bool
}

// statusOf is the status a Deployment should show, and the time until it is due
// for another look because its progress deadline will have passed: 0 if none.
// The status it has now, which r.deployment holds, is what progress is told by.
func statusOf(r rollout, o outcome, now time.Time) (appsv1.DeploymentStatus, time.Duration) {
	d := r.deployment
	c := &conditions{list: slices.Clone(d.Status.Conditions), now: now}
	status := r.counts()
	if o.collided {
		status.CollisionCount = ptr.To(ptr.Deref(status.CollisionCount, 0) + 1)
	}
	if d.DeletionTimestamp == nil {
		r.notePause(c)
		r.noteSet(c, o)
	}
	r.noteAvailability(c, &status)
	var after time.Duration
	if o.rolls {
		if o.failure == "" {
			r.noteProgress(c, &status)
		}
		r.noteFailure(c)
		after = r.deadline(c, &status)
	}
	status.Conditions = c.list
	return status, after
}

func (r rollout) counts() appsv1.DeploymentStatus {
	all := r.all()
	s := appsv1.DeploymentStatus{
		ObservedGeneration: r.deployment.Generation, CollisionCount: r.deployment.Status.CollisionCount,
		Replicas:            sum(all, func(rs *appsv1.ReplicaSet) int32 { return rs.Status.Replicas }),
		ReadyReplicas:       sum(all, func(rs *appsv1.ReplicaSet) int32 { return rs.Status.ReadyReplicas }),
		AvailableReplicas:   sum(all, func(rs *appsv1.ReplicaSet) int32 { return rs.Status.AvailableReplicas }),
		TerminatingReplicas: ptr.To(sum(all, func(rs *appsv1.ReplicaSet) int32 { return ptr.Deref(rs.Status.TerminatingReplicas, 0) })),
	}
	s.UnavailableReplicas = max(0, sum(all, size)-s.AvailableReplicas)
	if r.current != nil {
		s.UpdatedReplicas = r.current.Status.Replicas
	}
	return s
}

// notePause keeps the time of a pause from counting as lack of progress. A lack
// that was reported already stays.
func (r rollout) notePause(c *conditions) {
	if !hasDeadline(r.deployment) || c.reason(appsv1.DeploymentProgressing) == progressDeadlineExceeded {
		return
	}
	noted := c.reason(appsv1.DeploymentProgressing) == deploymentPaused
	switch {
	case r.deployment.Spec.Paused && !noted:
		c.set(appsv1.DeploymentProgressing, corev1.ConditionUnknown, deploymentPaused, "Deployment is paused")
	case !r.deployment.Spec.Paused && noted:
		c.set(appsv1.DeploymentProgressing, corev1.ConditionUnknown, deploymentResumed, "Deployment is resumed")
	}
}

// noteSet tells where the current set comes from.
func (r rollout) noteSet(c *conditions, o outcome) {
	const t = appsv1.DeploymentProgressing
	switch {
	case !hasDeadline(r.deployment):
	case o.failure != "":
		c.set(t, corev1.ConditionFalse, replicaSetCreateError, o.failure)
	case o.created != "":
		c.set(t, corev1.ConditionTrue, newReplicaSetCreated, fmt.Sprintf("Created new replica set %q", o.created))
	case r.current != nil && c.get(t) == nil:
		c.set(t, corev1.ConditionTrue, foundNewReplicaSet, fmt.Sprintf("Found new replica set %q", r.current.Name))
	}
}

func (r rollout) noteAvailability(c *conditions, s *appsv1.DeploymentStatus) {
	if s.AvailableReplicas >= r.limits.minAvailable() {
		c.set(appsv1.DeploymentAvailable, corev1.ConditionTrue, minimumReplicasAvailable, "Deployment has minimum availability.")
		return
	}
	c.set(appsv1.DeploymentAvailable, corev1.ConditionFalse, minimumReplicasUnavailable, "Deployment does not have minimum availability.")
}

// noteProgress judges how the rollout goes on. One that has ended is judged no
// more, or each pod that is lost later would look like a rollout.
func (r rollout) noteProgress(c *conditions, s *appsv1.DeploymentStatus) {
	const t = appsv1.DeploymentProgressing
	if !hasDeadline(r.deployment) {
		c.remove(t)
		return
	}
	if s.Replicas == s.UpdatedReplicas && c.reason(t) == newReplicaSetAvailable {
		return
	}
	what := fmt.Sprintf("Deployment %q", r.deployment.Name)
	if r.current != nil {
		what = fmt.Sprintf("ReplicaSet %q", r.current.Name)
	}
	switch {
	case complete(r.deployment, s):
		c.set(t, corev1.ConditionTrue, newReplicaSetAvailable, what+" has successfully progressed.")
	case progressed(&r.deployment.Status, s):
		c.renew(t, corev1.ConditionTrue, replicaSetUpdated, what+" is progressing.")
	case r.timedOut(c):
		c.set(t, corev1.ConditionFalse, progressDeadlineExceeded, what+" has timed out progressing.")
	}
}

// progressed reports whether there are more new pods, fewer old ones, or more that
// are ready or available than before.
func progressed(before, s *appsv1.DeploymentStatus) bool {
	return s.UpdatedReplicas > before.UpdatedReplicas ||
		s.Replicas-s.UpdatedReplicas < before.Replicas-before.UpdatedReplicas ||
		s.ReadyReplicas > before.ReadyReplicas || s.AvailableReplicas > before.AvailableReplicas
}

func (r rollout) timedOut(c *conditions) bool {
	last := c.get(appsv1.DeploymentProgressing)
	switch {
	case last == nil || last.Reason == newReplicaSetAvailable:
		return false
	case last.Reason == progressDeadlineExceeded:
		return true
	}
	return last.LastUpdateTime.Add(r.patience()).Before(c.now)
}

// patience is for how long there may be no progress.
func (r rollout) patience() time.Duration {
	return time.Duration(*r.deployment.Spec.ProgressDeadlineSeconds) * time.Second
}

// noteFailure shows why pods can not be made, those of the current set above all.
func (r rollout) noteFailure(c *conditions) {
	sets := r.old
	if r.current != nil {
		sets = append([]*appsv1.ReplicaSet{r.current}, sets...)
	}
	for _, rs := range sets {
		for _, failure := range rs.Status.Conditions {
			if failure.Type == appsv1.ReplicaSetReplicaFailure {
				c.adopt(failure)
				return
			}
		}
	}
	c.remove(appsv1.DeploymentReplicaFailure)
}

// adopt shows a set's condition as the Deployment's, with the set's times.
func (c *conditions) adopt(of appsv1.ReplicaSetCondition) {
	t := appsv1.DeploymentConditionType(of.Type)
	if old := c.get(t); old != nil && old.Status == of.Status && old.Reason == of.Reason {
		return
	}
	c.remove(t)
	c.list = append(c.list, appsv1.DeploymentCondition{
		Type: t, Status: of.Status, Reason: of.Reason, Message: of.Message,
		LastTransitionTime: of.LastTransitionTime, LastUpdateTime: of.LastTransitionTime,
	})
}

// deadline is the time until a lack of progress is to be reported, a second
// later so that it surely has passed: stored times are cut to seconds.
func (r rollout) deadline(c *conditions, s *appsv1.DeploymentStatus) time.Duration {
	last := c.get(appsv1.DeploymentProgressing)
	if !hasDeadline(r.deployment) || last == nil || complete(r.deployment, s) ||
		last.Reason == progressDeadlineExceeded || last.Reason == newReplicaSetAvailable {
		return 0
	}
	return max(0, metav1.NewTime(last.LastUpdateTime.Add(r.patience())).Sub(c.now)) + time.Second
}

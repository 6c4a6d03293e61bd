package deployment

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// Reasons of events about rollbacks.
const (
	rolledBack        = "DeploymentRollback"
	noSuchRevision    = "DeploymentRollbackRevisionNotFound"
	templateUnchanged = "DeploymentRollbackTemplateUnchanged"
)

// rollback returns to an earlier template because the annotation
// deprecated.deployment.rollback.to asks for it, as clients of before apps/v1
// did. Today's change the template themselves.
type rollback struct {
	// set is whose template and annotations the Deployment gets; nil for none.
	set                        *appsv1.ReplicaSet
	eventType, reason, message string
}

func (b *rollback) String() string {
	if b.set == nil {
		return "forget the rollback: " + b.message
	}
	return fmt.Sprintf("roll back to replica set %s: revision %d", b.set.Name, revisionOf(b.set))
}

// rollbackTo is the revision that is asked for, 0 for the one before the
// current, nil when none is.
func rollbackTo(d *appsv1.Deployment) *int64 {
	n, err := strconv.ParseInt(d.Annotations[appsv1.DeprecatedRollbackTo], 10, 64)
	if err != nil {
		return nil
	}
	return &n
}

func (r rollout) rollback(to int64) *rollback {
	if to == 0 {
		if to = r.lastRevision(); to == 0 {
			return &rollback{eventType: corev1.EventTypeWarning, reason: noSuchRevision, message: "Unable to find last revision."}
		}
	}
	all := r.all()
	i := slices.IndexFunc(all, func(rs *appsv1.ReplicaSet) bool { return revisionOf(rs) == to })
	switch {
	case i < 0:
		return &rollback{eventType: corev1.EventTypeWarning, reason: noSuchRevision, message: "Unable to find the revision to rollback to."}
	case all[i] == r.current:
		return &rollback{eventType: corev1.EventTypeWarning, reason: templateUnchanged,
			message: fmt.Sprintf("The rollback revision contains the same template as current deployment %q", r.deployment.Name)}
	}
	return &rollback{set: all[i], eventType: corev1.EventTypeNormal, reason: rolledBack,
		message: fmt.Sprintf("Rolled back deployment %q to revision %d", r.deployment.Name, to)}
}

// lastRevision is the second highest revision, 0 when there is none.
func (r rollout) lastRevision() int64 {
	all := r.all()
	if len(all) < 2 {
		return 0
	}
	slices.SortFunc(all, func(a, b *appsv1.ReplicaSet) int { return cmp.Compare(revisionOf(b), revisionOf(a)) })
	return revisionOf(all[1])
}

// apply changes the Deployment.
func (b *rollback) apply(d *appsv1.Deployment) {
	delete(d.Annotations, appsv1.DeprecatedRollbackTo)
	if b.set == nil {
		return
	}
	d.Spec.Template = *withoutHash(&b.set.Spec.Template).DeepCopy()
	for k := range d.Annotations {
		if !ownAnnotations[k] {
			delete(d.Annotations, k)
		}
	}
	for k, v := range b.set.Annotations {
		if !ownAnnotations[k] {
			d.Annotations[k] = v
		}
	}
}

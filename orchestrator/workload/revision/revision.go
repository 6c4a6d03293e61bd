// Package revision keeps the pod templates that a DaemonSet or a StatefulSet had,
// each in a ControllerRevision, so that pods of an older one can be told apart
// and made again, and a rollout can be undone.
package revision

import (
	"bytes"
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"skiff/orchestrator/controller"
	"skiff/orchestrator/workload"
)

// Revisions reads and writes revisions; a registry.Client is one.
type Revisions interface {
	Get(namespace, name string) (*appsv1.ControllerRevision, error)
	List(namespace string, s labels.Selector) []*appsv1.ControllerRevision
	Create(ctx context.Context, r *appsv1.ControllerRevision) (*appsv1.ControllerRevision, error)
	Update(ctx context.Context, namespace, name string, change func(*appsv1.ControllerRevision) error) (*appsv1.ControllerRevision, error)
	Delete(ctx context.Context, namespace, name string, o metav1.DeleteOptions) error
}

// Owner is a DaemonSet or a StatefulSet, as far as its history goes.
type Owner struct {
	workload.Owner
	Selector labels.Selector
	Template *corev1.PodTemplateSpec
	// HashLabel is the label of a revision that holds its hash.
	HashLabel string
	// Collisions is how often a new revision's name turned out to be another's.
	Collisions int32
}

// History is an owner's revisions.
type History struct {
	// Update holds the present template.
	Update *appsv1.ControllerRevision
	// Older are the others, oldest first. Equals are those of them that hold the
	// present template too, which somebody else must have made.
	Older, Equals []*appsv1.ControllerRevision
	// Collisions is Owner's, and what has been added to it.
	Collisions int32
}

// Named finds the revision of a name, nil if the history has none.
func (h History) Named(name string) *appsv1.ControllerRevision {
	if h.Update != nil && h.Update.Name == name {
		return h.Update
	}
	for _, r := range h.Older {
		if r.Name == name {
			return r
		}
	}
	return nil
}

// Record sees to it that the owner's present template has a revision, and that
// this has the highest number.
func Record(ctx context.Context, c Revisions, o Owner) (History, error) {
	p, err := makePlan(o, c.List(o.Object.GetNamespace(), nil))
	for err == nil && p.claims() {
		if err = workload.AdoptAndRelease(ctx, c, o.Owner, p.adopt, p.release); err == nil {
			p, err = makePlan(o, c.List(o.Object.GetNamespace(), nil))
		}
	}
	if err != nil {
		return History{}, err
	}
	h := History{Update: p.update, Older: p.older, Equals: p.equals, Collisions: o.Collisions}
	switch {
	case p.update == nil:
		h.Update, h.Collisions, err = create(ctx, c, o, p)
	case p.update.Revision != p.number:
		h.Update, err = c.Update(ctx, p.update.Namespace, p.update.Name, func(r *appsv1.ControllerRevision) error {
			if r.UID != p.update.UID || r.Revision != p.update.Revision || !metav1.IsControlledBy(r, o.Object) {
				return controller.ErrOvertaken
			}
			r.Revision = p.number
			return nil
		})
	}
	if err != nil {
		return h, fmt.Errorf("recording revision %d: %w", p.number, err)
	}
	return h, nil
}

// maxCollisions ends the search for a name: so many different templates of one
// hash are no accident.
const maxCollisions = 100

// create makes the revision of the present template. When another object has its
// name, the count of collisions gives it another.
func create(ctx context.Context, c Revisions, o Owner, p plan) (*appsv1.ControllerRevision, int32, error) {
	collisions := o.Collisions
	for range maxCollisions {
		made := o.make(p.data, hashOf(p.data, collisions), p.number)
		created, err := c.Create(ctx, made)
		if !apierrors.IsAlreadyExists(err) {
			return created, collisions, err
		}
		there, err := c.Get(made.Namespace, made.Name)
		if err != nil && !apierrors.IsNotFound(err) {
			return nil, collisions, err
		}
		if err == nil && metav1.IsControlledBy(there, o.Object) && bytes.Equal(there.Data.Raw, p.data) {
			return there, collisions, nil
		}
		collisions++
	}
	return nil, collisions, fmt.Errorf("no free name for a revision of %s after %d tries", o.Object.GetName(), maxCollisions)
}

// Delete removes revisions. It is not an error when one is gone or has changed: then it stays until
// the next look.
func Delete(ctx context.Context, c Revisions, revisions []*appsv1.ControllerRevision) error {
	for _, r := range revisions {
		err := c.Delete(ctx, r.Namespace, r.Name, controller.AsSeen(r))
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return fmt.Errorf("deleting revision %s: %w", r.Name, err)
		}
	}
	return nil
}

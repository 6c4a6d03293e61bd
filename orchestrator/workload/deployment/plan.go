package deployment

import (
	"fmt"
	"maps"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"skiff/orchestrator/workload"
)

// snapshot is what one look at a Deployment saw.
type snapshot struct {
	deployment *appsv1.Deployment
	selector   labels.Selector
	// sets are the replica sets that the Deployment controls, and those of its
	// namespace that nothing controls.
	sets []*appsv1.ReplicaSet
	// pods are those of the sets that it controls, by the set's UID. Only a
	// Deployment that recreates needs them.
	pods map[types.UID][]*corev1.Pod
	now  time.Time
}

// plan is what is to be done about a Deployment. At most one of create, scale
// and remove is there: each changes what the next would be decided by.
type plan struct {
	adopt, release []*appsv1.ReplicaSet
	rollback       *rollback
	mark           *marking
	create         *creation
	scale          []scaling
	remove         []removal
	// rolls reports whether this is a step of a rollout, whose progress is to be
	// judged: it is not while the Deployment is paused, scaled or deleted.
	rolls bool
}

// marking brings the annotations and the minReadySeconds of the current set up
// to date.
type marking struct {
	set      *appsv1.ReplicaSet
	revision int64
}

// creation makes the set of the Deployment's template.
type creation struct {
	name, hash string
	replicas   int32
	revision   int64
}

// scaling changes a set's size, or only notes on it what the Deployment asks for
// by now.
type scaling struct {
	set   *appsv1.ReplicaSet
	to    int32
	cause string
}

// removal deletes a set that nobody needs to roll back to.
type removal struct {
	set   *appsv1.ReplicaSet
	cause string
}

// claims reports whether the plan changes which sets are the Deployment's.
func (p plan) claims() bool { return len(p.adopt)+len(p.release) > 0 }

// String is the plan's steps, one a line, each with its cause.
func (p plan) String() string {
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	for _, rs := range p.release {
		add("release replica set %s: labels no longer match", rs.Name)
	}
	for _, rs := range p.adopt {
		add("adopt replica set %s: matches selector, no controller", rs.Name)
	}
	if p.rollback != nil {
		add("%s", p.rollback)
	}
	if p.mark != nil {
		add("mark replica set %s as revision %d: has the deployment's template", p.mark.set.Name, max(p.mark.revision, revisionOf(p.mark.set)))
	}
	if p.create != nil {
		add("create replica set %s of %d as revision %d: none has the deployment's template", p.create.name, p.create.replicas, p.create.revision)
	}
	for _, s := range p.scale {
		if size(s.set) == s.to {
			add("note the deployment's size on replica set %s: %s", s.set.Name, s.cause)
			continue
		}
		add("scale replica set %s from %d to %d: %s", s.set.Name, size(s.set), s.to, s.cause)
	}
	for _, r := range p.remove {
		add("delete replica set %s: %s", r.set.Name, r.cause)
	}
	return strings.Join(lines, "\n")
}

// claim sorts the sets by whether they are the Deployment's.
func (s snapshot) claim() workload.Claims[*appsv1.ReplicaSet] {
	return workload.Claim(s.deployment, s.selector, s.sets)
}

// rollout tells the Deployment's own sets apart.
func (s snapshot) rollout() rollout { return rolloutOf(s.deployment, s.claim().Owned) }

// makePlan compares what a Deployment wants with what there is.
func makePlan(s snapshot) (plan, error) {
	claims := s.claim()
	p := plan{adopt: claims.Adopt, release: claims.Release}
	if p.claims() || s.deployment.DeletionTimestamp != nil {
		return p, nil // what is claimed is there for the next plan
	}
	r := rolloutOf(s.deployment, claims.Owned)
	p.mark = r.marking()
	paused := s.deployment.Spec.Paused
	if to := rollbackTo(s.deployment); to != nil && !paused {
		p.rollback = r.rollback(*to)
		return p, nil
	}
	if paused || r.scaled() {
		p.scale = r.rescale()
		if paused {
			p.remove = r.surplusHistory()
		}
		if paused || len(p.scale) > 0 {
			return p, nil
		}
	}
	p.rolls = true
	return p, r.advance(s, &p)
}

// advance plans the next step of the Deployment's strategy.
func (r rollout) advance(s snapshot, p *plan) (err error) {
	switch t := r.deployment.Spec.Strategy.Type; t {
	case appsv1.RecreateDeploymentStrategyType:
		err = r.recreate(s, p)
	case appsv1.RollingUpdateDeploymentStrategyType:
		err = r.roll(p)
	default:
		return fmt.Errorf("unexpected deployment strategy type: %s", t)
	}
	if err == nil && p.create == nil && len(p.scale) == 0 && complete(r.deployment, &r.deployment.Status) {
		p.remove = r.surplusHistory()
	}
	return err
}

// marking is nil when the current set is as it should be.
func (r rollout) marking() *marking {
	if r.current == nil {
		return nil
	}
	m := &marking{set: r.current, revision: nextRevision(r.old)}
	if r.current.Spec.MinReadySeconds == r.deployment.Spec.MinReadySeconds &&
		maps.Equal(currentAnnotations(r.deployment, r.current.Annotations, m.revision), r.current.Annotations) {
		return nil
	}
	return m
}

// creation plans the set of the Deployment's template.
func (r rollout) creation(replicas int32) (*creation, error) {
	hash, err := hashOf(&r.deployment.Spec.Template, r.deployment.Status.CollisionCount)
	if err != nil {
		return nil, err
	}
	return &creation{name: setName(r.deployment.Name, hash), hash: hash, replicas: replicas, revision: nextRevision(r.old)}, nil
}

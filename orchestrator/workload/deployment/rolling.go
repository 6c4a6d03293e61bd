package deployment

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"

	"skiff/manifests/podfacts"
)

// roll plans the next step of a rolling update: first the current set grows as
// far as maxSurge lets it, then the old ones shrink as far as maxUnavailable
// lets them.
//
// Two counts are more cautious than upstream's, which goes by what each set
// shall have: for room to grow a pod that is still to be deleted counts, and a
// pod that is to be deleted does not count as available. So the limits hold for
// the pods themselves.
func (r rollout) roll(p *plan) (err error) {
	if r.current == nil {
		room := max(0, r.limits.maxTotal()-sum(r.old, present))
		p.create, err = r.creation(min(room, r.limits.replicas))
		return err
	}
	if p.scale = r.grow(); p.scale == nil {
		p.scale = r.shrink()
	}
	return nil
}

// grow brings the current set nearer to its final size.
func (r rollout) grow() []scaling {
	have, want := size(r.current), r.limits.replicas
	switch {
	case have == want:
		return nil
	case have > want:
		return []scaling{{r.current, want, fmt.Sprintf("%d desired", want)}}
	}
	room := r.limits.maxTotal() - sum(r.all(), present)
	if room <= 0 {
		return nil
	}
	to := min(have+room, want)
	return []scaling{{r.current, to, fmt.Sprintf("%d desired, %d at most of all revisions", want, r.limits.maxTotal())}}
}

// shrink takes pods from old sets, the oldest first: those that are not
// available, which nobody will miss, and then as many as are available beyond
// what must be.
func (r rollout) shrink() []scaling {
	least := r.limits.minAvailable()
	missing := size(r.current) - available(r.current)
	useless := sum(r.all(), size) - least - missing
	if useless <= 0 {
		return nil
	}
	spare := max(0, sum(r.all(), available)-least)
	var steps []scaling
	for _, rs := range active(r.old) {
		broken := min(size(rs)-available(rs), useless)
		useless -= broken
		sound := min(size(rs)-broken, spare)
		// A set loses what is not available first, whatever it was meant to lose.
		spare -= sound
		if broken+sound > 0 {
			steps = append(steps, scaling{rs, size(rs) - broken - sound, shrinkCause(broken, sound, least)})
		}
	}
	return steps
}

func shrinkCause(broken, sound, least int32) string {
	switch {
	case sound == 0:
		return fmt.Sprintf("old revision, %d not available", broken)
	case broken == 0:
		return fmt.Sprintf("old revision, %d more than the %d that must be available", sound, least)
	}
	return fmt.Sprintf("old revision, %d not available, %d more than the %d that must be", broken, sound, least)
}

// recreate plans the next step of a strategy that never runs two revisions at
// once: all old pods must have ended before there is a new one.
func (r rollout) recreate(s snapshot, p *plan) (err error) {
	for _, rs := range active(r.old) {
		p.scale = append(p.scale, scaling{rs, 0, "old revision"})
	}
	switch {
	case len(p.scale) > 0 || r.lingers(s):
	case r.current == nil:
		p.create, err = r.creation(r.limits.replicas)
	case size(r.current) != r.limits.replicas:
		p.scale = []scaling{{r.current, r.limits.replicas, fmt.Sprintf("%d desired", r.limits.replicas)}}
	}
	return err
}

// lingers reports whether a pod of an old revision has not ended yet.
func (r rollout) lingers(s snapshot) bool {
	for _, rs := range r.old {
		if rs.Status.Replicas > 0 {
			return true
		}
		for _, pod := range s.pods[rs.UID] {
			if !podfacts.Terminal(pod) {
				return true
			}
		}
	}
	return false
}

// complete reports whether all replicas are of the current template and available,
// none else is there, and the status is of the present generation.
func complete(d *appsv1.Deployment, s *appsv1.DeploymentStatus) bool {
	want := limitsOf(d).replicas
	return s.UpdatedReplicas == want && s.Replicas == want && s.AvailableReplicas == want && s.ObservedGeneration >= d.Generation
}

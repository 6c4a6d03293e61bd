package statefulset

import (
	corev1 "k8s.io/api/core/v1"
)

func (p *planner) retention(ordinal int, pod *corev1.Pod) retention {
	h := holder{kind: podKind, name: podName(p.set, ordinal)}
	if pod != nil {
		h.uid = pod.UID
	}
	return retentionOf(p.set, h, ordinal < first(p.set) || ordinal >= end(p.set))
}

// claimsOf are the claims of an ordinal that are there.
func (p *planner) claimsOf(ordinal int) []*corev1.PersistentVolumeClaim {
	var out []*corev1.PersistentVolumeClaim
	for i := range p.set.Spec.VolumeClaimTemplates {
		if c := p.claims[claimName(p.set, &p.set.Spec.VolumeClaimTemplates[i], ordinal)]; c != nil {
			out = append(out, c)
		}
	}
	return out
}

// makeClaims plans the claims that an ordinal misses, and reports whether its pod
// can have them all.
func (p *planner) makeClaims(ordinal int, pod *corev1.Pod) bool {
	r := p.retention(ordinal, pod)
	for i := range p.set.Spec.VolumeClaimTemplates {
		t := &p.set.Spec.VolumeClaimTemplates[i]
		c := p.claims[claimName(p.set, t, ordinal)]
		switch {
		case c == nil:
			c = newClaim(p.set, t, ordinal)
			c.OwnerReferences = r.owners(c)
			p.add(step{do: createClaim, ordinal: ordinal, claim: c, cause: "there is none by template " + t.Name})
		case c.DeletionTimestamp != nil:
			p.add(step{do: refusePod, ordinal: ordinal, pod: pod, cause: "pvc " + c.Name + " is being deleted"})
			return false
		}
	}
	if pod == nil {
		p.fixOwners(ordinal, pod)
	}
	return true
}

// fixOwners plans to have an ordinal's claims go when the set's retention policy
// says.
func (p *planner) fixOwners(ordinal int, pod *corev1.Pod) {
	r := p.retention(ordinal, pod)
	for _, c := range p.claimsOf(ordinal) {
		if !r.settled(c) {
			p.add(step{do: ownClaim, ordinal: ordinal, pod: pod, claim: c, cause: "retention policy"})
		}
	}
}

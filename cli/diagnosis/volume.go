package diagnosis

import (
	corev1 "k8s.io/api/core/v1"

	"skiff/cli/events"
	"skiff/manifests/podfacts"
)

// mounts adds why the volumes of a pod whose containers have not been created are not there.
func (s *Scene) mounts(r *Report, p *corev1.Pod) {
	if podfacts.Ready(p) || podfacts.ConditionTrue(p, corev1.PodInitialized) && !creating(p) {
		return
	}
	s.claimsOf(r, p)
	e := s.latest(p, "Pod", "FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox")
	if e == nil || started(p, e) {
		return
	}
	r.wrong("is not ready: %s", Reason(e.Reason, e.Message))
	s.said(r, e)
	if m := missingObject.FindStringSubmatch(e.Message); m != nil {
		r.cause("a volume is made of %s %q, which does not exist", m[1], m[2])
		r.do("skiff create %s %s, or mark the volume as optional: true", createWord[m[1]], m[2])
	}
	r.next("it is tried again every 10 s")
}

// creating reports whether a container of a pod has yet to be created.
func creating(p *corev1.Pod) bool {
	for _, st := range Statuses(p) {
		if w := st.State.Waiting; w != nil && (w.Reason == "ContainerCreating" || w.Reason == "PodInitializing") {
			return true
		}
	}
	return len(p.Status.ContainerStatuses) == 0
}

// started reports whether a container has started after an event: its trouble is over then.
func started(p *corev1.Pod, e *corev1.Event) bool {
	for _, st := range Statuses(p) {
		if run := st.State.Running; run != nil && run.StartedAt.After(events.Last(e)) {
			return true
		}
	}
	return false
}

// claimsOf adds which of a pod's claims are not there, or have no volume.
func (s *Scene) claimsOf(r *Report, p *corev1.Pod) {
	for i := range p.Spec.Volumes {
		source := p.Spec.Volumes[i].PersistentVolumeClaim
		if source == nil {
			continue
		}
		claim := named(s.Claims, source.ClaimName)
		if claim == nil {
			r.cause("the persistent volume claim %q of volume %s does not exist", source.ClaimName, p.Spec.Volumes[i].Name)
			r.do("create the claim %s, or mend the volume's claimName", source.ClaimName)
			continue
		}
		if own := s.Claim(claim); own.Wrong {
			r.cause("%s %s", own.Object, own.State)
			for _, line := range own.Causes {
				r.cause("%s", line)
			}
			for _, line := range own.Do {
				r.do("%s", line)
			}
		}
	}
}

// Claim reports on a persistent volume claim.
func (s *Scene) Claim(c *corev1.PersistentVolumeClaim) Report {
	r := Report{Object: who("PersistentVolumeClaim", c), Namespace: c.Namespace}
	s.wantedBy(&r, c)
	users := s.usersOf(c.Name)
	switch {
	case c.DeletionTimestamp != nil:
		r.fine("is being deleted since %s", s.at(c.DeletionTimestamp.Time))
		s.held(&r, c, "pvc")
		for _, p := range users {
			r.cause("pod/%s uses it, and it stays until the pod is gone", p.Name)
			r.do("skiff delete pod %s, or what wants it: %s", p.Name, s.ownersTop(p))
		}
	case c.Status.Phase == corev1.ClaimBound:
		r.fine("is bound to volume %s", c.Spec.VolumeName)
	case c.Status.Phase == corev1.ClaimLost:
		r.wrong("has lost its volume %s, and the data on it", c.Spec.VolumeName)
		r.do("restore the data, then delete the claim and create it anew")
	default:
		s.unbound(&r, c, users)
	}
	return r
}

// unbound is about a claim that has no volume.
func (s *Scene) unbound(r *Report, c *corev1.PersistentVolumeClaim, users []*corev1.Pod) {
	e := s.latest(c, "PersistentVolumeClaim", "FailedBinding", "ProvisioningFailed", "VolumeMismatch", "WaitForFirstConsumer", "ExternalProvisioning")
	switch {
	case e == nil && s.lasted(c.CreationTimestamp):
		r.wrong("has no volume")
	case e == nil:
		r.fine("has no volume yet")
		return
	case e.Reason == "WaitForFirstConsumer" && len(users) == 0:
		r.fine("waits for the first pod that uses it")
		return
	default:
		r.wrong("has no volume: %s", Reason(e.Reason, e.Message))
		r.cause("it was last looked for at %s", s.at(events.Last(e)))
	}
	if c.Spec.StorageClassName != nil {
		r.cause("it asks for the storage class %q", *c.Spec.StorageClassName)
		r.do("see which classes there are (skiff get storageclasses), and remove spec.storageClassName for the default one; a claim's class can not be changed, so delete it and create it anew")
	}
	r.next("it is bound as soon as a volume fits")
}

// usersOf are the pods that use a claim and have not ended.
func (s *Scene) usersOf(claim string) []*corev1.Pod {
	var out []*corev1.Pod
	for i := range s.Pods {
		p := &s.Pods[i]
		if podfacts.Terminal(p) {
			continue
		}
		for j := range p.Spec.Volumes {
			if source := p.Spec.Volumes[j].PersistentVolumeClaim; source != nil && source.ClaimName == claim {
				out = append(out, p)
			}
		}
	}
	return out
}

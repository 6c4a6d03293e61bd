package node

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/orchestrator/node/pod"
)

// recallAllocation records what an earlier daemon, or the pod's admission, has allocated, unless
// something is recorded already. It returns whether that is not what the pod asks for.
func (r *record) recallAllocation(p *corev1.Pod) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.allocation == nil {
		r.allocation, r.resize = pod.RecallAllocation(p), pod.RecallResize(p)
	}
	if !r.allocation.Matches(p) {
		return true
	}
	r.allocation = pod.Allocate(p) // the same, of the present object: the one before can go
	return false
}

// allocated is the pod with what is allocated for it.
func (r *record) allocated(p *corev1.Pod) *corev1.Pod {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.allocation.Apply(p)
}

// acceptResize allocates what the pod asks for.
func (r *record) acceptResize(p *corev1.Pod) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.allocation, r.resize = pod.Allocate(p), pod.Resize{Started: p.Generation}
}

// postponeResize records why a resize can't be accepted, and returns whether that is news.
func (r *record) postponeResize(why pod.PendingResize) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.resize.Pending
	r.resize.Pending = &why
	return before == nil || before.Reason != why.Reason || before.Generation != why.Generation
}

// withdrawResize records that the pod asks for what is allocated, and returns whether it did not before.
func (r *record) withdrawResize() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	had := r.resize.Pending != nil
	r.resize.Pending = nil
	return had
}

// endResize records that the containers have what is allocated. It returns the generation of the resize,
// 0 if there was none.
func (r *record) endResize() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	generation := r.resize.Started
	r.resize.Started, r.resize.Failed, r.resize.FailedUntil = 0, "", time.Time{}
	return generation
}

// resizeFailed records why a resize could not be carried out, and returns whether that is news, and the
// generation of the resize.
func (r *record) resizeFailed(why string, until time.Time) (news bool, generation int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	news = r.resize.Failed != why
	r.resize.Failed, r.resize.FailedUntil = why, until
	return news, r.resize.Started
}

// given records what a container was created with, or given later.
func (r *record) given(id string, resources corev1.ResourceRequirements) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a := r.attempts.Find(id); a != nil {
		a.Resources = &resources
	}
}

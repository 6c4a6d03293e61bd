package node

import (
	"time"

	"skiff/orchestrator/node/pod"
)

// started records that a container was started.
func (r *record) started(container string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unreported = now
	drop(&r.startFailures, container)
	drop(&r.images, container)
	drop(&r.pulls, container)
}

// filled records that a volume holds the files of its image.
func (r *record) filled(volume string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := pod.ImageVolumeKey(volume)
	drop(&r.startFailures, key)
	drop(&r.images, key)
	drop(&r.pulls, key)
}

// startFailed records why a container could not be started.
func (r *record) startFailed(container string, f pod.StartFailure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	put(&r.startFailures, container, f)
	drop(&r.images, container)
}

// hasStartFailure reports whether the last start of a container failed.
func (r *record) hasStartFailure(container string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.startFailures[container]
	return ok
}

// retry ends the wait after start failures that a changed object may have put right.
func (r *record) retry() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, f := range r.startFailures {
		if f.Reason == pod.ReasonConfigError || f.Unmounted {
			f.Until = time.Time{}
			r.startFailures[name] = f
		}
	}
}

// countRestart lengthens a container's back-off if its last attempt crashed. It is for a restart
// that has come as far as a new container.
func (r *record) countRestart(v *pod.View, container string) {
	ended := v.LastCrash(container)
	if ended.IsZero() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	put(&r.backoffs, container, r.backoffs[container].Next(v.Policy, ended, v.Now))
}

// pullFailed lengthens the back-off of a container's pulls.
func (r *record) pullFailed(container, image, message string, policy pod.BackoffPolicy, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.pulls[container]
	if p == nil || p.Ref != image {
		p = &pullBackoff{}
		put(&r.pulls, container, p)
	}
	p.backoff = p.backoff.Next(policy, now, now)
	p.PullFailure = pod.PullFailure{Ref: image, Message: message, Until: now.Add(p.backoff.Delay)}
}

// setImage records what is known about the image of a container.
func (r *record) setImage(container string, image pod.Image) {
	r.mu.Lock()
	defer r.mu.Unlock()
	put(&r.images, container, image)
}

// image is what is known about the image of a container.
func (r *record) image(container string) pod.Image {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.images[container]
}

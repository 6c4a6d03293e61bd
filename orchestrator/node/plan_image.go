package node

import (
	"fmt"
	"time"

	"github.com/distribution/reference"
	corev1 "k8s.io/api/core/v1"
)

// imageReady tells whether a container's image is there to be started, and otherwise plans what gets it there.
func (p *planner) imageReady(c *corev1.Container, previous *attempt) bool {
	if previous.neverStarted() || p.imageInUse(c) {
		return true
	}
	image := p.images[c.Name]
	switch {
	case !validImage(c.Image):
		p.refuse(c, failure{reason: "InvalidImageName", message: invalidImage(c.Image)},
			event{corev1.EventTypeWarning, "InspectFailed", invalidImage(c.Image)})
	case image.ref != c.Image:
		p.others = append(p.others, step{do: doLook, container: c.Name, image: c.Image, cause: "container " + c.Name + " needs it"})
	case image.pulled:
		return true
	case !image.present && c.ImagePullPolicy == corev1.PullNever:
		message := fmt.Sprintf("Container image %q is not present with pull policy of Never", c.Image)
		p.refuse(c, failure{reason: "ErrImageNeverPull", message: message},
			event{corev1.EventTypeWarning, "ErrImageNeverPull", message})
	case !image.present:
		p.pull(c, "it is not on this machine")
	case c.ImagePullPolicy == corev1.PullAlways && !image.local:
		p.pull(c, "imagePullPolicy Always")
	default:
		return true
	}
	return false
}

// imageInUse tells whether the container before, which the engine still has, vouches for the image, as long as nothing
// else is known about that.
func (p *planner) imageInUse(c *corev1.Container) bool {
	a := p.latest(c.Name)
	return a != nil && !a.removed && a.hash == specHash(c) && c.ImagePullPolicy != corev1.PullAlways && p.images[c.Name] == (imageView{})
}

func (p *planner) pull(c *corev1.Container, cause string) {
	if f, ok := p.pulls[c.Name]; ok && f.ref == c.Image && f.until.After(p.now) {
		message := fmt.Sprintf("Back-off pulling image %q", c.Image)
		p.refuse(c, failure{reason: "ImagePullBackOff", message: message + ": " + f.message, until: f.until},
			event{corev1.EventTypeNormal, "BackOff", message})
		return
	}
	p.others = append(p.others, step{do: doPull, container: c.Name, image: c.Image, cause: cause})
}

// refuse says that a container can't be started now. Beside its own event, kubelet tells of each such refusal with one
// of reason Failed.
func (p *planner) refuse(c *corev1.Container, f failure, e event) {
	f.image = c.Image
	if f.until.IsZero() {
		f.until = p.now.Add(retryPeriod)
	}
	failed := event{corev1.EventTypeWarning, "Failed", "Error: " + f.reason}
	p.others = append(p.others, step{do: doFail, container: c.Name, failure: f, events: []event{e, failed}, cause: f.message})
}

// retryPeriod is how long kubelet waits before it tries again what has no back-off of its own.
const retryPeriod = 10 * time.Second

func validImage(ref string) bool {
	_, err := reference.ParseNormalizedNamed(ref)
	return err == nil
}

func invalidImage(ref string) string {
	_, err := reference.ParseNormalizedNamed(ref)
	return fmt.Sprintf("Failed to apply default image tag %q: couldn't parse image name %q: %v", ref, ref, err)
}

package pod

import (
	"fmt"
	"slices"
	"time"

	"github.com/distribution/reference"
	corev1 "k8s.io/api/core/v1"
)

// wantedImage is an image that a container needs before it can be started: its own, or that of a
// volume.
type wantedImage struct {
	// key is under which the image is listed: the container's name, or ImageVolumeKey of the
	// volume.
	key, ref string
	policy   corev1.PullPolicy
}

// ImageVolumeKey is the key of a volume's image where images, pulls and their operations are listed
// by container. No container can have such a name.
func ImageVolumeKey(volume string) string { return "volume:" + volume }

// imagesReady reports whether a container can be started as far as images go: its own and those of
// its volumes. If not, it plans what is needed for that.
func (p *planner) imagesReady(c *corev1.Container, previous *Attempt) bool {
	if previous.NeverStarted() {
		return true
	}
	if !p.imageInUse(c) && !p.imageReady(c, wantedImage{c.Name, c.Image, c.ImagePullPolicy}) {
		return false
	}
	for _, image := range p.volumeImages(c) {
		if !p.imageReady(c, image) {
			return false
		}
	}
	return true
}

// imageReady is imagesReady for one image.
func (p *planner) imageReady(c *corev1.Container, want wantedImage) bool {
	image := p.Images[want.key]
	failure, failed := p.StartFailures[want.key]
	switch {
	case image.Ref == want.ref && image.Pulled:
		return true
	case p.busy(want.key) || slices.ContainsFunc(p.others, func(s Step) bool { return s.Container == want.key }):
	case failed && failure.Image == want.ref && failure.Until.After(p.Now):
		p.waitUntil(failure.Until, fmt.Sprintf("image %s: %s", want.ref, failure.Reason))
	case !validImage(want.ref):
		p.refuse(c, StartFailure{Reason: "InvalidImageName", Message: invalidImage(want.ref)},
			Event{corev1.EventTypeWarning, "InspectFailed", invalidImage(want.ref)})
	case image.Ref != want.ref:
		p.others = append(p.others, Step{Do: DoLook, Container: want.key, Image: want.ref, cause: "container " + c.Name + " needs it"})
	case !image.Present && want.policy == corev1.PullNever:
		message := fmt.Sprintf("Container image %q is not present with pull policy of Never", want.ref)
		p.refuse(c, StartFailure{Reason: "ErrImageNeverPull", Message: message},
			Event{corev1.EventTypeWarning, "ErrImageNeverPull", message})
	case !image.Present:
		p.pull(c, want, "it is not on this machine")
	case want.policy == corev1.PullAlways && !image.Local:
		p.pull(c, want, "imagePullPolicy Always")
	default:
		return true
	}
	return false
}

// volumeImages are the images of a container's volumes that are still to be made. A volume is made
// for the first container that mounts it, and then holds for the life of the pod.
func (p *planner) volumeImages(c *corev1.Container) []wantedImage {
	var out []wantedImage
	for _, v := range MountedImages(p.Pod, c) {
		key := ImageVolumeKey(v.Name)
		if p.Images[key].Doubted || !p.mounted(v.Name) {
			out = append(out, wantedImage{key, v.Image.Reference, v.Image.PullPolicy})
		}
	}
	return out
}

// mounted reports whether a container that mounts a volume has been created.
func (p *planner) mounted(volume string) bool {
	for _, c := range AllContainers(&p.Pod.Spec) {
		if p.Latest(c.Name) != nil && slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == volume }) {
			return true
		}
	}
	return false
}

// imageInUse reports whether the engine must have the image because it still has a container that
// was made from it, and nothing else is known about the image.
func (p *planner) imageInUse(c *corev1.Container) bool {
	a := p.Latest(c.Name)
	return a != nil && !a.Removed && a.Hash == SpecHash(c) && c.ImagePullPolicy != corev1.PullAlways && p.Images[c.Name] == (Image{})
}

func (p *planner) pull(c *corev1.Container, want wantedImage, cause string) {
	if f, ok := p.PullFailures[want.key]; ok && f.Ref == want.ref && f.Until.After(p.Now) {
		message := fmt.Sprintf("Back-off pulling image %q", want.ref)
		p.refuse(c, StartFailure{Reason: "ImagePullBackOff", Message: message + ": " + f.Message, Until: f.Until},
			Event{corev1.EventTypeNormal, "BackOff", message})
		return
	}
	p.others = append(p.others, Step{Do: DoPull, Container: want.key, Image: want.ref, cause: cause})
}

// refuse says that a container can't be started now. As with kubelet, an event of reason Failed
// follows the one that says why.
func (p *planner) refuse(c *corev1.Container, f StartFailure, e Event) {
	f.Image = c.Image
	if f.Until.IsZero() {
		f.Until = p.Now.Add(RetryPeriod)
	}
	failed := Event{corev1.EventTypeWarning, "Failed", "Error: " + f.Reason}
	p.others = append(p.others, Step{Do: DoRefuse, Container: c.Name, StartFailure: f, Events: []Event{e, failed}, cause: f.Message})
}

// RetryPeriod is how long kubelet waits before it retries what has no back-off of its own.
const RetryPeriod = 10 * time.Second

func validImage(ref string) bool {
	_, err := reference.ParseNormalizedNamed(ref)
	return err == nil
}

func invalidImage(ref string) string {
	_, err := reference.ParseNormalizedNamed(ref)
	return fmt.Sprintf("Failed to apply default image tag %q: couldn't parse image name %q: %v", ref, ref, err)
}

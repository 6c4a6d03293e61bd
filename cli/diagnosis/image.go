package diagnosis

import (
	"cmp"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/cli/events"
)

// imageReasons are the waiting reasons of a container whose image is not there.
var imageReasons = []string{"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed"}

// image is about a container whose image is not there.
func (s *Scene) image(r *Report, p *corev1.Pod, c *corev1.Container, w *corev1.ContainerStateWaiting) {
	r.wrong("is not ready: %s", Reason(w.Reason, w.Message))
	if e := s.pullFailure(p, c); e != nil {
		r.cause("%s, %s", OneLine(e.Message), s.seen(e))
		if w.Reason != "ErrImageNeverPull" {
			s.pulledAgain(r, p, c)
		}
	}
	image := c.Image
	if image == "" {
		return
	}
	switch said := strings.ToLower(w.Message); {
	case w.Reason == "InvalidImageName":
		r.do("mend the image's name of container %s: %q is none", c.Name, image)
	case w.Reason == "ErrImageNeverPull":
		r.do("build it (docker build -t %s .), pull it (docker pull %s), or set imagePullPolicy to IfNotPresent", image, image)
	case strings.Contains(said, "unauthorized"), strings.Contains(said, "denied"), strings.Contains(said, "authentication required"):
		r.do("see whether the image's name is right, and log in: docker login, or imagePullSecrets in the pod")
		r.do("if it is to be built here: docker build -t %s .", image)
	case strings.Contains(said, "no such host"), strings.Contains(said, "timeout"), strings.Contains(said, "connection refused"), strings.Contains(said, "server misbehaving"):
		r.do("see whether the engine reaches the registry: docker pull %s", image)
		r.do("if it is to be built here: docker build -t %s .", image)
	default:
		r.do("see whether the image's name and tag are right, and build it (docker build -t %s .) or push it to its registry", image)
	}
}

// pullFailure is the newest event in which the engine said why it could not pull a container's image.
func (s *Scene) pullFailure(p *corev1.Pod, c *corev1.Container) *corev1.Event {
	var found *corev1.Event
	all := s.about(p, "Pod")
	for i := range all {
		if e := &all[i]; e.Reason == "Failed" && strings.HasPrefix(e.Message, "Failed to pull image") && ofContainer(e, c.Name) {
			found = e
		}
	}
	return found
}

// The longest wait between two pulls that fail, as kubelet has it.
const (
	firstPullWait = 10 * time.Second
	maxPullWait   = 5 * time.Minute
)

// pulledAgain adds when a pull that has failed is tried again: the wait doubles with each.
func (s *Scene) pulledAgain(r *Report, p *corev1.Pod, c *corev1.Container) {
	e := s.pullFailure(p, c)
	wait := firstPullWait
	for n := int32(1); n < cmp.Or(e.Count, 1) && wait < maxPullWait; n++ {
		wait = min(2*wait, maxPullWait)
	}
	if at := events.Last(e).Add(wait); at.After(s.Now) {
		r.next("the image is pulled again at about %s, or as soon as the engine has it", s.at(at))
		return
	}
	r.next("the image is pulled again within %s, or as soon as the engine has it", maxPullWait)
}

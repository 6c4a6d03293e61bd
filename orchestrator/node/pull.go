package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/docker"
	"skiff/orchestrator/node/pod"
)

// lookForImages asks the engine about the images that a plan needs to know about, and reports
// whether that makes the plan out of date.
func (a *Agent) lookForImages(ctx context.Context, r *record, v *pod.View, p pod.Plan) bool {
	looked := false
	for _, s := range p {
		if s.Do != pod.DoLook {
			continue
		}
		image, err := a.Runtime.Image(ctx, s.Image)
		switch {
		case isOutage(err):
			a.engineDown(err)
			return true
		case ctx.Err() != nil:
			return false
		case err != nil && !errors.Is(err, docker.ErrImageNotFound):
			a.emit(v.Pod, s.Container, corev1.EventTypeWarning, "InspectFailed", "Failed to inspect image %q: %v", s.Image, err)
			r.startFailed(s.Container, pod.StartFailure{
				Reason: "ImageInspectError", Message: fmt.Sprintf("Failed to inspect image %q: %v", s.Image, err),
				Image: s.Image, Until: a.Clock.Now().Add(pod.RetryPeriod),
			})
		default:
			r.setImage(s.Container, a.images.assess(s.Image, image, err == nil))
		}
		looked = true
	}
	return looked
}

// pull pulls an image for a container or a volume. If that fails and the engine has the image, that
// one is used whatever the policy says: skiff promises that the images of this machine run with or
// without a network.
func (a *Agent) pull(ctx context.Context, r *record, v *pod.View, s pod.Step) {
	key, ref := s.Container, withTag(s.Image)
	a.emit(v.Pod, key, corev1.EventTypeNormal, "Pulling", "Pulling image %q", ref)
	begun := a.Clock.Now()
	took, err := a.images.pull(ctx, &a.background, pullRequest{s.Image, a.pullCredentials(v.Pod)}, func(progress string) {
		if r.progressed(key, progress) {
			a.toWrite.add(r.uid)
		}
	})
	had := v.Images[key]
	switch {
	case ctx.Err() != nil:
	case isOutage(err):
		a.engineDown(err)
	case err == nil:
		a.pulled(ctx, r, v, s, took, a.Clock.Since(begun))
	case had.Present:
		a.emit(v.Pod, key, corev1.EventTypeWarning, "Pulled",
			"Image %q could not be pulled, the one on this machine is used: %s", ref, err)
		had.Pulled = true
		r.setImage(key, had)
	default:
		a.pullFailed(r, v, s, ref, err)
	}
}

// pullCredentials are the pod's image pull secrets as documents in the form of docker's
// config.json. As with kubelet, a missing secret is an event, and the image is pulled without it.
func (a *Agent) pullCredentials(pod *corev1.Pod) [][]byte {
	var found [][]byte
	var missing []string
	for _, ref := range pod.Spec.ImagePullSecrets {
		secret, err := a.Secret(pod.Namespace, ref.Name)
		if err != nil {
			missing = append(missing, ref.Name)
			continue
		}
		if document := secret.Data[corev1.DockerConfigJsonKey]; len(document) > 0 {
			found = append(found, document)
		} else if auths := secret.Data[corev1.DockerConfigKey]; len(auths) > 0 {
			found = append(found, slices.Concat([]byte(`{"auths":`), auths, []byte(`}`)))
		}
	}
	if len(missing) > 0 {
		a.emit(pod, "", corev1.EventTypeWarning, "FailedToRetrieveImagePullSecret",
			"Unable to retrieve some image pull secrets (%s); attempting to pull the image may not succeed.", strings.Join(missing, ", "))
	}
	return found
}

func (a *Agent) pulled(ctx context.Context, r *record, v *pod.View, s pod.Step, took, waited time.Duration) {
	image, err := a.Runtime.Image(ctx, s.Image)
	if err != nil {
		r.setImage(s.Container, pod.Image{Doubted: true})
		return
	}
	a.emit(v.Pod, s.Container, corev1.EventTypeNormal, "Pulled",
		"Successfully pulled image %q in %v (%v including waiting). Image size: %v bytes.",
		withTag(s.Image), took.Truncate(time.Millisecond), waited.Truncate(time.Millisecond), image.Size)
	a.images.noteFetched(s.Image, image.ID)
	known := a.images.assess(s.Image, image, true)
	known.Pulled = true
	r.setImage(s.Container, known)
}

// pullErrorShown is how long ErrImagePull shows before it becomes ImagePullBackOff.
const pullErrorShown = 2 * time.Second

func (a *Agent) pullFailed(r *record, v *pod.View, s pod.Step, ref string, err error) {
	const reason = "ErrImagePull"
	message := fmt.Sprintf("Failed to pull image %q: %v", ref, err)
	a.emit(v.Pod, s.Container, corev1.EventTypeWarning, "Failed", "%s", message)
	a.emit(v.Pod, s.Container, corev1.EventTypeWarning, "Failed", "Error: %s", reason)
	now := a.Clock.Now()
	r.startFailed(s.Container, pod.StartFailure{Reason: reason, Message: err.Error(), Image: s.Image, Until: now.Add(pullErrorShown)})
	r.pullFailed(s.Container, s.Image, reason+": "+err.Error(), a.pullPolicy, now)
}

// emitPresent records an event for an image that did not have to be pulled. key is the container's
// name or that of a volume's image.
func (a *Agent) emitPresent(r *record, p *corev1.Pod, key, ref string, policy corev1.PullPolicy) {
	image := r.image(key)
	if image.Pulled {
		return
	}
	message := fmt.Sprintf("Container image %q already present on machine and can be accessed by the pod", ref)
	if image.Unknown && policy == corev1.PullAlways {
		message += "; it may have been built here, so it is not pulled in spite of imagePullPolicy Always: remove it to get the registry's"
	}
	a.emit(p, key, corev1.EventTypeNormal, "Pulled", "%s", message)
}

// withTag is an image reference with the tag that it implies.
func withTag(ref string) string {
	name := ref[strings.LastIndex(ref, "/")+1:]
	if strings.ContainsAny(name, ":@") {
		return ref
	}
	return ref + ":latest"
}

// withoutID replaces a container's ID in a message by its name. Every attempt has another ID, and
// with it in the message no two events would be the same.
func withoutID(message, id, name string) string {
	if id == "" {
		return message
	}
	return strings.ReplaceAll(message, id, name)
}

package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/docker/go-units"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"

	"skiff/docker"
)

// images pulls images, each once at a time, whoever wants it.
type images struct {
	runtime Runtime
	clock   clock.WithTicker

	mu    sync.Mutex
	pulls map[string]*sharedPull
	// fetched are the IDs of the images that this agent has pulled itself, by reference.
	fetched map[string]string
}

// sharedPull is a pull that several containers may wait for.
type sharedPull struct {
	done    chan struct{}
	waiting int
	cancel  context.CancelFunc
	took    time.Duration
	err     error
	// fetched and size are bytes over all layers known so far.
	fetched, size atomic.Int64
}

// progressPeriod is how often a pull that takes its time says how far it is.
const progressPeriod = time.Second

// progress is how far the pull is, empty while the registry has not said how much there is.
func (p *sharedPull) progress(ref string) string {
	size := p.size.Load()
	if size == 0 {
		return ""
	}
	return fmt.Sprintf("Pulling image %q: %s of %s", ref, units.HumanSize(float64(p.fetched.Load())), units.HumanSize(float64(size)))
}

func newImages(r Runtime, c clock.WithTicker) *images {
	return &images{runtime: r, clock: c, pulls: map[string]*sharedPull{}, fetched: map[string]string{}}
}

// wanted is an image and the credentials to pull it with. Two that differ in these are pulled one beside the other:
// nobody gets an image through somebody else's credentials.
type wanted struct {
	ref         string
	credentials [][]byte
}

func (w wanted) key() string { return w.ref + "\x00" + string(bytes.Join(w.credentials, []byte{0})) }

// pull pulls an image, or waits for a pull of it that is under way. The pull goes on for as long as anyone waits. It
// returns how long the pull itself took, and tells meanwhile how far it is.
func (i *images) pull(ctx context.Context, w *works, image wanted, tell func(progress string)) (time.Duration, error) {
	p := i.join(w, image)
	ticker := i.clock.NewTicker(progressPeriod)
	defer ticker.Stop()
	for {
		select {
		case <-p.done:
			return p.took, p.err
		case <-ctx.Done():
			i.leave(image.key(), p)
			return 0, ctx.Err()
		case <-ticker.C():
			tell(p.progress(withTag(image.ref)))
		}
	}
}

func (i *images) join(w *works, image wanted) *sharedPull {
	i.mu.Lock()
	defer i.mu.Unlock()
	if p, ok := i.pulls[image.key()]; ok {
		p.waiting++
		return p
	}
	p := &sharedPull{done: make(chan struct{}), waiting: 1}
	i.pulls[image.key()] = p
	p.cancel = w.start(func(ctx context.Context) {
		begun := i.clock.Now()
		p.err = i.runtime.Pull(ctx, image.ref, docker.PullOptions{
			Credentials: image.credentials,
			Progress:    func(_ string, fetched, size int64) { p.fetched.Store(fetched); p.size.Store(size) },
		})
		p.took = i.clock.Since(begun)
		i.mu.Lock()
		defer i.mu.Unlock()
		i.drop(image.key(), p)
		close(p.done)
	})
	return p
}

// leave gives a pull up when nobody waits for it any more.
func (i *images) leave(key string, p *sharedPull) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if p.waiting--; p.waiting == 0 {
		i.drop(key, p)
		p.cancel()
	}
}

func (i *images) drop(key string, p *sharedPull) {
	if i.pulls[key] == p {
		delete(i.pulls, key)
	}
}

// lookForImages asks the engine about the images a plan wants to know about, and returns whether that makes the plan
// out of date.
func (a *Agent) lookForImages(ctx context.Context, r *record, v *view, p plan) bool {
	looked := false
	for _, s := range p {
		if s.do != doLook {
			continue
		}
		image, err := a.Runtime.Image(ctx, s.image)
		switch {
		case isOutage(err):
			a.engineFailed(err)
			return true
		case ctx.Err() != nil:
			return false
		case err != nil && !errors.Is(err, docker.ErrImageNotFound):
			a.tell(v.pod, s.container, corev1.EventTypeWarning, "InspectFailed", "Failed to inspect image %q: %v", s.image, err)
			r.fail(s.container, failure{
				reason: "ImageInspectError", message: fmt.Sprintf("Failed to inspect image %q: %v", s.image, err),
				image: s.image, until: a.Clock.Now().Add(retryPeriod),
			})
		default:
			r.know(s.container, a.images.view(s.image, image, err == nil))
		}
		looked = true
	}
	return looked
}

// doubt has an image looked for that was taken for granted.
func (r *record) doubt(container string) { r.know(container, imageView{doubted: true}) }

func (r *record) know(container string, image imageView) {
	r.mu.Lock()
	defer r.mu.Unlock()
	put(&r.images, container, image)
}

// view is what the engine's answer about an image means. One that was built on this machine is used as it is even where
// the policy is Always, which is the API's default for the tag latest: no registry has it, or what a registry has under
// the same name is not what its owner has just built and wants to see run.
//
// Engines tell in two ways where an image comes from. The classic store gives a digest only to what has been in a
// registry. The containerd store gives one to every image, the digest being the image's ID, and so tells nothing: there
// the tag latest is taken for built here unless this agent has pulled that very image since it was started. Any other tag
// gets the policy Always from nobody but the user, who means it.
func (i *images) view(ref string, image docker.Image, present bool) imageView {
	v := imageView{ref: ref, present: present, id: image.ID}
	if len(image.RepoDigests) > 0 {
		v.id = image.RepoDigests[0]
	}
	switch {
	case !present:
	case len(image.RepoDigests) == 0:
		v.local = true
	case digestIsID(image) && strings.HasSuffix(withTag(ref), ":latest"):
		v.unknown = !i.hasFetched(ref, image.ID)
		v.local = v.unknown
	}
	return v
}

// digestIsID tells whether the engine keeps the image in containerd's store, which knows it by its digest.
func digestIsID(image docker.Image) bool {
	return slices.ContainsFunc(image.RepoDigests, func(d string) bool { return strings.HasSuffix(d, "@"+image.ID) })
}

func (i *images) hasFetched(ref, id string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetched[ref] == id
}

// noteFetched notes that an image comes from its registry.
func (i *images) noteFetched(ref, id string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.fetched[ref] = id
}

// pull gets a container's image from its registry. If that fails and the engine has the image, that one is used,
// whatever the policy says: skiff's promise is that the images of this machine run, with or without a network.
func (a *Agent) pull(ctx context.Context, r *record, v *view, s step) {
	c := findContainer(&v.pod.Spec, s.container)
	ref := withTag(s.image)
	a.tell(v.pod, c.Name, corev1.EventTypeNormal, "Pulling", "Pulling image %q", ref)
	begun := a.Clock.Now()
	took, err := a.images.pull(ctx, &a.works, wanted{s.image, a.pullCredentials(v.pod)}, func(progress string) { a.pulling(r, c.Name, progress) })
	had := v.images[c.Name]
	switch {
	case ctx.Err() != nil:
	case isOutage(err):
		a.engineFailed(err)
	case err == nil:
		a.pulled(ctx, r, v, c, took, a.Clock.Since(begun))
	case had.present:
		a.tell(v.pod, c.Name, corev1.EventTypeWarning, "Pulled",
			"Image %q could not be pulled, the one on this machine is used: %s", ref, err)
		had.pulled = true
		r.know(c.Name, had)
	default:
		a.pullFailed(r, v, c, ref, err)
	}
}

// pulling shows how far a pull is.
func (a *Agent) pulling(r *record, container, progress string) {
	r.mu.Lock()
	w, ok := r.works[container]
	changed := ok && w.task == taskPull && w.progress != progress
	if changed {
		w.progress = progress
	}
	r.mu.Unlock()
	if changed {
		a.toWrite.add(r.uid)
	}
}

// pullCredentials are what the pod's image pull secrets hold, as documents of docker's config.json. As with kubelet, a secret that is
// missing is told of, and the pull is tried all the same.
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
		a.tell(pod, "", corev1.EventTypeWarning, "FailedToRetrieveImagePullSecret",
			"Unable to retrieve some image pull secrets (%s); attempting to pull the image may not succeed.", strings.Join(missing, ", "))
	}
	return found
}

func (a *Agent) pulled(ctx context.Context, r *record, v *view, c *corev1.Container, took, waited time.Duration) {
	image, err := a.Runtime.Image(ctx, c.Image)
	if err != nil {
		r.doubt(c.Name)
		return
	}
	a.tell(v.pod, c.Name, corev1.EventTypeNormal, "Pulled",
		"Successfully pulled image %q in %v (%v including waiting). Image size: %v bytes.",
		withTag(c.Image), took.Truncate(time.Millisecond), waited.Truncate(time.Millisecond), image.Size)
	a.images.noteFetched(c.Image, image.ID)
	know := a.images.view(c.Image, image, true)
	know.pulled = true
	r.know(c.Name, know)
}

// pullShown is how long ErrImagePull shows before it becomes ImagePullBackOff.
const pullShown = 2 * time.Second

func (a *Agent) pullFailed(r *record, v *view, c *corev1.Container, ref string, err error) {
	const reason = "ErrImagePull"
	message := fmt.Sprintf("Failed to pull image %q: %v", ref, err)
	a.tell(v.pod, c.Name, corev1.EventTypeWarning, "Failed", "%s", message)
	a.tell(v.pod, c.Name, corev1.EventTypeWarning, "Failed", "Error: %s", reason)
	now := a.Clock.Now()
	r.fail(c.Name, failure{reason: reason, message: err.Error(), image: c.Image, until: now.Add(pullShown)})
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.pulls[c.Name]
	if p == nil || p.ref != c.Image {
		p = &pullRecord{}
		put(&r.pulls, c.Name, p)
	}
	p.backoff = p.backoff.next(a.pullPolicy, now, now)
	p.pullFailure = pullFailure{ref: c.Image, message: reason + ": " + err.Error(), until: now.Add(p.backoff.delay)}
}

// tellPresent tells that an image did not have to be pulled.
func (a *Agent) tellPresent(r *record, pod *corev1.Pod, c *corev1.Container) {
	r.mu.Lock()
	image := r.images[c.Name]
	r.mu.Unlock()
	if image.pulled {
		return
	}
	message := fmt.Sprintf("Container image %q already present on machine and can be accessed by the pod", c.Image)
	if image.unknown && c.ImagePullPolicy == corev1.PullAlways {
		message += "; it may have been built here, so it is not pulled in spite of imagePullPolicy Always: remove it to get the registry's"
	}
	a.tell(pod, c.Name, corev1.EventTypeNormal, "Pulled", "%s", message)
}

// withTag is the reference with the tag it implies.
func withTag(ref string) string {
	name := ref[strings.LastIndex(ref, "/")+1:]
	if strings.ContainsAny(name, ":@") {
		return ref
	}
	return ref + ":latest"
}

// withoutID replaces a container's ID in a message by its name: every run has another ID, and events could not be
// counted as the same.
func withoutID(message, id, name string) string {
	if id == "" {
		return message
	}
	return strings.ReplaceAll(message, id, name)
}

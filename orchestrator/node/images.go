package node

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/docker/go-units"
	"k8s.io/utils/clock"

	"skiff/docker"
	"skiff/orchestrator/node/pod"
)

// images pulls images; concurrent requests share one pull.
type images struct {
	runtime Runtime
	clock   clock.WithTicker

	mu    sync.Mutex
	pulls map[string]*sharedPull
	// fetched are the IDs of the images that this agent has pulled, by reference.
	fetched map[string]string
}

// sharedPull is a pull that several containers may wait for. took and err are set when done is
// closed; waiting is guarded by images.mu.
type sharedPull struct {
	done    chan struct{}
	waiting int
	cancel  context.CancelFunc
	took    time.Duration
	err     error
	// fetched and size are in bytes, over all layers known so far.
	fetched, size atomic.Int64
}

// progressPeriod is how often the progress of a pull is shown.
const progressPeriod = time.Second

// progress is the progress of the pull in words, empty while its size is not known.
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

// pullRequest is an image and the credentials to pull it with. Requests that differ in these do not
// share a pull: nobody gets an image through somebody else's credentials.
type pullRequest struct {
	ref         string
	credentials [][]byte
}

func (w pullRequest) key() string {
	return w.ref + "\x00" + string(bytes.Join(w.credentials, []byte{0}))
}

// pull pulls an image, or waits for a pull of it that is under way, and calls show with its
// progress. The pull goes on as long as anybody waits for it. It returns how long the pull itself
// took.
func (i *images) pull(ctx context.Context, w *background, image pullRequest, show func(progress string)) (time.Duration, error) {
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
			show(p.progress(withTag(image.ref)))
		}
	}
}

func (i *images) join(w *background, image pullRequest) *sharedPull {
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

// leave cancels a pull when nobody waits for it any more.
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

// assess says what the engine's answer about an image means. An image that was built on this
// machine is used as it is even if the pull policy is Always, which is the API's default for the
// tag latest. Either no registry has it, or a registry has something else under its name than what
// its owner has just built.
//
// Where an image comes from depends on the engine's image store. The classic store gives a digest
// only to images that have been in a registry. The containerd store gives one to every image, its
// ID, and so does not say: there an image tagged latest counts as built here unless this agent has
// pulled it since it was started. With any other tag it was the user who asked for Always.
func (i *images) assess(ref string, image docker.Image, present bool) pod.Image {
	v := pod.Image{Ref: ref, Present: present, ID: image.ID}
	if len(image.RepoDigests) > 0 {
		v.ID = image.RepoDigests[0]
	}
	switch {
	case !present:
	case len(image.RepoDigests) == 0:
		v.Local = true
	case digestIsID(image) && strings.HasSuffix(withTag(ref), ":latest"):
		v.Unknown = !i.hasFetched(ref, image.ID)
		v.Local = v.Unknown
	}
	return v
}

// digestIsID reports whether the engine keeps the image in containerd's store, where its ID is its
// digest.
func digestIsID(image docker.Image) bool {
	return slices.ContainsFunc(image.RepoDigests, func(d string) bool { return strings.HasSuffix(d, "@"+image.ID) })
}

func (i *images) hasFetched(ref, id string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetched[ref] == id
}

// noteFetched records that an image comes from its registry.
func (i *images) noteFetched(ref, id string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.fetched[ref] = id
}

package volume

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
)

// TokenSource issues tokens of pods' service accounts, for an audience, or for the API if it is
// empty.
type TokenSource interface {
	PodToken(pod *corev1.Pod, audience string, seconds int64) (token string, expires time.Time, err error)
}

// When a token is replaced: at four fifths of its life, or when it is a day old, as kubelet does
// (k8s.io/kubernetes/pkg/kubelet/token). If that fails, it is tried again a minute later.
const (
	maxTokenAge   = 24 * time.Hour
	tokenRetry    = time.Minute
	tokenLife     = int64(60 * 60) // of a projection that does not say it, in seconds
	tokenLifePart = 0.8
)

// tokens are those that are projected into pods.
type tokens struct {
	source TokenSource
	clock  clock.PassiveClock

	mu   sync.Mutex
	pods map[types.UID]map[string]*token // by the projection's volume and path
}

// token is what one projection shows.
type token struct {
	value   string
	expires time.Time
	renew   time.Time
	tries   int // how many times one has been asked for
}

func tokenKey(volume string, p *corev1.ServiceAccountTokenProjection) string {
	return volume + "/" + p.Path
}

// value is the token that a projection is to show now.
func (t *tokens) value(pod *corev1.Pod, volume string, p *corev1.ServiceAccountTokenProjection) (string, error) {
	if t.source == nil {
		return "", errors.New("skiff does not support projected volumes with a serviceAccountToken")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now, key := t.clock.Now(), tokenKey(volume, p)
	kept := t.pods[pod.UID][key]
	if kept == nil {
		kept = &token{}
		if t.pods == nil {
			t.pods = map[types.UID]map[string]*token{}
		}
		if t.pods[pod.UID] == nil {
			t.pods[pod.UID] = map[string]*token{}
		}
		t.pods[pod.UID][key] = kept
	}
	if kept.value != "" && now.Before(kept.renew) {
		return kept.value, nil
	}
	kept.tries++
	value, expires, err := t.source.PodToken(pod, p.Audience, ptr.Deref(p.ExpirationSeconds, tokenLife))
	if err == nil {
		kept.value, kept.expires = value, expires
		kept.renew = renewal(now, expires)
		return value, nil
	}
	kept.renew = now.Add(tokenRetry)
	if kept.value != "" && now.Before(kept.expires) {
		return kept.value, nil // it is still good
	}
	return "", fmt.Errorf("failed to fetch token: %w", err)
}

func renewal(issued, expires time.Time) time.Time {
	life := time.Duration(float64(expires.Sub(issued)) * tokenLifePart)
	return issued.Add(min(life, maxTokenAge))
}

// version changes when the projection is to show another token.
func (t *tokens) version(uid types.UID, volume string, p *corev1.ServiceAccountTokenProjection) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	kept := t.pods[uid][tokenKey(volume, p)]
	switch {
	case kept == nil:
		return "1"
	case t.clock.Now().Before(kept.renew):
		return strconv.Itoa(kept.tries)
	}
	return strconv.Itoa(kept.tries + 1)
}

// renewIn is how long it is until a token of the pod is to be replaced, 0 if it has none.
func (t *tokens) renewIn(uid types.UID) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	var in time.Duration
	for _, kept := range t.pods[uid] {
		left := kept.renew.Sub(t.clock.Now())
		if left <= 0 { // it is being replaced, or nothing of the pod runs
			left = tokenRetry
		}
		if in == 0 || left < in {
			in = left
		}
	}
	return in
}

func (t *tokens) forget(uid types.UID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.pods, uid)
}

// RenewIn is how long it is until the files of the pod's volumes have to be rewritten because a token
// in them grows old, 0 if there is none.
func (v *Manager) RenewIn(uid types.UID) time.Duration { return v.tokens().renewIn(uid) }

// tokens are made at first use: a Manager is made without a constructor.
func (v *Manager) tokens() *tokens {
	v.tokensOnce.Do(func() {
		v.projected = &tokens{source: v.Tokens, clock: v.Clock}
		if v.Clock == nil {
			v.projected.clock = clock.RealClock{}
		}
	})
	return v.projected
}

// addToken adds the file of a token. Where the pod says as whom its containers run, it is theirs
// alone.
func (w *payloadWriter) addToken(p *corev1.ServiceAccountTokenProjection, mode *int32) error {
	value, err := w.tokens.value(w.pod, w.volume, p)
	if err != nil {
		return err
	}
	f := file{data: []byte(value), mode: fileMode(nil, mode), uid: onlyUser(w.pod)}
	if f.uid != nil || fsGroup(w.pod) != nil {
		f.mode = 0o600
	}
	w.files[p.Path] = f
	return nil
}

// onlyUser is the user as whom all containers of the pod run, nil if the pod does not say or there are
// several.
func onlyUser(pod *corev1.Pod) *int64 {
	var common *int64
	if s := pod.Spec.SecurityContext; s != nil {
		common = s.RunAsUser
	}
	var only *int64
	for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range containers {
			uid := common
			if s := containers[i].SecurityContext; s != nil && s.RunAsUser != nil {
				uid = s.RunAsUser
			}
			if uid == nil || only != nil && *only != *uid {
				return nil
			}
			only = uid
		}
	}
	return only
}

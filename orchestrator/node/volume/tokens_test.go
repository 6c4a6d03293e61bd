package volume

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"skiff/orchestrator/node/env"
	"skiff/orchestrator/node/internal/podtest"
)

// issuer counts the tokens it issues.
type issuer struct {
	clock  *clocktesting.FakePassiveClock
	issued int
	err    error
}

func (i *issuer) PodToken(pod *corev1.Pod, audience string, seconds int64) (string, time.Time, error) {
	if i.err != nil {
		return "", time.Time{}, i.err
	}
	i.issued++
	return fmt.Sprintf("%d for %q of %s", i.issued, audience, pod.Name), i.clock.Now().Add(time.Duration(seconds) * time.Second), nil
}

func tokenPod(t *testing.T, spec string) *corev1.Pod {
	return podtest.Pod(t, `{`+spec+`containers: [{name: c}], volumes: [{name: v, projected: {sources: [
		{serviceAccountToken: {path: token, expirationSeconds: 3600, audience: vault}}]}}]}`)
}

func TestTokensAreReplacedInTime(t *testing.T) {
	clk := clocktesting.NewFakePassiveClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	source := &issuer{clock: clk}
	v := &Manager{Dir: t.TempDir(), Sources: podtest.NewObjects(), Tokens: source, Clock: clk}
	pod := tokenPod(t, "")
	key := "token v/token"
	if err := v.Prepare(t.Context(), pod, env.Facts{}); err != nil {
		t.Fatal(err)
	}
	look := func(after time.Duration, stale bool, want string, renew time.Duration) {
		t.Helper()
		before := v.Versions(pod)[key]
		clk.SetTime(clk.Now().Add(after))
		if now := v.Versions(pod)[key]; (now != before) != stale {
			t.Errorf("version %s, before %s, want stale=%v", now, before, stale)
		}
		if err := v.Rewrite(pod, env.Facts{}); err != nil {
			t.Error(err)
		}
		if got := tree(t, v.path(pod.UID, "v")); got != want {
			t.Errorf("files %s, want %s", got, want)
		}
		if got := v.RenewIn(pod.UID); got != renew {
			t.Errorf("renewed in %s, want %s", got, renew)
		}
	}
	first := `token 644 "1 for \"vault\" of kubia"`
	look(0, false, first, 48*time.Minute)
	look(48*time.Minute-time.Second, false, first, time.Second)
	look(time.Second, true, strings.Replace(first, "1", "2", 1), 48*time.Minute)
	source.err = errors.New("the account is gone")
	look(48*time.Minute, true, strings.Replace(first, "1", "2", 1), tokenRetry) // it is still good
	source.err = nil
	look(tokenRetry, true, strings.Replace(first, "1", "3", 1), 48*time.Minute)
	source.err = errors.New("the account is gone")
	clk.SetTime(clk.Now().Add(time.Hour))
	if err := v.Rewrite(pod, env.Facts{}); fmt.Sprint(err) != `MountVolume.SetUp failed for volume "v" : failed to fetch token: the account is gone` {
		t.Error(err)
	}
	if err := v.Remove(t.Context(), pod.UID); err != nil || v.RenewIn(pod.UID) != 0 {
		t.Errorf("%v, renewed in %s after the pod is gone", err, v.RenewIn(pod.UID))
	}
}

// TestOldTokens: one that is good for long is replaced each day.
func TestOldTokens(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for life, want := range map[time.Duration]time.Duration{10 * time.Minute: 8 * time.Minute, time.Hour: 48 * time.Minute, 365 * 24 * time.Hour: 24 * time.Hour} {
		if got := renewal(now, now.Add(life)).Sub(now); got != want {
			t.Errorf("of %s: after %s, want %s", life, got, want)
		}
	}
}

// TestWhoseTokens: kubelet's rules for who may read a token.
func TestWhoseTokens(t *testing.T) {
	uid, gid := os.Getuid(), os.Getgid() // the only ones that any user can give a file to
	for _, c := range []struct {
		name, spec string
		want       os.FileMode
	}{
		{"everybody", "", 0o644},
		{"one user", fmt.Sprintf("securityContext: {runAsUser: %d}, ", uid), 0o600},
		{"a group", fmt.Sprintf("securityContext: {fsGroup: %d}, ", gid), 0o640},
		{"several users", fmt.Sprintf("initContainers: [{name: i, securityContext: {runAsUser: 7}}], securityContext: {runAsUser: %d}, ", uid), 0o644},
	} {
		t.Run(c.name, func(t *testing.T) {
			clk := clocktesting.NewFakePassiveClock(time.Now())
			v := &Manager{Dir: t.TempDir(), Sources: podtest.NewObjects(), Tokens: &issuer{clock: clk}, Clock: clk}
			pod := tokenPod(t, c.spec)
			if err := v.Prepare(t.Context(), pod, env.Facts{}); err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(filepath.Join(v.path(pod.UID, "v"), "token"))
			if err != nil || info.Mode().Perm() != c.want {
				t.Errorf("mode %v, %v, want %v", info.Mode(), err, c.want)
			}
		})
	}
}

package datadir

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/utils/clock"
)

func testDir(t *testing.T) Dir {
	t.Helper()
	d := Dir(t.TempDir())
	if err := d.Prepare(); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestFind(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Chdir(home)
	for _, test := range []struct {
		name, given string
		env         map[string]string
		want        Dir
	}{
		{"named", "/n", map[string]string{EnvVar: "/e"}, "/n"},
		{"named from here", "n", nil, Dir(filepath.Join(home, "n"))},
		{"by the environment", "", map[string]string{EnvVar: "/e", "XDG_STATE_HOME": "/s"}, "/e"},
		{"in the state home", "", map[string]string{"XDG_STATE_HOME": "/s"}, "/s/skiff"},
		{"a relative state home is none", "", map[string]string{"XDG_STATE_HOME": "s"}, Dir(filepath.Join(home, ".local/state/skiff"))},
		{"at home", "", nil, Dir(filepath.Join(home, ".local/state/skiff"))},
	} {
		got, err := Find(test.given, func(k string) (string, bool) { v, ok := test.env[k]; return v, ok })
		if got != test.want || err != nil {
			t.Errorf("%s: %q, %v; want %q", test.name, got, err, test.want)
		}
	}
}

func TestLockNamesItsHolder(t *testing.T) {
	d := testDir(t)
	if pid, err := d.Holder(); pid != 0 || err != nil {
		t.Fatalf("before: %d, %v", pid, err)
	}
	l, err := d.Acquire(t.Context(), clock.RealClock{})
	if err != nil {
		t.Fatal(err)
	}
	if pid, err := d.Holder(); pid != os.Getpid() || err != nil {
		t.Errorf("held: %d, %v", pid, err)
	}
	var held *HeldError
	if _, err := d.Acquire(t.Context(), clock.RealClock{}); !errors.As(err, &held) || held.pid != os.Getpid() {
		t.Errorf("a second one: %v", err)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	if pid, err := d.Holder(); pid != 0 || err != nil {
		t.Errorf("released: %d, %v", pid, err)
	}
}

// TestLookingDoesNotKeepFromLocking looks for the holder all the time while somebody else takes the
// lock.
func TestLookingDoesNotKeepFromLocking(t *testing.T) {
	d := testDir(t)
	ctx, cancel := context.WithCancel(t.Context())
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		for ctx.Err() == nil {
			if _, err := d.Holder(); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for range 50 {
		l, err := d.Acquire(t.Context(), clock.RealClock{})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Release(); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	<-looked
}

func TestInstanceIsKeptAndPrivate(t *testing.T) {
	d := testDir(t)
	first, err := d.InstanceID()
	if err != nil || len(first) != 8 {
		t.Fatalf("%q, %v", first, err)
	}
	if again, err := d.InstanceID(); again != first || err != nil {
		t.Errorf("%q, %v", again, err)
	}
	if other, err := testDir(t).InstanceID(); other == first || err != nil {
		t.Errorf("another directory: %q, %v", other, err)
	}
	if info, err := os.Stat(d.instanceFile()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestWithoutADaemonTheKubeconfigSaysSo(t *testing.T) {
	d := testDir(t)
	for _, left := range []string{"nothing", "the file of a daemon that was killed"} {
		if _, err := d.ReadKubeconfig(); err == nil || !strings.Contains(err.Error(), "no daemon runs") || !strings.Contains(err.Error(), "skiff daemon start") {
			t.Errorf("%s: %v", left, err)
		}
		if err := d.WriteKubeconfig(NewKubeconfig("127.0.0.1:1", ClientIdentity{})); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNamespaceOutlivesTheKubeconfig(t *testing.T) {
	d := Dir(t.TempDir())
	fresh := func() string {
		cfg := NewKubeconfig("127.0.0.1:1", ClientIdentity{})
		if err := d.RecallNamespace(cfg); err != nil {
			t.Fatal(err)
		}
		return cfg.Contexts[ContextName].Namespace
	}
	if got := fresh(); got != "default" {
		t.Errorf("at first %q", got)
	}
	chosen := NewKubeconfig("127.0.0.1:1", ClientIdentity{})
	chosen.Contexts[ContextName].Namespace = "dev"
	if err := d.WriteKubeconfig(chosen); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second removal finds no file
		if err := d.RemoveKubeconfig(); err != nil {
			t.Fatal(err)
		}
	}
	if got := fresh(); got != "dev" {
		t.Errorf("afterwards %q, want the namespace that was chosen", got)
	}
}

// What a reset removes, before and after somebody has come to rely on the authority.
func TestAuthorityOutlivesAReset(t *testing.T) {
	d := Dir(filepath.Join(t.TempDir(), "data"))
	fill := func() {
		t.Helper()
		if err := os.MkdirAll(d.Credentials(), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, file := range []string{d.Database(), d.instanceFile(), d.addressFile(), d.AuthorityFile()} {
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	reset := func() (left []string) {
		t.Helper()
		for _, file := range d.Resettable() {
			if err := os.RemoveAll(file); err != nil {
				t.Fatal(err)
			}
		}
		entries, err := os.ReadDir(string(d))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			left = append(left, e.Name())
		}
		return left
	}
	fill()
	if left := reset(); len(left) > 0 {
		t.Errorf("left, though nobody relies on it: %v", left)
	}
	fill()
	if err := d.KeepAuthority(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // a second reset too
		if left := reset(); !slices.Equal(left, []string{"address", "authority-is-known", "ca.crt", "credentials"}) {
			t.Errorf("left: %v", left)
		}
	}
	fill()
	if err := d.ForgetAuthority(); err != nil {
		t.Fatal(err)
	}
	if left := reset(); len(left) > 0 {
		t.Errorf("left, though forgotten: %v", left)
	}
	fill()
	if err := errors.Join(d.KeepAuthority(), os.Remove(d.instanceFile()), os.Remove(d.Database()), d.ForgetAuthority()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(string(d)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is left: %v", err)
	}
}

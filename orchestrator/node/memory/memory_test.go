package memory

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"skiff/docker"
)

// inBubble runs a test in virtual time with an engine that has every image.
func inBubble(t *testing.T, test func(t *testing.T, r *Runtime)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, New(Options{AnyImage: true, Instance: "test"})) })
}

func start(t *testing.T, r *Runtime, spec docker.ContainerSpec) string {
	t.Helper()
	if spec.Name == "" {
		spec.Name = "c"
	}
	if spec.Image == "" {
		spec.Image = "image"
	}
	id, err := r.Create(t.Context(), spec)
	if err == nil {
		err = r.Start(t.Context(), id)
	}
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// state is a container's state in a word and its exit code.
func state(t *testing.T, r *Runtime, id string) string {
	t.Helper()
	synctest.Wait()
	c, err := r.Inspect(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if c.State == docker.Exited {
		return fmt.Sprintf("exited %d after %s", c.ExitCode, c.FinishedAt.Sub(c.StartedAt))
	}
	return string(c.State)
}

func TestBehaviour(t *testing.T) {
	for _, c := range []struct {
		name string
		spec docker.ContainerSpec
		want string
	}{
		{"server", docker.ContainerSpec{}, "running"},
		{"true", docker.ContainerSpec{Entrypoint: []string{"true"}}, "exited 0 after 0s"},
		{"false", docker.ContainerSpec{Args: []string{"false"}}, "exited 1 after 0s"},
		{"sleep", docker.ContainerSpec{Entrypoint: []string{"sleep", "2.5"}}, "exited 0 after 2.5s"},
		{"shell", docker.ContainerSpec{Entrypoint: []string{"/bin/sh", "-c", "exit 3"}}, "exited 3 after 0s"},
		{"no such convention", docker.ContainerSpec{Entrypoint: []string{"sleep", "long"}}, "running"},
		{"environment", docker.ContainerSpec{Env: []string{"SKIFF_SIMULATE_EXIT_AFTER=4s", "SKIFF_SIMULATE_EXIT_CODE=7"}}, "exited 7 after 4s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *Runtime) {
				id := start(t, r, c.spec)
				time.Sleep(time.Minute)
				if got := state(t, r, id); got != c.want {
					t.Errorf("%s, want %s", got, c.want)
				}
			})
		})
	}
}

func TestStop(t *testing.T) {
	for _, c := range []struct {
		name      string
		behaviour Behaviour
		grace     time.Duration
		want      string
	}{
		{"heeds SIGTERM", Behaviour{TermCode: 143}, 30 * time.Second, "exited 143 after 0s"},
		{"does not", Behaviour{IgnoresTerm: true}, 30 * time.Second, "exited 137 after 30s"},
		{"at once", Behaviour{}, 0, "exited 137 after 0s"},
		{"ends by itself meanwhile", Behaviour{IgnoresTerm: true, Ends: true, After: 10 * time.Second, ExitCode: 5}, 30 * time.Second, "exited 5 after 10s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *Runtime) {
				r.Behave("image", c.behaviour)
				id := start(t, r, docker.ContainerSpec{})
				if err := r.Stop(t.Context(), id, c.grace, ""); err != nil {
					t.Fatal(err)
				}
				if got := state(t, r, id); got != c.want {
					t.Errorf("%s, want %s", got, c.want)
				}
				time.Sleep(time.Hour)
				if got := state(t, r, id); got != c.want {
					t.Errorf("later %s, want %s", got, c.want)
				}
			})
		})
	}
}

func TestStopIsGivenUp(t *testing.T) {
	inBubble(t, func(t *testing.T, r *Runtime) {
		r.Behave("image", Behaviour{IgnoresTerm: true})
		id := start(t, r, docker.ContainerSpec{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.Stop(ctx, id, time.Minute, ""); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		time.Sleep(time.Hour)
		if got := state(t, r, id); got != "running" {
			t.Errorf("%s: nobody was left to kill it", got)
		}
	})
}

func TestNamesAndAddresses(t *testing.T) {
	inBubble(t, func(t *testing.T, r *Runtime) {
		ip := netip.MustParseAddr("10.0.0.5")
		spec := docker.ContainerSpec{Name: "one", Image: "image", Labels: map[string]string{"a": "b"}, Network: docker.Network{IP: ip}}
		one := start(t, r, spec)
		if again, err := r.Create(t.Context(), spec); err != nil || again != one {
			t.Errorf("the same create made %s, %v", again, err)
		}
		other := spec
		other.Labels = nil
		if _, err := r.Create(t.Context(), other); !errors.Is(err, docker.ErrConflict) {
			t.Errorf("another's name was given: %v", err)
		}
		other.Name = "two"
		two, err := r.Create(t.Context(), other)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Start(t.Context(), two); !errors.Is(err, docker.ErrAddressInUse) {
			t.Errorf("another's address was given: %v", err)
		}
		if err := r.Exit(one, 0); err != nil {
			t.Fatal(err)
		}
		if err := r.Start(t.Context(), two); err != nil {
			t.Errorf("the address is free: %v", err)
		}
		if c, err := r.Inspect(t.Context(), "two"); err != nil || c.IP != ip || c.Labels["skiff/instance"] != "test" {
			t.Errorf("container %+v, %v", c, err)
		}
	})
}

func TestEvents(t *testing.T) {
	inBubble(t, func(t *testing.T, r *Runtime) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		stream := r.Events(ctx)
		id := start(t, r, docker.ContainerSpec{Labels: map[string]string{"a": "b"}})
		must := func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		must(r.OOM(id))
		r.Outage(docker.ErrUnavailable)
		if err := r.Remove(ctx, id); !errors.Is(err, docker.ErrUnavailable) {
			t.Errorf("error %v", err)
		}
		r.Recover()
		must(r.Remove(ctx, id))
		var got []string
		for range 6 {
			e := <-stream
			got = append(got, strings.TrimSpace(fmt.Sprintf("%s %d", e.Action, e.ExitCode)))
		}
		if text, want := strings.Join(got, ", "), "resync 0, start 0, oom 0, die 137, resync 0, destroy 0"; text != want {
			t.Errorf("events %s, want %s", text, want)
		}
		cancel()
		if _, open := <-stream; open {
			t.Error("the stream outlives its context")
		}
	})
}

func TestImages(t *testing.T) {
	r := New(Options{})
	ctx := t.Context()
	if _, err := r.Create(ctx, docker.ContainerSpec{Name: "c", Image: "nginx"}); !errors.Is(err, docker.ErrImageNotFound) {
		t.Errorf("error %v", err)
	}
	if err := r.Pull(ctx, "nginx", docker.PullOptions{}); !errors.Is(err, docker.ErrPull) {
		t.Errorf("error %v", err)
	}
	r.Publish("nginx", docker.Image{})
	if err := r.Pull(ctx, "nginx", docker.PullOptions{}); err != nil {
		t.Error(err)
	}
	if i, err := r.Image(ctx, "nginx"); err != nil || len(i.RepoDigests) != 1 {
		t.Errorf("image %+v, %v", i, err)
	}
	r.Unload("nginx")
	r.Build("mine")
	if list, err := r.Images(ctx); err != nil || len(list) != 1 || len(list[0].RepoDigests) != 0 {
		t.Errorf("images %+v, %v", list, err)
	}
}

func TestFaults(t *testing.T) {
	r := New(Options{AnyImage: true})
	odd := errors.New("odd")
	r.Fail("inspect", odd)
	id := start(t, r, docker.ContainerSpec{})
	if _, err := r.Inspect(t.Context(), id); !errors.Is(err, odd) {
		t.Errorf("error %v", err)
	}
	r.Fail("inspect", nil)
	if _, err := r.Inspect(t.Context(), id); err != nil {
		t.Error(err)
	}
	if n := r.Calls()["inspect"]; n != 2 {
		t.Errorf("%d calls", n)
	}
}

package node

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/docker"
	"skiff/orchestrator/node/pod"
)

// create creates a container and records that it exists.
func (a *Agent) create(ctx context.Context, r *record, wanted docker.ContainerSpec) (string, error) {
	id, err := a.Runtime.Create(ctx, wanted)
	if errors.Is(err, docker.ErrNoNetwork) {
		if _, err := a.Runtime.EnsureNetwork(ctx); err != nil {
			return "", err
		}
		id, err = a.Runtime.Create(ctx, wanted)
	}
	if err != nil {
		return "", err
	}
	who, _ := pod.Identify(wanted.Labels, a.Name)
	r.created(docker.Container{
		ID: id, Name: wanted.Name, Image: wanted.Image, Labels: wanted.Labels,
		State: docker.Created, CreatedAt: a.Clock.Now(),
	}, who)
	return id, nil
}

// startCreated starts a created container and records what became of it. previous is the attempt
// that had the pod's address before, nil if there is none.
func (a *Agent) startCreated(ctx context.Context, r *record, id string, previous *pod.Attempt) error {
	if previous.Ended() && !previous.Removed {
		// Its address is free once the engine has shown that it has ended.
		if err := a.inspect(ctx, r, previous.ID); err != nil {
			return err
		}
	}
	err := a.startOnEngine(ctx, id)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, docker.ErrPortInUse) {
		return err // what the engine made of it is no attempt to show
	}
	return errors.Join(err, a.inspect(ctx, r, id))
}

// addressRetry and addressTries bound the wait for an address that the engine has not released yet.
const (
	addressRetry = 20 * time.Millisecond
	addressTries = 100
)

// startOnEngine starts a container. It waits for an address that the engine is about to release,
// and makes a network again that somebody has removed.
func (a *Agent) startOnEngine(ctx context.Context, id string) error {
	for range addressTries {
		err := a.Runtime.Start(ctx, id)
		switch {
		case errors.Is(err, docker.ErrAddressInUse):
			a.pause(ctx, addressRetry)
		case errors.Is(err, docker.ErrNoNetwork):
			if _, err := a.Runtime.EnsureNetwork(ctx); err != nil {
				return err
			}
		default:
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return fmt.Errorf("starting container %.12s: %w", id, docker.ErrAddressInUse)
}

// address is the pod's IP: the one it had, or a new one. Pods in the host's network have none of
// their own.
func (a *Agent) address(r *record, pod *corev1.Pod) (netip.Addr, error) {
	if pod.Spec.HostNetwork {
		return netip.Addr{}, nil
	}
	return r.address(a.Addresses, pod.Status.PodIP)
}

// changeAddress gives up an address that is in use by a container skiff does not know, for example
// one that somebody put on its network by hand. The container that was created with it goes too.
func (a *Agent) changeAddress(ctx context.Context, r *record, id string) {
	if err := a.Runtime.Remove(ctx, id); err != nil {
		a.log.Error("container without address not removed", "pod", r.name, "namespace", r.namespace, "error", err)
		r.discard(id)
		return
	}
	r.avoidAddress(a.Addresses)
	r.forgetAttempt(id)
}

// portInUse removes a container that could not be started because a port of the machine is taken,
// and says which port. That is no crash of the container: it was never run, and is created again
// until the port is free, whatever the pod's restart policy. So does kubelet, whose sandboxes hold
// the ports.
func (a *Agent) portInUse(ctx context.Context, r *record, v *pod.View, id string, f pod.StartFailure, err error) pod.StartFailure {
	f.Reason, f.Until = pod.ReasonHostPortInUse, a.Clock.Now().Add(pod.RetryPeriod)
	f.Message = portInUseMessage(&v.Pod.Spec, err)
	if err := a.Runtime.Remove(ctx, id); err != nil {
		a.log.Error("container without its host port not removed", "pod", r.name, "namespace", r.namespace, "error", err)
		return f
	}
	r.forgetAttempt(id)
	return f
}

// portInUseMessage names the port, if the engine does.
func portInUseMessage(spec *corev1.PodSpec, err error) string {
	for _, p := range publishedPorts(spec) {
		if regexp.MustCompile(fmt.Sprintf(`:%d\b`, p.HostPort)).MatchString(err.Error()) {
			return fmt.Sprintf("hostPort %d is in use on this machine: free it, or use another hostPort", p.HostPort)
		}
	}
	return fmt.Sprintf("a hostPort of the pod is in use on this machine: %s", err)
}

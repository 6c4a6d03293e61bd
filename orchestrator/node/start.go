package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/docker"
)

// startSandbox makes and starts a pod's pause container.
func (a *Agent) startSandbox(ctx context.Context, r *record, v *view, s step) {
	if s.attempt > 0 && !s.existing {
		a.tell(v.pod, "", corev1.EventTypeNormal, "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.")
	}
	id, f, err := a.makeSandbox(ctx, r, v, s)
	switch {
	case err == nil:
		r.started(sandboxName)
	case ctx.Err() != nil:
	case isOutage(err):
		a.engineFailed(err)
	case errors.Is(err, docker.ErrAddressInUse):
		a.tell(v.pod, "", corev1.EventTypeWarning, "FailedCreatePodSandBox", "Failed to create pod sandbox: %s", err)
		a.changeAddress(ctx, r, id)
	case f.unmounted:
		a.tellUnmounted(r, v.pod, sandboxName, err)
		r.fail(sandboxName, f)
	default:
		a.tell(v.pod, "", corev1.EventTypeWarning, "FailedCreatePodSandBox", "Failed to create pod sandbox: %s", err)
		r.fail(sandboxName, f)
	}
}

func (a *Agent) makeSandbox(ctx context.Context, r *record, v *view, s step) (string, failure, error) {
	f := failure{reason: "CreatePodSandboxError", until: a.Clock.Now().Add(retryPeriod)}
	addr, err := a.address(r, v.pod)
	if err != nil {
		return "", f, err
	}
	if err := a.prepareVolumes(ctx, r, v.pod, addr); err != nil {
		f.unmounted = true
		return "", f, err
	}
	id := s.id
	if !s.existing {
		image, err := a.Runtime.PauseImage(ctx)
		if err != nil {
			return "", f, fmt.Errorf("making the pause image: %w", err)
		}
		dns, err := a.nodeDNS(v.pod)
		if err != nil {
			return "", f, err
		}
		if id, err = a.create(ctx, r, sandboxSpec(v.pod, image, s.attempt, addr, dns)); err != nil {
			return "", f, err
		}
	}
	return id, f, a.run(ctx, r, id, v.latest(sandboxName))
}

// startContainer makes and starts a container, and runs its postStart hook.
func (a *Agent) startContainer(ctx context.Context, r *record, v *view, s step) {
	c := findContainer(&v.pod.Spec, s.container)
	id, f, err := a.makeContainer(ctx, r, v, c, s)
	switch {
	case err == nil:
		r.started(c.Name)
		a.tell(v.pod, c.Name, corev1.EventTypeNormal, "Started", "Container started")
		a.postStart(ctx, r, v, c, id, s.attempt)
	case ctx.Err() != nil:
	case isOutage(err):
		a.engineFailed(err)
	case errors.Is(err, docker.ErrImageNotFound) && v.images[c.Name].ref == "":
		// It was taken for granted.
		r.doubt(c.Name)
	case errors.Is(err, docker.ErrAddressInUse):
		a.tell(v.pod, c.Name, corev1.EventTypeWarning, "Failed", "Error: %s", withoutID(err.Error(), id, c.Name))
		a.changeAddress(ctx, r, id)
	case errors.Is(err, docker.ErrNotFound) && v.latest(sandboxName).running():
		// Its sandbox is gone, and the event of that may be lost.
		f.message, f.until = err.Error(), a.Clock.Now().Add(failedRetry)
		r.fail(c.Name, f)
		a.lookLater(r, v.latest(sandboxName).ID)
	case f.unmounted:
		a.tellUnmounted(r, v.pod, c.Name, err)
		r.fail(c.Name, f)
	default:
		a.tell(v.pod, c.Name, corev1.EventTypeWarning, "Failed", "Error: %s", withoutID(err.Error(), id, c.Name))
		f.message = withoutID(err.Error(), id, c.Name)
		r.fail(c.Name, f)
	}
}

// makeContainer returns the container's ID on the engine, if it has got so far, and how an error shows in the status.
func (a *Agent) makeContainer(ctx context.Context, r *record, v *view, c *corev1.Container, s step) (string, failure, error) {
	f := failure{reason: reasonConfigError, image: c.Image, until: a.Clock.Now().Add(retryPeriod)}
	id := s.id
	if !s.existing {
		addr, err := a.address(r, v.pod)
		if err == nil {
			err = a.prepareVolumes(ctx, r, v.pod, addr)
		}
		if err != nil {
			f.reason, f.unmounted = v.waitingReason(c), true
			return "", f, err
		}
		spec, err := a.spec(ctx, v, c, s.attempt, addr)
		if err != nil {
			return "", f, err
		}
		a.tellPresent(r, v.pod, c)
		f.reason = reasonCreateError
		if id, err = a.create(ctx, r, spec); err != nil {
			return "", f, err
		}
		r.advance(v, c.Name)
		a.tell(v.pod, c.Name, corev1.EventTypeNormal, "Created", "Container created")
	}
	f.reason = reasonRunError
	var previous *attempt
	if !v.needsSandbox() {
		previous = v.latest(c.Name)
	}
	err := a.run(ctx, r, id, previous)
	if err != nil && r.endedRun(id) {
		// The engine has tried it: the crash back-off takes over.
		f.until = time.Time{}
	}
	return id, f, err
}

// spec is what to create for a container.
func (a *Agent) spec(ctx context.Context, v *view, c *corev1.Container, attempt int, addr netip.Addr) (docker.ContainerSpec, error) {
	b := blueprint{pod: v.pod, container: c, attempt: attempt, addr: addr, nodeMemory: a.machine.memory()}
	if sandbox := v.latest(sandboxName); v.needsSandbox() && sandbox.running() {
		b.sandbox, b.sandboxID = sandbox.number, sandbox.ID
	} else if v.isEphemeral(c.Name) && !v.pod.Spec.HostNetwork {
		b.joins = v.latest(v.pod.Spec.Containers[0].Name).ID
	}
	var err error
	if b.sandboxID == "" || v.pod.Spec.HostNetwork {
		if b.dns, err = a.nodeDNS(v.pod); err != nil {
			return docker.ContainerSpec{}, err
		}
	}
	if b.target, err = v.target(c.Name); err != nil {
		return docker.ContainerSpec{}, err
	}
	if b.env, err = containerEnv(v.pod, c, a.facts(v.pod, addr), a); err != nil {
		return docker.ContainerSpec{}, err
	}
	if b.mounts, err = a.volumes.mounts(v.pod, c, attempt, addr, b.env); err != nil {
		return docker.ContainerSpec{}, err
	}
	if needsImageUser(v.pod, c) {
		image, err := a.Runtime.Image(ctx, c.Image)
		if err != nil {
			return docker.ContainerSpec{}, err
		}
		b.imageUser = image.User
	}
	return containerSpec(b)
}

// target is the ID of the container whose processes an ephemeral container is to see (kubectl debug --target), empty if it
// names none. The error is kubelet's (k8s.io/kubernetes/pkg/kubelet/kuberuntime/kuberuntime_container.go, getTargetID).
func (v *view) target(ephemeral string) (string, error) {
	for i := range v.pod.Spec.EphemeralContainers {
		c := &v.pod.Spec.EphemeralContainers[i]
		if c.Name != ephemeral || c.TargetContainerName == "" {
			continue
		}
		if a := v.latest(c.TargetContainerName); a.running() {
			return a.ID, nil
		}
		return "", fmt.Errorf("unable to find target container %s", c.TargetContainerName)
	}
	return "", nil
}

// create makes a container and notes that it is there.
func (a *Agent) create(ctx context.Context, r *record, spec docker.ContainerSpec) (string, error) {
	id, err := a.Runtime.Create(ctx, spec)
	if errors.Is(err, docker.ErrNoNetwork) {
		if _, _, err := a.Runtime.EnsureNetwork(ctx); err != nil {
			return "", err
		}
		id, err = a.Runtime.Create(ctx, spec)
	}
	if err != nil {
		return "", err
	}
	who, _ := identify(spec.Labels, a.Name)
	r.mu.Lock()
	defer r.mu.Unlock()
	image := r.imageOf(who)
	run := r.saw(docker.Container{
		ID: id, Name: spec.Name, Image: spec.Image, Labels: spec.Labels,
		State: docker.Created, CreatedAt: a.Clock.Now(),
	}, who)
	run.imageID = cmp.Or(image, run.imageID)
	return id, nil
}

// run starts a container that has been created and takes in what has become of it.
func (a *Agent) run(ctx context.Context, r *record, id string, previous *attempt) error {
	if previous.ended() && !previous.removed {
		// Where the one before had the pod's address, that is free once the engine has shown its end.
		if err := a.look(ctx, r, previous.ID); err != nil {
			return err
		}
	}
	started := a.startAt(ctx, id)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.Join(started, a.look(ctx, r, id))
}

// addressRetry and addressTries bound the wait for an address that the engine has not quite put away yet.
const (
	addressRetry = 20 * time.Millisecond
	addressTries = 100
)

// startAt starts a container, patient with an engine that is still busy with the one before, and with a network that
// somebody has removed.
func (a *Agent) startAt(ctx context.Context, id string) error {
	for range addressTries {
		err := a.Runtime.Start(ctx, id)
		switch {
		case errors.Is(err, docker.ErrAddressInUse):
			a.pause(ctx, addressRetry)
		case errors.Is(err, docker.ErrNoNetwork):
			if _, _, err := a.Runtime.EnsureNetwork(ctx); err != nil {
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

// started notes that a container could be started.
func (r *record) started(container string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	drop(&r.failures, container)
	drop(&r.images, container)
	drop(&r.pulls, container)
}

// endedRun tells whether the engine could not start a container, and won't try again.
func (r *record) endedRun(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	run := r.find(id)
	return run != nil && run.ended()
}

// address is the pod's IP: the one it had, or a new one. Pods in the host's network have none of their own.
func (a *Agent) address(r *record, pod *corev1.Pod) (netip.Addr, error) {
	if pod.Spec.HostNetwork {
		return netip.Addr{}, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.addr.IsValid() {
		return r.addr, nil
	}
	had, err := netip.ParseAddr(pod.Status.PodIP)
	if err == nil && had != r.avoid && a.Addresses.Reserve(string(r.uid), had) == nil {
		r.addr = had
		return had, nil
	}
	addr, err := a.Addresses.Allocate(string(r.uid))
	if err != nil {
		return netip.Addr{}, fmt.Errorf("giving the pod an address: %w", err)
	}
	r.addr = addr
	return addr, nil
}

// changeAddress gives up an address that somebody has whom skiff does not know, a container put on its network by hand
// for instance, and the container that was created with it.
func (a *Agent) changeAddress(ctx context.Context, r *record, id string) {
	if err := a.Runtime.Remove(ctx, id); err != nil {
		a.log.Error("container without address not removed", "pod", r.name, "namespace", r.namespace, "error", err)
		r.mu.Lock()
		defer r.mu.Unlock()
		if run := r.find(id); run != nil {
			run.adopted = true // it is not to be started with the address it was made with
		}
		return
	}
	r.mu.Lock()
	r.avoid = r.addr
	r.mu.Unlock()
	a.release(r)
	r.mu.Lock()
	defer r.mu.Unlock()
	if run := r.find(id); run != nil {
		r.drop(run)
	}
}

// prepareVolumes makes the pod's volumes, once.
func (a *Agent) prepareVolumes(ctx context.Context, r *record, pod *corev1.Pod, addr netip.Addr) error {
	r.mu.Lock()
	prepared := r.prepared
	r.mu.Unlock()
	if prepared {
		return nil
	}
	versions := a.volumes.versions(pod)
	if err := a.volumes.prepare(ctx, pod, a.facts(pod, addr)); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.prepared, r.written = true, versions
	return nil
}

// facts are what the downward API tells the pod.
func (a *Agent) facts(pod *corev1.Pod, addr netip.Addr) facts {
	f := facts{hostIP: a.hostIP(), allocatable: a.machine.capacity()}
	switch {
	case pod.Spec.HostNetwork:
		f.podIP = f.hostIP
	case addr.IsValid():
		f.podIP = addr.String()
	}
	return f
}

func (a *Agent) hostIP() string {
	if !a.HostIP.IsValid() {
		return ""
	}
	return a.HostIP.String()
}

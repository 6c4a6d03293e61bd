package node

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/docker"
	"skiff/orchestrator/node/env"
	"skiff/orchestrator/node/pod"
	"skiff/orchestrator/node/spec"
)

// startSandbox creates and starts a pod's pause container.
func (a *Agent) startSandbox(ctx context.Context, r *record, v *pod.View, s pod.Step) {
	if s.Attempt > 0 && !s.Existing {
		a.emit(v.Pod, "", corev1.EventTypeNormal, "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.")
	}
	id, f, err := a.runSandbox(ctx, r, v, s)
	switch {
	case err == nil:
		r.started(pod.SandboxName, a.Clock.Now())
	case ctx.Err() != nil:
	case isOutage(err):
		a.engineDown(err)
	case errors.Is(err, docker.ErrAddressInUse):
		a.emit(v.Pod, "", corev1.EventTypeWarning, "FailedCreatePodSandBox", "Failed to create pod sandbox: %s", err)
		a.changeAddress(ctx, r, id)
	case errors.Is(err, docker.ErrPortInUse):
		f = a.portInUse(ctx, r, v, id, f, err)
		a.emit(v.Pod, "", corev1.EventTypeWarning, "FailedCreatePodSandBox", "Failed to create pod sandbox: %s", f.Message)
		r.startFailed(pod.SandboxName, f)
	case f.Unmounted:
		a.emitUnmounted(r, v.Pod, pod.SandboxName, err)
		r.startFailed(pod.SandboxName, f)
	default:
		a.emit(v.Pod, "", corev1.EventTypeWarning, "FailedCreatePodSandBox", "Failed to create pod sandbox: %s", err)
		r.startFailed(pod.SandboxName, f)
	}
}

// runSandbox returns the sandbox's ID on the engine, empty if it was not created, and how an error
// shows in the status.
func (a *Agent) runSandbox(ctx context.Context, r *record, v *pod.View, s pod.Step) (string, pod.StartFailure, error) {
	watch := a.beginStart(r)
	f := pod.StartFailure{Reason: "CreatePodSandboxError", Until: a.Clock.Now().Add(pod.RetryPeriod)}
	addr, err := a.address(r, v.Pod)
	if err != nil {
		return "", f, err
	}
	if err := a.prepareVolumes(ctx, r, v.Pod, addr); err != nil {
		f.Unmounted = true
		return "", f, err
	}
	id := s.ID
	if !s.Existing {
		image, err := a.Runtime.PauseImage(ctx)
		if err != nil {
			return "", f, fmt.Errorf("making the pause image: %w", err)
		}
		dns, err := a.nodeDNS(v.Pod)
		if err != nil {
			return "", f, err
		}
		watch.lap(phasePrepare)
		if id, err = a.create(ctx, r, spec.Sandbox(spec.WithGateway(v.Pod, a.hostIP()), image, s.Attempt, addr, dns, a.ClusterDomain, a.volumes.SandboxMounts(v.Pod))); err != nil {
			return "", f, err
		}
		watch.lap(phaseCreate)
	}
	err = a.startCreated(ctx, r, id, v.Latest(pod.SandboxName))
	watch.lap(phaseStart)
	return id, f, err
}

// startContainer creates and starts a container, and runs its postStart hook.
func (a *Agent) startContainer(ctx context.Context, r *record, v *pod.View, s pod.Step) {
	c := pod.FindContainer(&v.Allocated().Spec, s.Container)
	id, f, err := a.runContainer(ctx, r, v, c, s)
	switch {
	case err == nil:
		r.started(c.Name, a.Clock.Now())
		a.emit(v.Pod, c.Name, corev1.EventTypeNormal, "Started", "Container started")
		a.postStart(ctx, r, v, c, id, s.Attempt)
	case ctx.Err() != nil:
	case isOutage(err):
		a.engineDown(err)
	case errors.Is(err, errVolumeImageLost): // the next plan looks for it
	case errors.Is(err, docker.ErrImageNotFound) && v.Images[c.Name].Ref == "":
		// The engine has not been asked about the image: an earlier attempt had it.
		r.setImage(c.Name, pod.Image{Doubted: true})
	case errors.Is(err, docker.ErrAddressInUse):
		a.emit(v.Pod, c.Name, corev1.EventTypeWarning, "Failed", "Error: %s", withoutID(err.Error(), id, c.Name))
		a.changeAddress(ctx, r, id)
	case errors.Is(err, docker.ErrPortInUse):
		f = a.portInUse(ctx, r, v, id, f, err)
		a.emit(v.Pod, c.Name, corev1.EventTypeWarning, "Failed", "Error: %s", f.Message)
		r.startFailed(c.Name, f)
	case errors.Is(err, docker.ErrNotFound) && v.Latest(pod.SandboxName).Running():
		// Its sandbox is gone, and the event of that may be lost.
		f.Message, f.Until = err.Error(), a.Clock.Now().Add(retryDelay)
		r.startFailed(c.Name, f)
		a.inspectLater(r, v.Latest(pod.SandboxName).ID)
	case f.Unmounted:
		a.emitUnmounted(r, v.Pod, c.Name, err)
		r.startFailed(c.Name, f)
	default:
		a.emit(v.Pod, c.Name, corev1.EventTypeWarning, "Failed", "Error: %s", withoutID(err.Error(), id, c.Name))
		f.Message = withoutID(err.Error(), id, c.Name)
		r.startFailed(c.Name, f)
	}
}

// runContainer returns the container's ID on the engine, empty if it was not created, and how an
// error shows in the status.
func (a *Agent) runContainer(ctx context.Context, r *record, v *pod.View, c *corev1.Container, s pod.Step) (string, pod.StartFailure, error) {
	watch := a.beginStart(r)
	f := pod.StartFailure{Reason: pod.ReasonConfigError, Image: c.Image, Until: a.Clock.Now().Add(pod.RetryPeriod)}
	id := s.ID
	if !s.Existing {
		addr, err := a.address(r, v.Pod)
		if err == nil {
			err = a.prepareVolumes(ctx, r, v.Pod, addr)
		}
		if err != nil {
			f.Reason, f.Unmounted = v.WaitingReason(c), true
			return "", f, err
		}
		if err := a.fillVolumes(ctx, r, v.Pod, c); err != nil {
			f.Reason = pod.ReasonCreateError
			return "", f, err
		}
		wanted, err := a.containerSpec(ctx, v, c, s.Attempt, addr)
		if err != nil {
			return "", f, err
		}
		a.emitPresent(r, v.Pod, c.Name, c.Image, c.ImagePullPolicy)
		f.Reason = pod.ReasonCreateError
		watch.lap(phasePrepare)
		if id, err = a.create(ctx, r, wanted); err != nil {
			return "", f, err
		}
		watch.lap(phaseCreate)
		r.given(id, pod.Effective(v.Allocated(), c))
		a.emit(v.Pod, c.Name, corev1.EventTypeNormal, "Created", "Container created")
	}
	f.Reason = pod.ReasonRunError
	var previous *pod.Attempt
	if !v.NeedsSandbox() {
		previous = v.Latest(c.Name)
	}
	err := a.startCreated(ctx, r, id, previous)
	watch.lap(phaseStart)
	if !s.Existing && !errors.Is(err, docker.ErrPortInUse) && !errors.Is(err, docker.ErrAddressInUse) {
		r.countRestart(v, c.Name) // what waits for a port or an address does not crash
	}
	if err != nil && r.ended(id) {
		// The engine has tried to start it: from here the crash back-off decides.
		f.Until = time.Time{}
	}
	return id, f, err
}

// containerSpec is what to create for a container.
func (a *Agent) containerSpec(ctx context.Context, v *pod.View, c *corev1.Container, attempt int, addr netip.Addr) (docker.ContainerSpec, error) {
	p := spec.WithGateway(v.Allocated(), a.hostIP())
	in := spec.Input{Pod: p, Container: c, Attempt: attempt, Round: v.Round(), Addr: addr, ClusterDomain: a.ClusterDomain, NodeMemory: a.machine.memory()}
	if sandbox := v.Latest(pod.SandboxName); v.NeedsSandbox() && sandbox.Running() {
		in.Sandbox, in.SandboxID = sandbox.Number, sandbox.ID
	} else if v.IsEphemeral(c.Name) && !v.Pod.Spec.HostNetwork {
		in.Joins = v.Latest(v.Pod.Spec.Containers[0].Name).ID
	}
	var err error
	if in.SandboxID == "" || v.Pod.Spec.HostNetwork {
		if in.DNS, err = a.nodeDNS(v.Pod); err != nil {
			return docker.ContainerSpec{}, err
		}
	}
	if in.TargetID, err = v.TargetID(c.Name); err != nil {
		return docker.ContainerSpec{}, err
	}
	if in.Env, err = env.Variables(p, c, a.facts(p, addr), a); err != nil {
		return docker.ContainerSpec{}, err
	}
	if in.Mounts, err = a.volumes.Mounts(spec.WithGateway(v.Pod, a.hostIP()), c, attempt, addr, in.Env); err != nil {
		return docker.ContainerSpec{}, err
	}
	if spec.NeedsImageUser(v.Pod, c) {
		image, err := a.Runtime.Image(ctx, c.Image)
		if err != nil {
			return docker.ContainerSpec{}, err
		}
		in.ImageUser = image.User
	}
	if spec.NeedsPasswd(v.Pod, c) {
		passwd, err := a.Runtime.ImageFile(ctx, c.Image, "/etc/passwd", pod.ContainerName(v.Pod, c.Name, attempt)+"_passwd", maxPasswd)
		if err != nil && !errors.Is(err, docker.ErrNotFound) {
			return docker.ContainerSpec{}, fmt.Errorf("reading the image's /etc/passwd: %w", err)
		}
		in.Passwd = string(passwd)
	}
	return spec.Container(in)
}

// maxPasswd is the most that is read of an image's /etc/passwd, in bytes.
const maxPasswd = 1 << 20

var errVolumeImageLost = errors.New("the image of a volume is gone")

// fillVolumes makes the volumes of a container that hold an image's files.
func (a *Agent) fillVolumes(ctx context.Context, r *record, p *corev1.Pod, c *corev1.Container) error {
	for _, volume := range pod.MountedImages(p, c) {
		image, key := volume.Image, pod.ImageVolumeKey(volume.Name)
		made, err := a.volumes.FillImage(ctx, p, volume)
		if errors.Is(err, docker.ErrImageNotFound) {
			r.setImage(key, pod.Image{Doubted: true})
			return errVolumeImageLost
		}
		if err != nil {
			return err
		}
		if made {
			a.emitPresent(r, p, key, image.Reference, image.PullPolicy)
		}
		r.filled(volume.Name)
	}
	return nil
}

// prepareVolumes sets up the pod's volumes, once.
func (a *Agent) prepareVolumes(ctx context.Context, r *record, pod *corev1.Pod, addr netip.Addr) error {
	if r.volumesPrepared() {
		return nil
	}
	versions := a.volumes.Versions(pod)
	if err := a.volumes.Prepare(ctx, pod, a.facts(pod, addr)); err != nil {
		return err
	}
	r.volumesWritten(versions)
	return nil
}

// facts are what the downward API says about the pod.
func (a *Agent) facts(pod *corev1.Pod, addr netip.Addr) env.Facts {
	f := env.Facts{HostIP: a.hostIP(), Allocatable: a.machine.capacity()}
	switch {
	case pod.Spec.HostNetwork:
		f.PodIP = f.HostIP
	case addr.IsValid():
		f.PodIP = addr.String()
	}
	return f
}

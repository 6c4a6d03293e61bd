package node

import (
	"context"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"skiff/docker"
	"skiff/orchestrator/node/env"
	"skiff/orchestrator/node/pod"
	"skiff/probe"
)

// updateProbes tells the prober which of the pod's containers to probe.
func (a *Agent) updateProbes(r *record, v *pod.View) {
	if v.EngineDown != "" {
		return
	}
	var want map[string]probing
	if v.Pod != nil {
		for _, c := range pod.AllContainers(&v.Pod.Spec) {
			if p, ok := probingOf(v, c); ok {
				put(&want, c.Name, p)
			}
		}
	}
	for _, change := range r.setProbed(want) {
		if change.old.key != (probe.Key{}) && change.old.key != change.new.key {
			a.Prober.Remove(change.old.key)
		}
		if change.new.key != (probe.Key{}) {
			a.Prober.Set(a.probeTarget(v, change.container, change.new), a.probeResult)
		}
	}
}

// probingOf is what the prober is to know about a container; ok is false if it is not to be probed.
func probingOf(v *pod.View, c *corev1.Container) (p probing, ok bool) {
	a := v.Latest(c.Name)
	if c.StartupProbe == nil && c.LivenessProbe == nil && c.ReadinessProbe == nil || !a.Running() {
		return p, false
	}
	if v.Doing(c.Name, pod.TaskStart) || v.Doing(c.Name, pod.TaskHook) {
		return p, false
	}
	p.key = probe.Key{Pod: string(v.UID), Container: c.Name, ID: a.ID}
	p.stopping = v.Pod.DeletionTimestamp != nil || v.Doing(c.Name, pod.TaskStop)
	return p, true
}

// probeTarget describes a container to the prober. While it is being stopped only its readiness is
// probed: a container is not killed for dying.
func (a *Agent) probeTarget(v *pod.View, name string, p probing) probe.Container {
	c := pod.FindContainer(&v.Pod.Spec, name)
	run := v.Latest(name)
	out := probe.Container{
		Key:       p.key,
		Readiness: withStaticCommand(c, c.ReadinessProbe),
		Host:      a.dialHost(v.Pod, addressText(v.Addr)),
		Ports:     namedPorts(c),
		Exec:      a.probeExec(p.key.ID),
		StartedAt: run.StartedAt,
	}
	if !p.stopping {
		out.Startup, out.Liveness = withStaticCommand(c, c.StartupProbe), withStaticCommand(c, c.LivenessProbe)
	}
	if old := v.Inherited(name); old != nil {
		out.Started, out.Ready = ptr.Deref(old.Started, false), old.Ready
	}
	return out
}

func addressText(addr netip.Addr) string {
	if !addr.IsValid() {
		return ""
	}
	return addr.String()
}

// withStaticCommand expands the references in an exec probe's command to variables whose value is
// in the manifest, as kubelet does (k8s.io/kubernetes/pkg/kubelet/container/helpers.go,
// ExpandContainerCommandOnlyStatic).
func withStaticCommand(c *corev1.Container, p *corev1.Probe) *corev1.Probe {
	if p == nil || p.Exec == nil {
		return p
	}
	expanded := p.DeepCopy()
	expanded.Exec.Command = env.ExpandAll(p.Exec.Command, func(name string) (string, bool) {
		for i := len(c.Env) - 1; i >= 0; i-- {
			if c.Env[i].Name == name {
				return c.Env[i].Value, true
			}
		}
		return "", false
	})
	return expanded
}

func namedPorts(c *corev1.Container) map[string]int32 {
	ports := map[string]int32{}
	for _, p := range c.Ports {
		if p.Name != "" {
			ports[p.Name] = p.ContainerPort
		}
	}
	return ports
}

func (a *Agent) probeExec(id string) probe.ExecFunc {
	return func(ctx context.Context, command []string) (int, []byte, error) {
		var output limitedBuffer
		code, err := a.Runtime.Exec(ctx, id, docker.ExecSpec{Cmd: command, Streams: docker.Streams{Out: &output, Err: &output}})
		return code, output.Bytes(), err
	}
}

// dialHost is the host on which a pod's ports are reached.
func (a *Agent) dialHost(pod *corev1.Pod, podIP string) string {
	if !pod.Spec.HostNetwork {
		return podIP
	}
	if ip := a.HostDial(); ip.IsValid() {
		return ip.String()
	}
	return "127.0.0.1"
}

// probeResult handles the result of a probe.
func (a *Agent) probeResult(result probe.Result) {
	r := a.records.get(types.UID(result.Key.Pod))
	if r == nil {
		return
	}
	if message := result.Event(); message != "" {
		if pod := a.podOf(r); pod != nil {
			reason := "Unhealthy"
			if result.Outcome == probe.Warning {
				reason = "ProbeWarning"
			}
			a.emit(pod, result.Key.Container, corev1.EventTypeWarning, reason, "%s", message)
		}
	}
	if result.Changed {
		a.toPlan.add(r.uid)
	}
}

// dropProbes removes the node's containers from the prober.
func (a *Agent) dropProbes() {
	for _, r := range a.records.all() {
		for _, change := range r.setProbed(nil) {
			a.Prober.Remove(change.old.key)
		}
	}
}

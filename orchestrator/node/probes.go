package node

import (
	"context"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/docker"
	"skiff/probe"
)

// tendProbes tells the prober which of the pod's containers to ask.
func (a *Agent) tendProbes(r *record, v *view) {
	if v.engineGone != "" {
		return
	}
	var want map[string]probing
	if v.pod != nil {
		for _, c := range allContainers(&v.pod.Spec) {
			if p, ok := v.probing(c); ok {
				put(&want, c.Name, p)
			}
		}
	}
	for _, change := range r.probeChanges(want) {
		if change.old.key != (probe.Key{}) && change.old.key != change.new.key {
			a.Prober.Remove(change.old.key)
		}
		if change.new.key != (probe.Key{}) {
			a.Prober.Set(a.probed(v, change.container, change.new))
		}
	}
}

// probing is what the prober is to know about a container; ok is false if there is nothing to ask.
func (v *view) probing(c *corev1.Container) (p probing, ok bool) {
	a := v.latest(c.Name)
	if c.StartupProbe == nil && c.LivenessProbe == nil && c.ReadinessProbe == nil || !a.running() {
		return p, false
	}
	if v.doing(c.Name, taskStart) || v.doing(c.Name, taskHook) {
		return p, false
	}
	p.key = probe.Key{Pod: string(v.uid), Container: c.Name, ID: a.ID}
	p.stopping = v.pod.DeletionTimestamp != nil || v.doing(c.Name, taskStop)
	return p, true
}

// probeChange is a container about which the prober must be told something.
type probeChange struct {
	container string
	old, new  probing
}

func (r *record) probeChanges(want map[string]probing) []probeChange {
	r.mu.Lock()
	defer r.mu.Unlock()
	var changes []probeChange
	for name, old := range r.probed {
		if want[name] != old {
			changes = append(changes, probeChange{name, old, want[name]})
		}
	}
	for name, p := range want {
		if _, ok := r.probed[name]; !ok {
			changes = append(changes, probeChange{name, probing{}, p})
		}
	}
	r.probed = want
	return changes
}

// probed describes a container to the prober. While it is being stopped only its readiness is asked: a container is not
// killed for dying.
func (a *Agent) probed(v *view, name string, p probing) probe.Container {
	c := findContainer(&v.pod.Spec, name)
	run := v.latest(name)
	out := probe.Container{
		Key:       p.key,
		Readiness: withStaticCommand(c, c.ReadinessProbe),
		Host:      a.dialHost(v.pod, addressText(v.addr)),
		Ports:     namedPorts(c),
		Exec:      a.probeExec(p.key.ID),
		StartedAt: run.StartedAt,
	}
	if !p.stopping {
		out.Startup, out.Liveness = withStaticCommand(c, c.StartupProbe), withStaticCommand(c, c.LivenessProbe)
	}
	if old := statusOf(&v.pod.Status, name); run.adopted && old != nil && old.ContainerID == containerID(run) {
		out.Started, out.Ready = isTrue(old.Started), old.Ready
	}
	return out
}

func addressText(addr netip.Addr) string {
	if !addr.IsValid() {
		return ""
	}
	return addr.String()
}

func statusOf(s *corev1.PodStatus, name string) *corev1.ContainerStatus {
	if c := findStatus(s.ContainerStatuses, name); c != nil {
		return c
	}
	return findStatus(s.InitContainerStatuses, name)
}

// withStaticCommand expands the references in an exec probe's command to variables whose value the manifest tells, as
// kubelet does (k8s.io/kubernetes/pkg/kubelet/container/helpers.go, ExpandContainerCommandOnlyStatic).
func withStaticCommand(c *corev1.Container, p *corev1.Probe) *corev1.Probe {
	if p == nil || p.Exec == nil {
		return p
	}
	expanded := p.DeepCopy()
	expanded.Exec.Command = expandAll(p.Exec.Command, func(name string) (string, bool) {
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
		var said limitedBuffer
		code, err := a.Runtime.Exec(ctx, id, docker.ExecSpec{Cmd: command, Streams: docker.Streams{Out: &said, Err: &said}})
		return code, said.Bytes(), err
	}
}

// dialHost is where a pod's ports are reached.
func (a *Agent) dialHost(pod *corev1.Pod, podIP string) string {
	if !pod.Spec.HostNetwork {
		return podIP
	}
	if ip := a.hostIP(); ip != "" {
		return ip
	}
	return "127.0.0.1"
}

// ProbeResult takes in what a probe has found out; it is for the prober to call.
func (a *Agent) ProbeResult(result probe.Result) {
	r := a.known(types.UID(result.Key.Pod))
	if r == nil {
		return
	}
	if message := result.Event(); message != "" {
		if pod := a.podOf(r); pod != nil {
			reason := "Unhealthy"
			if result.Outcome == probe.Warning {
				reason = "ProbeWarning"
			}
			a.tell(pod, result.Key.Container, corev1.EventTypeWarning, reason, "%s", message)
		}
	}
	if result.Changed {
		a.toPlan.add(r.uid)
	}
}

// dropProbes ends all probes of the node's containers.
func (a *Agent) dropProbes() {
	for _, r := range a.allRecords() {
		for _, change := range r.probeChanges(nil) {
			a.Prober.Remove(change.old.key)
		}
	}
}

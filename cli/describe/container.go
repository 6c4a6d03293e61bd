package describe

import (
	"fmt"
	"maps"
	"math"
	"net"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"
)

// resolver looks an environment variable's fieldRef up; nil in a template, where there is no pod.
type resolver func(corev1.EnvVar) string

// containers writes containers with what is known of each. In a template everything stands one
// space further in.
func (s *sheet) containers(title string, all []corev1.Container, statuses []corev1.ContainerStatus, field resolver, template bool) {
	space, nameSpace := "", ""
	if template {
		space, nameSpace = "  ", " "
	}
	if len(all) == 0 {
		s.line("%s%s: %s", space, title, none)
		return
	}
	s.line("%s%s:", space, title)
	for i := range all {
		c := &all[i]
		var status *corev1.ContainerStatus
		if j := slices.IndexFunc(statuses, func(st corev1.ContainerStatus) bool { return st.Name == c.Name }); j >= 0 {
			status = &statuses[j]
		}
		s.in(func() { s.line("%s%s:", nameSpace, c.Name) })
		s.at(2, func() { s.container(c, status, field) })
	}
}

func (s *sheet) container(c *corev1.Container, status *corev1.ContainerStatus, field resolver) {
	if status != nil {
		s.field("Container ID", status.ContainerID)
	}
	s.field("Image", c.Image)
	if status != nil {
		s.field("Image ID", status.ImageID)
	}
	s.ports("Port", c.Ports, func(p corev1.ContainerPort) int32 { return p.ContainerPort })
	s.ports("Host Port", c.Ports, func(p corev1.ContainerPort) int32 { return p.HostPort })
	if c.SecurityContext != nil {
		s.seccomp(c.SecurityContext.SeccompProfile, 1)
	}
	s.words("Command", c.Command)
	s.words("Args", c.Args)
	if status != nil {
		s.containerStatus(status)
	}
	s.resources(c.Resources)
	for _, p := range []struct {
		name  string
		probe *corev1.Probe
	}{{"Liveness", c.LivenessProbe}, {"Readiness", c.ReadinessProbe}, {"Startup", c.StartupProbe}} {
		if p.probe != nil {
			s.field(p.name, probe(p.probe))
		}
	}
	s.envFrom(c.EnvFrom)
	s.env(c, field)
	s.mounts(c)
}

// ports writes ports, in the plural when there are several.
func (s *sheet) ports(name string, all []corev1.ContainerPort, number func(corev1.ContainerPort) int32) {
	out := make([]string, len(all))
	for i, p := range all {
		out[i] = fmt.Sprintf("%d/%s", number(p), p.Protocol)
		if p.Name != "" {
			out[i] += " (" + p.Name + ")"
		}
	}
	if len(out) > 1 {
		name += "s"
	}
	s.field(name, orNone(strings.Join(out, ", ")))
}

func (s *sheet) words(name string, words []string) {
	if len(words) == 0 {
		return
	}
	s.title(name)
	for _, w := range words {
		for _, l := range strings.Split(w, "\n") {
			s.in(func() { s.line("%s", l) })
		}
	}
}

func (s *sheet) containerStatus(st *corev1.ContainerStatus) {
	s.state("State", st.State)
	if st.LastTerminationState.Terminated != nil {
		s.state("Last State", st.LastTerminationState)
	}
	s.field("Ready", title(st.Ready))
	s.field("Restart Count", st.RestartCount)
}

func title(b bool) string {
	if b {
		return "True"
	}
	return "False"
}

func (s *sheet) state(name string, st corev1.ContainerState) {
	switch {
	case st.Running != nil:
		s.field(name, "Running")
		s.in(func() { s.field("Started", stamp(st.Running.StartedAt.Time)) })
	case st.Terminated != nil && st.Waiting == nil:
		s.field(name, "Terminated")
		s.in(func() { s.terminated(st.Terminated) })
	default:
		s.field(name, "Waiting")
		if st.Waiting != nil {
			s.in(func() { nonEmpty(s, "Reason", st.Waiting.Reason) })
		}
	}
}

func (s *sheet) terminated(t *corev1.ContainerStateTerminated) {
	nonEmpty(s, "Reason", t.Reason)
	nonEmpty(s, "Message", t.Message)
	s.field("Exit Code", t.ExitCode)
	if t.Signal > 0 {
		s.field("Signal", t.Signal)
	}
	s.field("Started", stamp(t.StartedAt.Time))
	s.field("Finished", stamp(t.FinishedAt.Time))
}

func (s *sheet) resources(r corev1.ResourceRequirements) {
	for _, part := range []struct {
		name string
		list corev1.ResourceList
	}{{"Limits", r.Limits}, {"Requests", r.Requests}} {
		if len(part.list) == 0 {
			continue
		}
		s.title(part.name)
		s.in(func() { s.quantities(part.list) })
	}
}

func (s *sheet) quantities(list corev1.ResourceList) {
	for _, name := range slices.Sorted(maps.Keys(list)) {
		q := list[name]
		s.field(string(name), q.String())
	}
}

// probe is a probe in one line: http-get http://:8080/ delay=0s timeout=1s period=10s #success=1
// #failure=3.
func probe(p *corev1.Probe) string {
	times := fmt.Sprintf("delay=%ds timeout=%ds period=%ds #success=%d #failure=%d",
		p.InitialDelaySeconds, p.TimeoutSeconds, p.PeriodSeconds, p.SuccessThreshold, p.FailureThreshold)
	switch {
	case p.Exec != nil:
		return fmt.Sprintf("exec %v %s", p.Exec.Command, times)
	case p.HTTPGet != nil:
		return "http-get " + probeURL(p.HTTPGet) + " " + times
	case p.TCPSocket != nil:
		return fmt.Sprintf("tcp-socket %s:%s %s", p.TCPSocket.Host, p.TCPSocket.Port.String(), times)
	case p.GRPC != nil:
		service := ""
		if p.GRPC.Service != nil {
			service = *p.GRPC.Service
		}
		return fmt.Sprintf("grpc <pod>:%d %s %s", p.GRPC.Port, service, times)
	}
	return "unknown " + times
}

func probeURL(h *corev1.HTTPGetAction) string {
	u := url.URL{Scheme: strings.ToLower(string(h.Scheme)), Host: h.Host, Path: h.Path}
	if port := h.Port.String(); port != "" {
		u.Host = net.JoinHostPort(h.Host, port)
	}
	return u.String()
}

func (s *sheet) envFrom(all []corev1.EnvFromSource) {
	if len(all) == 0 {
		return
	}
	s.title("Environment Variables from")
	for _, e := range all {
		var from, name string
		var opt *bool
		switch {
		case e.ConfigMapRef != nil:
			from, name, opt = "ConfigMap", e.ConfigMapRef.Name, e.ConfigMapRef.Optional
		case e.SecretRef != nil:
			from, name, opt = "Secret", e.SecretRef.Name, e.SecretRef.Optional
		}
		if e.Prefix != "" {
			from += " with prefix '" + e.Prefix + "'"
		}
		s.in(func() { s.line("%s\t%s\tOptional: %t", name, from, ptr.Deref(opt, false)) })
	}
}

func (s *sheet) env(c *corev1.Container, field resolver) {
	if len(c.Env) == 0 {
		s.field("Environment", none)
		return
	}
	s.title("Environment")
	for _, e := range c.Env {
		s.in(func() { s.envVar(c, e, field) })
	}
}

func (s *sheet) envVar(c *corev1.Container, e corev1.EnvVar, field resolver) {
	switch from := e.ValueFrom; {
	case from == nil:
		lines := strings.Split(e.Value, "\n")
		s.field(e.Name, lines[0])
		for _, l := range lines[1:] {
			s.line("\t%s", l)
		}
	case from.FieldRef != nil:
		value := ""
		if field != nil {
			value = field(e)
		}
		s.field(e.Name, fmt.Sprintf("%s (%s:%s)", value, from.FieldRef.APIVersion, from.FieldRef.FieldPath))
	case from.ResourceFieldRef != nil:
		s.field(e.Name, fmt.Sprintf("%s (%s)", resourceField(c, from.ResourceFieldRef), from.ResourceFieldRef.Resource))
	case from.SecretKeyRef != nil:
		s.field(e.Name, fmt.Sprintf("<set to the key '%s' in secret '%s'>\tOptional: %t", from.SecretKeyRef.Key, from.SecretKeyRef.Name, ptr.Deref(from.SecretKeyRef.Optional, false)))
	case from.ConfigMapKeyRef != nil:
		s.field(e.Name, fmt.Sprintf("<set to the key '%s' of config map '%s'>\tOptional: %t", from.ConfigMapKeyRef.Key, from.ConfigMapKeyRef.Name, ptr.Deref(from.ConfigMapKeyRef.Optional, false)))
	}
}

// resourceField is a container's own limit or request in units of the divisor, rounded up.
func resourceField(c *corev1.Container, f *corev1.ResourceFieldSelector) string {
	which, name, _ := strings.Cut(f.Resource, ".")
	list := c.Resources.Requests
	if which == "limits" {
		list = c.Resources.Limits
	}
	q, divisor := list[corev1.ResourceName(name)], f.Divisor
	if divisor.IsZero() {
		divisor = resource.MustParse("1")
	}
	value := math.Ceil(float64(q.Value()) / float64(divisor.Value()))
	if name == string(corev1.ResourceCPU) {
		value = math.Ceil(float64(q.MilliValue()) / float64(divisor.MilliValue()))
	}
	if value == 0 && (f.Resource == "limits.cpu" || f.Resource == "limits.memory") {
		return "node allocatable"
	}
	return strconv.FormatInt(int64(value), 10)
}

func (s *sheet) mounts(c *corev1.Container) {
	if len(c.VolumeMounts) == 0 {
		s.field("Mounts", none)
	} else {
		s.title("Mounts")
	}
	mounts := slices.Clone(c.VolumeMounts)
	sort.SliceStable(mounts, func(i, j int) bool { return mounts[i].MountPath < mounts[j].MountPath })
	for _, m := range mounts {
		how := "rw"
		if m.ReadOnly {
			how = "ro"
		}
		if m.SubPath != "" {
			how += fmt.Sprintf(",path=%q", m.SubPath)
		}
		s.in(func() { s.line("%s from %s (%s)", m.MountPath, m.Name, how) })
	}
	if len(c.VolumeDevices) == 0 {
		return
	}
	s.title("Devices")
	for _, d := range c.VolumeDevices {
		s.in(func() { s.line("%s from %s", d.DevicePath, d.Name) })
	}
}

package diagnosis

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/cli/command"
	"skiff/cli/events"
)

// probes are a container's probes by kind.
func probes(c *corev1.Container) iter.Seq2[string, *corev1.Probe] {
	return func(yield func(string, *corev1.Probe) bool) {
		_ = (c.StartupProbe == nil || yield("Startup", c.StartupProbe)) &&
			(c.LivenessProbe == nil || yield("Liveness", c.LivenessProbe)) &&
			(c.ReadinessProbe == nil || yield("Readiness", c.ReadinessProbe))
	}
}

// probeName is what a probe is called, and what it asks: readiness probe (GET :8080/ready every 10s).
func probeName(kind string, p *corev1.Probe) string {
	return fmt.Sprintf("%s probe (%s, every %s)", strings.ToLower(kind), asks(p), period(p))
}

// asks is what a probe does.
func asks(p *corev1.Probe) string {
	switch {
	case p.Exec != nil:
		return fmt.Sprintf("command %q", strings.Join(p.Exec.Command, " "))
	case p.HTTPGet != nil:
		return fmt.Sprintf("GET %s:%s%s", p.HTTPGet.Host, p.HTTPGet.Port.String(), cmp.Or(p.HTTPGet.Path, "/"))
	case p.TCPSocket != nil:
		return fmt.Sprintf("TCP %s:%s", p.TCPSocket.Host, p.TCPSocket.Port.String())
	case p.GRPC != nil:
		return fmt.Sprintf("gRPC :%d", p.GRPC.Port)
	}
	return "nothing"
}

// The API's defaults of probes.
func period(p *corev1.Probe) time.Duration   { return seconds(cmp.Or(p.PeriodSeconds, 10)) }
func patience(p *corev1.Probe) time.Duration { return seconds(cmp.Or(p.TimeoutSeconds, 1)) }
func failures(p *corev1.Probe) int32         { return cmp.Or(p.FailureThreshold, 3) }

func seconds(n int32) time.Duration { return time.Duration(n) * time.Second }

// unhealthy is the newest event of a failed probe of a container; nil when there is none.
func (s *Scene) unhealthy(p *corev1.Pod, container, kind string) *corev1.Event {
	all := s.about(p, "Pod")
	for i := range slices.Backward(all) {
		if e := &all[i]; e.Reason == "Unhealthy" && ofContainer(e, container) && strings.HasPrefix(e.Message, kind+" probe") {
			return e
		}
	}
	return nil
}

// answers adds what a probe was last told, and what to do about such an answer.
func (s *Scene) answers(r *Report, p *corev1.Pod, c *corev1.Container, kind string, probe *corev1.Probe) {
	e := s.unhealthy(p, c.Name, kind)
	if e == nil {
		return
	}
	_, answer, _ := strings.Cut(OneLine(e.Message), ": ")
	r.cause("the answer, %s: %s", s.seen(e), answer)
	switch {
	case strings.Contains(answer, "connection refused"):
		r.do("see whether the program in container %s listens on that port, and on all addresses rather than on 127.0.0.1 alone", c.Name)
	case strings.Contains(answer, "timed out"), strings.Contains(answer, "deadline exceeded"), strings.Contains(answer, "Timeout"):
		r.do("give the %s probe more time than %s (timeoutSeconds), or make the answer quicker", strings.ToLower(kind), patience(probe))
	case strings.Contains(answer, "statuscode: 404"):
		r.do("check the path of the %s probe, %s", strings.ToLower(kind), cmp.Or(probePath(probe), "/"))
	}
}

func probePath(p *corev1.Probe) string {
	if p.HTTPGet == nil {
		return ""
	}
	return p.HTTPGet.Path
}

// probed is about a container that runs, but has yet to answer its startup or readiness probe.
func (s *Scene) probed(r *Report, p *corev1.Pod, c *corev1.Container, st *corev1.ContainerStatus, kind string, probe *corev1.Probe) {
	begun := st.State.Running.StartedAt.Add(seconds(probe.InitialDelaySeconds))
	if s.unhealthy(p, c.Name, kind) == nil {
		if s.Now.Before(begun) {
			r.next("the %s of container %s is asked for the first time at %s", probeName(kind, probe), c.Name, s.at(begun))
		}
		return
	}
	r.wrong("is not ready: container %s runs, but its %s probe fails", c.Name, strings.ToLower(kind))
	r.cause("container %s runs since %s; its %s fails", c.Name, s.at(st.State.Running.StartedAt.Time), probeName(kind, probe))
	s.answers(r, p, c, kind, probe)
	if kind == "Readiness" {
		r.next("it is asked again every %s and gets requests once it succeeds; it is not restarted for it", period(probe))
		return
	}
	end := begun.Add(time.Duration(failures(probe)) * period(probe))
	if end.After(s.Now) {
		r.next("it is killed and started anew at about %s, unless the probe succeeds before", s.at(end))
	}
	r.do("give it longer to start (failureThreshold of the startup probe, now %d), if it only needs time", failures(probe))
}

// dying is about a container whose liveness probe fails at present.
func (s *Scene) dying(r *Report, p *corev1.Pod, c *corev1.Container, st *corev1.ContainerStatus) {
	e := s.unhealthy(p, c.Name, "Liveness")
	if e == nil {
		return
	}
	last := events.Last(e)
	if last.Before(st.State.Running.StartedAt.Time) || s.Now.Sub(last) > 2*period(c.LivenessProbe)+patience(c.LivenessProbe) {
		return
	}
	r.wrong("is about to be restarted: the liveness probe of container %s fails", c.Name)
	r.cause("the %s of container %s fails", probeName("Liveness", c.LivenessProbe), c.Name)
	s.answers(r, p, c, "Liveness", c.LivenessProbe)
	r.next("it is killed and started anew after %s in a row", command.Counted(failures(c.LivenessProbe), "failure", "failures"))
}

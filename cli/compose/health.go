package compose

import (
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// The engine's defaults for health checks (docker run --help).
const (
	defaultInterval = 30 * time.Second
	defaultTimeout  = 30 * time.Second
	defaultRetries  = 3
)

// addProbes makes a health check three probes. Until it has passed once it is asked each second, or as
// start_interval says, so that what waits for it does not wait for the interval.
func (s *service) addProbes(c *corev1.Container) {
	command := s.healthCommand()
	if command == nil {
		return
	}
	h := s.HealthCheck
	interval, retries := duration(h.Interval, defaultInterval), int64(min(ptr.Deref(h.Retries, defaultRetries), 1<<20))
	probe := corev1.Probe{
		ProbeHandler:   corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: command}},
		TimeoutSeconds: seconds(duration(h.Timeout, defaultTimeout)), PeriodSeconds: seconds(interval), FailureThreshold: int32(max(retries, 1)),
	}
	startup := probe
	startup.PeriodSeconds = seconds(duration(h.StartInterval, time.Second))
	patience := duration(h.StartPeriod, 0) + time.Duration(max(retries, 1))*interval
	startup.FailureThreshold = max(1, seconds(patience)/startup.PeriodSeconds)
	liveness := probe
	c.StartupProbe, c.ReadinessProbe, c.LivenessProbe = &startup, &probe, &liveness
}

// healthCommand is the check's command; nil where there is none.
func (s *service) healthCommand() []string {
	h := s.HealthCheck
	if h == nil || h.Disable || len(h.Test) == 0 {
		return nil
	}
	switch kind, rest := h.Test[0], h.Test[1:]; kind {
	case "NONE":
		return nil
	case "CMD":
		return escaped(rest)
	case "CMD-SHELL":
		return escaped(append([]string{"/bin/sh", "-c"}, rest...))
	}
	s.refuse(s.at("healthcheck", "test"), "the first word is CMD, CMD-SHELL or NONE, not %q", h.Test[0])
	return nil
}

func duration(d *types.Duration, otherwise time.Duration) time.Duration {
	if d == nil {
		return otherwise
	}
	return time.Duration(*d)
}

// seconds rounds up: probes know no smaller unit.
func seconds(d time.Duration) int32 {
	return int32(min(max((d+time.Second-1)/time.Second, 1), 1<<30))
}

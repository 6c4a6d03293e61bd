// Package probe asks containers whether they are well, with kubelet's rules
// (https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/ and
// k8s.io/kubernetes/pkg/kubelet/prober). It knows the probes of single containers and nothing of
// pods' lives: the node agent tells a Pool which containers run, and acts on what the Pool finds
// out.
package probe

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Kind is the question a probe answers about a container.
type Kind uint8

// The kinds of probes, in the order they matter in a container's life.
const (
	// Startup asks whether the container has started. The other kinds wait for it.
	Startup Kind = iota
	// Liveness asks whether the container must be restarted.
	Liveness
	// Readiness asks whether the container takes traffic.
	Readiness

	kinds = 3
)

// String is the kind as kubelet's events spell it.
func (k Kind) String() string {
	return [...]string{"Startup", "Liveness", "Readiness"}[k]
}

// Outcome is what one probe said, or what several together have decided.
type Outcome uint8

// The outcomes of a probe.
const (
	// Unknown is the outcome when the probe could not be asked, and the verdict before anything is
	// decided.
	Unknown Outcome = iota
	// Success means well.
	Success
	// Warning is a success worth telling somebody about: a redirect to another host. A verdict is
	// never Warning.
	Warning
	// Failure means unwell.
	Failure

	outcomes = 4
)

// String is the outcome as kubelet's events spell it.
func (o Outcome) String() string {
	return [...]string{"unknown", "success", "warning", "failure"}[o]
}

// Key names one run of one container. A restarted container is a new run and so a new key.
type Key struct {
	// Pod is whatever the caller calls the pod, its UID for instance.
	Pod string
	// Container is the container's name.
	Container string
	// ID is the container's ID on the engine.
	ID string
}

// ExecFunc runs a command inside a container and returns its exit code and what it printed. It must
// return soon after ctx ends. An error means that the command could not be run, which says nothing
// about the container.
type ExecFunc func(ctx context.Context, command []string) (exitCode int, output []byte, err error)

// Container is a running container and what to ask it.
type Container struct {
	Key Key
	// Startup, Liveness and Readiness are the container's probes with defaults applied; nil asks
	// nothing. They are read for as long as the container is probed and must not be changed.
	// References to variables in an exec probe's command are already expanded.
	Startup, Liveness, Readiness *corev1.Probe
	// Host is the address probes go to unless they name another: the pod's IP.
	Host string
	// Ports are the container's named ports.
	Ports map[string]int32
	// Exec runs the commands of exec probes; nil makes these probes end in an error.
	Exec ExecFunc
	// StartedAt is when this run of the container began; initial delays count from it.
	StartedAt time.Time
	// Started says that the startup probe is known to have succeeded, and Ready that the container
	// is known to be ready: what the caller remembers of a container it has taken over from an
	// earlier daemon.
	Started, Ready bool
}

// probe is the container's probe of a kind, nil if there is none.
func (c *Container) probe(k Kind) *corev1.Probe {
	return [kinds]*corev1.Probe{c.Startup, c.Liveness, c.Readiness}[k]
}

// State is what the probes of a container have decided so far. A kind that is not asked counts as
// Success.
type State struct {
	// Startup is Unknown until it is decided.
	Startup Outcome
	// Liveness is Success until enough failures are seen.
	Liveness Outcome
	// Readiness is Failure until enough successes are seen, and while the container has not
	// started.
	Readiness Outcome
}

// Started reports whether the container's startup probe, if it has one, has succeeded.
func (s State) Started() bool { return s.Startup == Success }

// Ready reports whether the container has started and is ready.
func (s State) Ready() bool { return s.Started() && s.Readiness == Success }

// Failed reports whether the container must be killed, and which kind of probe decided so.
func (s State) Failed() (Kind, bool) {
	if s.Startup == Failure {
		return Startup, true
	}
	return Liveness, s.Liveness == Failure
}

// Result is the answer to one probe.
type Result struct {
	Key  Key
	Kind Kind
	// Outcome is what this one probe said.
	Outcome Outcome
	// Message is kubelet's text for the outcome: the reason of a failure or a warning, otherwise
	// whatever the container answered (at most 10 KiB, and empty for HTTP).
	Message string
	// Err is why the probe could not be asked or its answer not be read. Such a probe does not
	// count towards any threshold.
	Err error
	// At is when the probe was asked, Latency how long the answer took.
	At      time.Time
	Latency time.Duration
	// Verdict is what the probes of this kind have decided, this one included; Changed says that
	// this one changed it.
	Verdict Outcome
	Changed bool
}

// Event is the result as kubelet tells it in an event's message, empty for a plain success.
// Kubelet's reason is ProbeWarning for a Warning and Unhealthy otherwise; the type is Warning.
func (r Result) Event() string {
	switch {
	case r.Err != nil:
		return fmt.Sprintf("%s probe errored and resulted in %s state: %s", r.Kind, r.Outcome, r.Err)
	case r.Outcome == Warning:
		return fmt.Sprintf("%s probe warning: %s", r.Kind, r.Message)
	case r.Outcome == Failure:
		return fmt.Sprintf("%s probe failed: %s", r.Kind, r.Message)
	}
	return ""
}

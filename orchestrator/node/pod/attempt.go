package pod

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/docker"
)

// Attempt is one run of a pod's container, or of its sandbox, as the agent last saw it.
type Attempt struct {
	docker.Container
	// Number is 0 for the first attempt. It is the container's restart count.
	Number int
	// Sandbox is the attempt of the sandbox in which it runs.
	Sandbox int
	// Round is the round in which it runs: see View.Round.
	Round int
	// Hash is the SpecHash of the container it was created for.
	Hash string
	// Resources are what it was created with, or last given; nil if that is not known.
	Resources *corev1.ResourceRequirements
	// StatusImageID is what the status shows: the image's digest in a registry if it has one.
	StatusImageID string
	// Removed says that the engine no longer has it. It is kept for the status.
	Removed bool
	// Adopted says that an earlier daemon created it.
	Adopted bool
	// Settled says that nothing more is to be asked of the engine about its present state. The
	// first news of its end is an event, which does not have all details.
	Settled bool
	// Signals counts those sent at a client's request of which the engine has yet to tell.
	Signals int
	// StopCause is why the agent stopped it, empty if the agent didn't.
	StopCause string
	// Message is its termination message.
	Message string
	// Reason replaces the engine's reason if nothing is known but the status that an earlier daemon
	// wrote.
	Reason string
}

func newAttempt(c docker.Container, id Identity) *Attempt {
	return &Attempt{Container: c, Number: id.Attempt, Sandbox: id.Sandbox, Round: id.Round, Hash: id.Hash, StatusImageID: c.ImageID, Settled: true}
}

// numberOr is the attempt's number, or another number if there is no attempt.
func (a *Attempt) numberOr(other int) int {
	if a == nil {
		return other
	}
	return a.Number
}

// Running reports whether the attempt runs, as far as is known.
func (a *Attempt) Running() bool { return a != nil && !a.Removed && a.State == docker.Running }

// NeverStarted reports whether the container was created but never started: a daemon died in
// between.
func (a *Attempt) NeverStarted() bool {
	return a != nil && !a.Removed && a.State == docker.Created && a.Error == ""
}

// Ended reports whether the attempt is over, which includes that it could not be started.
func (a *Attempt) Ended() bool { return a != nil && !a.Running() && !a.NeverStarted() }

// failedToStart reports whether the engine could not start it.
func (a *Attempt) failedToStart() bool {
	return a != nil && a.Error != "" && a.StartedAt.IsZero()
}

// Exit codes of container runtimes that are not those of a container's process.
const (
	// ExitKilled is 128 + SIGKILL, for a container that disappeared.
	ExitKilled = 137
	// exitNotStarted is what containerd reports for a container that could not be started.
	exitNotStarted = 128
)

// exitCode is the exit code that the API shows.
func (a *Attempt) exitCode() int32 {
	if a.failedToStart() {
		return exitNotStarted
	}
	return int32(a.ExitCode)
}

// precedes reports whether b, another look at the same container, shows the same or a later state
// than a. Looks may arrive out of order. A container's state goes only forward, unless somebody has
// started it again by hand.
func (a *Attempt) precedes(b docker.Container) bool {
	if b.StartedAt.After(a.StartedAt) {
		return true
	}
	if b.StartedAt.Before(a.StartedAt) {
		return false
	}
	return lifeOrder(b.State) >= lifeOrder(a.State)
}

// Died records that a container has died, as an event says, before the engine has been asked for
// the rest.
func (a *Attempt) Died(exitCode int, at time.Time) {
	if !a.Running() && !a.NeverStarted() {
		return
	}
	a.State, a.ExitCode, a.FinishedAt, a.Settled = docker.Exited, exitCode, at, false
}

func lifeOrder(s docker.State) int {
	switch s {
	case docker.Created:
		return 0
	case docker.Running:
		return 1
	case docker.Exited:
		return 2
	}
	return 3
}

// endedBadly reports whether an attempt that is over failed.
func endedBadly(a *Attempt) bool { return a.exitCode() != 0 || a.OOMKilled }

// idPrefix precedes the engine's IDs in the API.
const idPrefix = "docker://"

// ContainerID is the attempt's ID as the API shows it, empty if it is not known.
func (a *Attempt) ContainerID() string {
	if a.ID == "" {
		return ""
	}
	return idPrefix + a.ID
}

// ContainerName is the name of the attempt's container in the pod.
func (a *Attempt) ContainerName() string { return a.Labels[LabelContainer] }

// endedAt is when the attempt ended. If the engine could not start it, it is when it was created.
func (a *Attempt) endedAt() time.Time {
	if a.FinishedAt.IsZero() {
		return a.CreatedAt
	}
	return a.FinishedAt
}

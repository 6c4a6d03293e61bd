package pod

import (
	"time"
)

// Task is what an operation does.
type Task string

// The tasks of operations.
const (
	TaskPull   Task = "pulling the image of"
	TaskStart  Task = "starting"
	TaskHook   Task = "running the postStart hook of"
	TaskStop   Task = "stopping"
	TaskResize Task = "resizing"
	TaskRemove Task = "removing"
	TaskDelete Task = "deleting"
)

// Operation is something under way for a container.
type Operation struct {
	Task Task
	// Attempt is the number of the attempt it is about.
	Attempt int
	// Deadline is when a stop sends SIGKILL.
	Deadline time.Time
	// Grace is the grace period with which a stop began.
	Grace time.Duration
	// Progress is the progress of a pull in words.
	Progress string
	// Immediate says that it is over before the next step of its plan begins.
	Immediate bool
}

package node

import (
	"context"

	"skiff/orchestrator/node/pod"
)

// operation is something under way, and how to cancel it.
type operation struct {
	pod.Operation
	cancel context.CancelFunc
}

// begin records an operation under a name and starts it, if start is not nil. An operation that is
// under way under that name is cancelled.
func (r *record) begin(name string, o pod.Operation, start func(*operation) context.CancelFunc) *operation {
	r.mu.Lock()
	defer r.mu.Unlock()
	if before, ok := r.operations[name]; ok {
		before.cancel()
	}
	current := &operation{Operation: o, cancel: func() {}}
	put(&r.operations, name, current)
	if start != nil {
		current.cancel = start(current)
	}
	return current
}

// end records that an operation is over, unless another has taken its place.
func (r *record) end(name string, o *operation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.operations[name] == o {
		drop(&r.operations, name)
	}
}

// cancel cancels an operation. It stays in the record until it has ended.
func (r *record) cancel(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if o, ok := r.operations[name]; ok {
		o.cancel()
	}
}

// starting reports whether the agent is starting a container. r.mu is held.
func (r *record) starting(container string) bool {
	o, ok := r.operations[container]
	return ok && o.Task == pod.TaskStart
}

// stopped ends the stop of an attempt that has died: the engine's answer to the stop may take long.
// r.mu is held.
func (r *record) stopped(a *pod.Attempt) {
	name := a.ContainerName()
	if o, ok := r.operations[name]; ok && o.Task == pod.TaskStop && o.Attempt == a.Number {
		o.cancel()
		drop(&r.operations, name)
	}
}

// enterHook turns a start into the running of its postStart hook. It returns false if another
// operation has taken the place of the start.
func (r *record) enterHook(container string, attempt int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	o, ok := r.operations[container]
	if !ok || o.Attempt != attempt {
		return false
	}
	o.Task = pod.TaskHook
	return true
}

// progressed records the progress of a pull and reports whether that is news.
func (r *record) progressed(container, progress string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	o, ok := r.operations[container]
	if !ok || o.Task != pod.TaskPull || o.Progress == progress {
		return false
	}
	o.Progress = progress
	return true
}

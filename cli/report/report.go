// Package report records what happens to an application on a server, and writes it down for people
// and machines: a page with a time line, JUnit's XML, and JSON.
package report

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// Report is what happened.
type Report struct {
	// Title names the application, Version is skiff's.
	Title   string `json:"title"`
	Version string `json:"version"`
	// Passed is the outcome. Message says why it did not pass, as the command has said it.
	Passed  bool      `json:"passed"`
	Message string    `json:"message,omitempty"`
	Began   time.Time `json:"began"`
	Ended   time.Time `json:"ended"`
	// Workloads are what the manifests want to run, Pods all pods that there were, both in the order in
	// which they were first seen.
	Workloads []*Workload `json:"workloads"`
	Pods      []*Pod      `json:"pods"`
	Events    []Event     `json:"events"`
	// Objects are all objects as they were in the end.
	Objects []Object `json:"objects"`
}

// Workload is a Deployment, a Job or another object that has pods and no owner.
type Workload struct {
	Kind      string    `json:"kind"`
	Namespace string    `json:"namespace"`
	Name      string    `json:"name"`
	Began     time.Time `json:"began"`
	UID       string    `json:"uid"`
	// Done is when it was last seen to become ready or to complete; nil for one that never has.
	Done *time.Time `json:"done,omitempty"`
	// Ended is when it was deleted.
	Ended *time.Time `json:"ended,omitempty"`
	// Ready reports whether it is ready or complete in the end; State says it in words: "2/3 ready".
	Ready bool   `json:"ready"`
	State string `json:"state"`
	// Replicas is how many pods it is to have; nil for one that can not be scaled.
	Replicas *int64 `json:"replicas,omitempty"`
	// Spans are its states as a whole: running (on its way), ready, exited.
	Spans []Span `json:"spans,omitempty"`
	// Changes are what somebody has changed about it: rollouts with their cause, other numbers of replicas.
	Changes []Change `json:"changes,omitempty"`
	// Problem says why it has given up, or can not have its pods.
	Problem  string `json:"problem,omitempty"`
	last     *unstructured.Unstructured
	rolling  bool
	revision int64
}

// Change is something that was changed, and when that was seen.
type Change struct {
	At   time.Time `json:"at"`
	What string    `json:"what"`
}

// Pod is the life of a pod.
type Pod struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	UID       string `json:"uid"`
	// Owner is the workload that it belongs to, "deployment/web".
	Owner      string       `json:"owner,omitempty"`
	Node       string       `json:"node,omitempty"`
	Status     string       `json:"status"`
	Began      time.Time    `json:"began"`
	Ended      *time.Time   `json:"ended,omitempty"`
	Containers []*Container `json:"containers"`
	// Problem says why it is not up, or what has gone wrong lately.
	Problem string `json:"problem,omitempty"`
	// owner is what controls it: a ReplicaSet's own owner may be seen later.
	owner    types.UID
	last     *corev1.Pod
	revision int64
}

// Container is the life of a container of a pod, over all its restarts.
type Container struct {
	Name     string `json:"name"`
	Image    string `json:"image"`
	Init     bool   `json:"init,omitempty"`
	Restarts int32  `json:"restarts"`
	Spans    []Span `json:"spans"`
	// Log is what its last runs wrote, each below a line that says which; Cut reports that earlier parts
	// are missing.
	Log string `json:"log,omitempty"`
	Cut bool   `json:"cut,omitempty"`
	// killing and unhealthy are the last Events of these reasons.
	killing, unhealthy Event
	// ended is the ID of the last run whose end is known.
	ended string
}

// The states of a container.
const (
	Waiting = "waiting"
	Pulling = "pulling"
	Running = "running"
	Ready   = "ready"
	Exited  = "exited"
)

// Span is a time in which a container's state was the same.
type Span struct {
	State string     `json:"state"`
	From  time.Time  `json:"from"`
	To    *time.Time `json:"to,omitempty"`
	// Note is the reason: why it waits, or how it ended.
	Note string `json:"note,omitempty"`
	// Cause is the failed probe that it ended for.
	Cause string `json:"cause,omitempty"`
	// Failed reports an end with another code than 0, or a wait that will not end by itself.
	Failed bool `json:"failed,omitempty"`
}

// Event is an Event as it was seen.
type Event struct {
	At        time.Time `json:"at"`
	Type      string    `json:"type"`
	Reason    string    `json:"reason"`
	Namespace string    `json:"namespace,omitempty"`
	Of        string    `json:"of"`
	UID       string    `json:"uid,omitempty"`
	Container string    `json:"container,omitempty"`
	Message   string    `json:"message"`
	Count     int32     `json:"count"`
}

// Warning reports whether it tells of something that went wrong.
func (e Event) Warning() bool { return e.Type == corev1.EventTypeWarning }

// Object is an object's last state, as YAML.
type Object struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	YAML      string `json:"yaml"`
}

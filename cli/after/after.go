// Package after holds how a manifest says which workloads must come before it: up follows it, and what
// makes manifests out of other formats writes it.
package after

// Annotation on a workload names the workloads of its namespace that must come first, as
// "deployment/db=ready,job/migrate=complete,deployment/queue=started". skiff up waits for them.
const Annotation = "skiff/after"

// The conditions of Annotation.
const (
	Started  = "started"  // a container runs, or has run
	Ready    = "ready"    // all pods are ready
	Complete = "complete" // the job has completed
)

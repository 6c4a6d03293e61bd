package node

import (
	"context"
	"io"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/docker"
	"skiff/orchestrator/node/joblog"
	"skiff/orchestrator/node/pod"
)

// keepLog keeps the log of a container that is about to be removed if its pod is a job's and has been
// deleted: when a job fails, its controller deletes the pods that still run.
func (a *Agent) keepLog(ctx context.Context, v *pod.View, s pod.Step) {
	if a.JobLogs == nil || v.Pod == nil || v.Pod.DeletionTimestamp == nil || s.Container == pod.SandboxName {
		return
	}
	owner := metav1.GetControllerOf(v.Pod)
	if owner == nil || owner.Kind != "Job" || owner.APIVersion != batchv1.SchemeGroupVersion.String() {
		return
	}
	// Of a job that is gone nobody could ask for it.
	job, err := a.jobs.Get(v.Pod.Namespace, owner.Name)
	if err != nil || job.UID != owner.UID || job.DeletionTimestamp != nil {
		return
	}
	if newest := v.Attempts.Latest(s.Container); newest == nil || newest.ID != s.ID || newest.NeverStarted() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, messageTimeout)
	defer cancel()
	err = a.JobLogs.Keep(owner.UID, v.Pod.Name, s.Container, func(to io.Writer) error {
		return a.Runtime.Logs(ctx, s.ID, docker.LogOptions{Timestamps: true, Stdout: true, Stderr: true, Tail: joblog.MaxLines}, to, to)
	})
	if err != nil {
		a.log.Warn("the log of a job's pod is lost", "pod", v.Pod.Name, "namespace", v.Pod.Namespace, "container", s.Container, "error", err)
	}
}

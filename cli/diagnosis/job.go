package diagnosis

import (
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// JobFailed is why a job has given up, with the reason and message of its condition; "" when it has
// not.
func JobFailed(j *batchv1.Job) string {
	for _, c := range j.Status.Conditions {
		if c.Type == batchv1.JobFailed && c.Status == corev1.ConditionTrue {
			return Reason(c.Reason, c.Message)
		}
	}
	return ""
}

// Job is the failure of a job that has given up for the reason why, with what is known of its pods:
// which container ended with which code.
func Job(name string, uid types.UID, why string, own []*corev1.Pod, recorded map[types.UID]Failure) Failure {
	f := Failure{What: "job/" + name, Why: why}
	last, _ := LastFailed(own)
	if last == nil {
		r, ok := recorded[uid]
		if !ok {
			return f
		}
		last = &r
	}
	detailed := *last
	detailed.What, detailed.Why = f.What, why+"; "+last.What+": "+last.Why
	return detailed
}

// LastFailed is the failure of the newest of the pods that have failed, nil when none has, and how
// many have.
func LastFailed(own []*corev1.Pod) (last *Failure, n int) {
	var newest *corev1.Pod
	for _, p := range own {
		if p.Status.Phase != corev1.PodFailed {
			continue
		}
		if n++; newest == nil || newest.CreationTimestamp.Before(&p.CreationTimestamp) {
			newest = p
		}
	}
	if newest == nil {
		return nil, 0
	}
	return Failed(newest), n
}

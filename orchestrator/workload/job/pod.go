package job

import (
	"fmt"
	"strconv"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"skiff/orchestrator/workload"
)

var kind = batchv1.SchemeGroupVersion.WithKind("Job")

// indexVariable is the environment variable in which a container finds its pod's
// index.
const indexVariable = "JOB_COMPLETION_INDEX"

// podOf makes a pod of the job, with an index or noIndex. Its finalizer keeps it
// until it is counted.
func podOf(j *batchv1.Job, index int, replaced *corev1.Pod) *corev1.Pod {
	p := workload.PodFromTemplate(&j.Spec.Template, j, kind)
	if !tracked(p) {
		p.Finalizers = append(p.Finalizers, batchv1.JobTrackingFinalizer)
	}
	if index == noIndex {
		return p
	}
	p.GenerateName = indexedPrefix(j.Name, index)
	p.Spec.Hostname = fmt.Sprintf("%s-%d", j.Name, index)
	set(&p.Annotations, batchv1.JobCompletionIndexAnnotation, index)
	set(&p.Labels, batchv1.JobCompletionIndexAnnotation, index)
	for _, containers := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for i := range containers {
			addIndexVariable(&containers[i])
		}
	}
	if j.Spec.BackoffLimitPerIndex != nil {
		bearFailures(p, j, replaced)
	}
	return p
}

// indexedPrefix is what the name of an index's pod begins with. A job's name that
// is too long is cut before the index.
func indexedPrefix(job string, index int) string {
	const suffix = 5 // characters, which the API server adds
	end := fmt.Sprintf("-%d-", index)
	return job[:min(len(job), validation.DNS1123LabelMaxLength-suffix-len(end))] + end
}

// addIndexVariable leaves a variable alone that the user has set.
func addIndexVariable(c *corev1.Container) {
	for _, v := range c.Env {
		if v.Name == indexVariable {
			return
		}
	}
	path := fmt.Sprintf("metadata.labels['%s']", batchv1.JobCompletionIndexAnnotation)
	c.Env = append(c.Env, corev1.EnvVar{
		Name: indexVariable, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}},
	})
}

// bearFailures writes on a pod how often its index has failed before.
func bearFailures(p *corev1.Pod, j *batchv1.Job, replaced *corev1.Pod) {
	counted, ignored := 0, 0
	if replaced != nil {
		counted, ignored = failureCount(replaced, batchv1.JobIndexFailureCountAnnotation), ignoredCount(replaced)
		if rule(j.Spec.PodFailurePolicy, replaced).ignored {
			ignored++
		} else {
			counted++
		}
	}
	set(&p.Annotations, batchv1.JobIndexFailureCountAnnotation, counted)
	if ignored > 0 {
		set(&p.Annotations, batchv1.JobIndexIgnoredFailureCountAnnotation, ignored)
	}
}

func set(m *map[string]string, key string, value int) {
	if *m == nil {
		*m = map[string]string{}
	}
	(*m)[key] = strconv.Itoa(value)
}

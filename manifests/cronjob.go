package manifests

import (
	"context"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	batchv1beta1 "k8s.io/api/batch/v1beta1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	jobutil "k8s.io/kubernetes/pkg/api/job"
	"k8s.io/kubernetes/pkg/api/pod"
	"k8s.io/kubernetes/pkg/apis/batch"
	kbatchv1 "k8s.io/kubernetes/pkg/apis/batch/v1"
	"k8s.io/kubernetes/pkg/apis/batch/validation"
	"k8s.io/kubernetes/pkg/apis/core"
)

// cronJobKind is stored as batch/v1, and served as batch/v1beta1 too, which old
// manifests still carry.
func cronJobKind() *Kind {
	v1 := batchv1.SchemeGroupVersion.WithKind("CronJob")
	return newKind(v1, Kind{
		Served:   []schema.GroupVersionKind{v1, batchv1beta1.SchemeGroupVersion.WithKind("CronJob")},
		Resource: "cronjobs", ShortNames: []string{"cj"}, Categories: []string{"all"},
		Namespaced: true, HasStatus: true,
		New: newOf[*batchv1.CronJob](), NewList: newOf[*batchv1.CronJobList](),
		Rules: &rules[*batchv1.CronJob, batch.CronJob]{
			namespaced:   true,
			toInternal:   kbatchv1.Convert_v1_CronJob_To_batch_CronJob,
			fromInternal: kbatchv1.Convert_batch_CronJob_To_v1_CronJob,
			prepareCreate: func(c *batch.CronJob) {
				c.Status = batch.CronJobStatus{}
				c.Generation = 1
				jobutil.DropDisabledFields(&c.Spec.JobTemplate.Spec, nil)
				pod.DropDisabledTemplateFields(&c.Spec.JobTemplate.Spec.Template, nil)
			},
			validateCreate: func(_ context.Context, c *batch.CronJob) field.ErrorList {
				return validation.ValidateCronJobCreate(c, pod.GetValidationOptionsFromPodTemplate(&c.Spec.JobTemplate.Spec.Template, nil))
			},
			warnCreate: func(ctx context.Context, c *batch.CronJob) []string {
				return append(warnOfName(c.Name, "Pod names and hostnames"),
					warnOfJob(ctx, field.NewPath("spec", "jobTemplate", "spec"), &c.Spec.JobTemplate.Spec, nil)...)
			},
			podSpec: func(o *batch.CronJob) (*field.Path, *core.PodSpec) {
				return field.NewPath("spec", "jobTemplate", "spec", "template", "spec"), &o.Spec.JobTemplate.Spec.Template.Spec
			},
			updates: map[string]update[batch.CronJob]{
				SubresourceNone:   cronJobUpdate(),
				SubresourceStatus: {prepare: func(c, old *batch.CronJob) { c.Spec = old.Spec }},
			},
			features: jobFeatures(),
			reset:    specAndStatus(batchv1.SchemeGroupVersion, batchv1beta1.SchemeGroupVersion),
		},
	})
}

func cronJobUpdate() update[batch.CronJob] {
	return update[batch.CronJob]{
		prepare: func(c, old *batch.CronJob) {
			c.Status = old.Status
			jobutil.DropDisabledFields(&c.Spec.JobTemplate.Spec, &old.Spec.JobTemplate.Spec)
			pod.DropDisabledTemplateFields(&c.Spec.JobTemplate.Spec.Template, &old.Spec.JobTemplate.Spec.Template)
			bump(&c.Generation, old.Generation, &c.Spec, &old.Spec)
		},
		validate: func(_ context.Context, c, old *batch.CronJob) field.ErrorList {
			opts := pod.GetValidationOptionsFromPodTemplate(&c.Spec.JobTemplate.Spec.Template, &old.Spec.JobTemplate.Spec.Template)
			return validation.ValidateCronJobUpdate(c, old, opts)
		},
		warn: func(ctx context.Context, c, old *batch.CronJob) []string {
			var warnings []string
			if c.Generation != old.Generation {
				warnings = warnOfJob(ctx, field.NewPath("spec", "jobTemplate", "spec"), &c.Spec.JobTemplate.Spec, &old.Spec.JobTemplate.Spec)
			}
			if strings.Contains(c.Spec.Schedule, "TZ") {
				// The path is upstream's.
				warnings = append(warnings, "cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details")
			}
			return warnings
		},
	}
}

package manifests

import (
	"context"
	"strconv"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	jobutil "k8s.io/kubernetes/pkg/api/job"
	"k8s.io/kubernetes/pkg/api/pod"
	"k8s.io/kubernetes/pkg/apis/batch"
	kbatchv1 "k8s.io/kubernetes/pkg/apis/batch/v1"
	"k8s.io/kubernetes/pkg/apis/batch/validation"
	"k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/pkg/features"
	"k8s.io/utils/ptr"
)

func jobKind() *Kind {
	return newKind(batchv1.SchemeGroupVersion.WithKind("Job"), Kind{
		Resource: "jobs", Categories: []string{"all"},
		Namespaced: true, HasStatus: true,
		Dependents:    OrphanDependents,
		OrphanWarning: "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning",
		New:           newOf[*batchv1.Job](), NewList: newOf[*batchv1.JobList](),
		Rules: &rules[*batchv1.Job, batch.Job]{
			namespaced:   true,
			toInternal:   kbatchv1.Convert_v1_Job_To_batch_Job,
			fromInternal: kbatchv1.Convert_batch_Job_To_v1_Job,
			prepareCreate: func(j *batch.Job) {
				if !ptr.Deref(j.Spec.ManualSelector, false) {
					generateSelector(j)
				}
				j.Status = batch.JobStatus{}
				j.Generation = 1
				jobutil.DropDisabledFields(&j.Spec, nil)
				pod.DropDisabledTemplateFields(&j.Spec.Template, nil)
			},
			validateCreate: func(_ context.Context, j *batch.Job) field.ErrorList {
				return validation.ValidateJobCreate(j, jobOptions(j, nil))
			},
			warnCreate: func(ctx context.Context, j *batch.Job) []string {
				return append(warnOfName(j.Name, "Pod names and hostnames"), warnOfJob(ctx, field.NewPath("spec"), &j.Spec, nil)...)
			},
			podSpec: func(o *batch.Job) (*field.Path, *core.PodSpec) {
				return field.NewPath("spec", "template", "spec"), &o.Spec.Template.Spec
			},
			updates: map[string]update[batch.Job]{
				SubresourceNone: jobUpdate(),
				SubresourceStatus: {
					prepare: func(j, old *batch.Job) { j.Spec = old.Spec },
					validate: func(_ context.Context, j, old *batch.Job) field.ErrorList {
						return validation.ValidateJobUpdateStatus(j, old, jobStatusOptions(j, old))
					},
				},
			},
			features: jobFeatures(),
			fields: fieldTable[*batchv1.Job]{
				"status.successful": func(j *batchv1.Job) string { return strconv.Itoa(int(j.Status.Succeeded)) },
			},
			reset: specAndStatus(batchv1.SchemeGroupVersion),
		},
	})
}

func jobFeatures() map[string]bool {
	return map[string]bool{
		string(features.WorkloadWithJob): utilfeature.DefaultFeatureGate.Enabled(features.WorkloadWithJob),
	}
}

func jobUpdate() update[batch.Job] {
	return update[batch.Job]{
		prepare: func(j, old *batch.Job) {
			j.Status = old.Status
			jobutil.DropDisabledFields(&j.Spec, &old.Spec)
			pod.DropDisabledTemplateFields(&j.Spec.Template, &old.Spec.Template)
			bump(&j.Generation, old.Generation, &j.Spec, &old.Spec)
		},
		validate: func(_ context.Context, j, old *batch.Job) field.ErrorList {
			return validation.ValidateJobUpdate(j, old, jobOptions(j, old))
		},
		warn: func(ctx context.Context, j, old *batch.Job) []string {
			if j.Generation == old.Generation {
				return nil
			}
			return warnOfJob(ctx, field.NewPath("spec"), &j.Spec, &old.Spec)
		},
	}
}

// warnOfJob is upstream's warnings of a job's specification and skiff's own.
func warnOfJob(ctx context.Context, path *field.Path, s, old *batch.JobSpec) []string {
	return append(jobutil.WarningsForJobSpec(ctx, path, s, old), unhonoured(path.Child("template", "spec"), &s.Template.Spec)...)
}

// generateSelector makes the job select the pods that bear its UID, and makes
// its pods bear that and its name. Labels the user gave that say otherwise stay,
// for validation to refuse.
func generateSelector(j *batch.Job) {
	labels := &j.Spec.Template.Labels
	for _, key := range []string{batch.LegacyJobNameLabel, batch.JobNameLabel} {
		setIfMissing(labels, key, j.Name)
	}
	for _, key := range []string{batch.LegacyControllerUidLabel, batch.ControllerUidLabel} {
		setIfMissing(labels, key, string(j.UID))
	}
	if j.Spec.Selector == nil {
		j.Spec.Selector = &metav1.LabelSelector{}
	}
	setIfMissing(&j.Spec.Selector.MatchLabels, batch.ControllerUidLabel, string(j.UID))
}

func setIfMissing(m *map[string]string, key, value string) {
	if *m == nil {
		*m = map[string]string{}
	}
	if _, ok := (*m)[key]; !ok {
		(*m)[key] = value
	}
}

// jobOptions are what validation is to allow; old is nil on create.
func jobOptions(j, old *batch.Job) validation.JobValidationOptions {
	if old == nil {
		return validation.JobValidationOptions{
			PodValidationOptions:  pod.GetValidationOptionsFromPodTemplate(&j.Spec.Template, nil),
			RequirePrefixedLabels: true,
		}
	}
	opts := validation.JobValidationOptions{
		PodValidationOptions: pod.GetValidationOptionsFromPodTemplate(&j.Spec.Template, &old.Spec.Template),
	}
	opts.AllowInvalidLabelValueInSelector = opts.AllowInvalidLabelValueInSelector ||
		metavalidation.LabelSelectorHasInvalidLabelValue(old.Spec.Selector)

	suspended := ptr.Deref(old.Spec.Suspend, false)
	notStarted := old.Status.StartTime == nil
	resting := suspended && old.Status.Active == 0 &&
		(notStarted || validation.IsConditionTrue(old.Status.Conditions, batch.JobSuspended))
	opts.AllowMutableSchedulingDirectives = suspended && notStarted
	if utilfeature.DefaultFeatureGate.Enabled(features.MutableSchedulingDirectivesForSuspendedJobs) {
		opts.AllowMutableSchedulingDirectives = resting
	}
	opts.AllowMutablePodResources = resting && utilfeature.DefaultFeatureGate.Enabled(features.MutablePodResourcesForSuspendedJobs)

	// Jobs from before there were prefixed labels do not have them.
	_, hasName := old.Spec.Template.Labels[batch.JobNameLabel]
	_, hasUID := old.Spec.Template.Labels[batch.ControllerUidLabel]
	opts.RequirePrefixedLabels = hasName && hasUID
	return opts
}

// jobStatusOptions refuse what a status can not become. Each rule holds only
// where what it speaks of changes, so that a status that breaks it already can
// still be written.
func jobStatusOptions(j, old *batch.Job) validation.JobStatusValidationOptions {
	s, was := &j.Status, &old.Status
	turned := func(c batch.JobConditionType) bool {
		return validation.IsConditionTrue(s.Conditions, c) != validation.IsConditionTrue(was.Conditions, c)
	}
	var (
		finished        = validation.IsJobFinished(j) != validation.IsJobFinished(old)
		complete        = validation.IsJobComplete(j) != validation.IsJobComplete(old)
		failed          = validation.IsJobFailed(j) != validation.IsJobFailed(old)
		completedIndex  = s.CompletedIndexes != was.CompletedIndexes
		failedIndex     = !ptr.Equal(s.FailedIndexes, was.FailedIndexes)
		active          = s.Active != was.Active
		started         = !ptr.Equal(s.StartTime, was.StartTime)
		completed       = !ptr.Equal(s.CompletionTime, was.CompletionTime)
		uncounted       = !equality.Semantic.DeepEqual(s.UncountedTerminatedPods, was.UncountedTerminatedPods)
		indexed         = ptr.Deref(j.Spec.CompletionMode, batch.NonIndexedCompletion) == batch.IndexedCompletion
		nothingToDo     = ptr.Deref(j.Spec.Suspend, false) && ptr.Deref(j.Spec.Completions, -1) == 0
		resumed         = validation.IsConditionTrue(was.Conditions, batch.JobSuspended) && validation.IsConditionFalse(s.Conditions, batch.JobSuspended)
		terminatingPods = !ptr.Equal(s.Terminating, was.Terminating)
	)
	return validation.JobStatusValidationOptions{
		// An indexed job whose completions equal its parallelism can be scaled down.
		RejectDecreasingSucceededCounter:             !indexed || !ptr.Equal(j.Spec.Completions, j.Spec.Parallelism),
		RejectDecreasingFailedCounter:                true,
		RejectDisablingTerminalCondition:             true,
		RejectInvalidCompletedIndexes:                completedIndex,
		RejectInvalidFailedIndexes:                   failedIndex,
		RejectCompletedIndexesForNonIndexedJob:       completedIndex,
		RejectFailedIndexesForNoBackoffLimitPerIndex: failedIndex,
		RejectFailedIndexesOverlappingCompleted:      failedIndex || completedIndex,
		RejectFailedJobWithoutFailureTarget:          failed || failedIndex,
		RejectCompleteJobWithoutSuccessCriteriaMet:   complete || turned(batch.JobSuccessCriteriaMet),
		RejectFinishedJobWithActivePods:              finished || active,
		RejectFinishedJobWithoutStartTime:            (finished || started) && !nothingToDo,
		RejectFinishedJobWithUncountedTerminatedPods: finished || uncounted,
		RejectStartTimeUpdateForUnsuspendedJob:       started && !resumed,
		RejectCompletionTimeBeforeStartTime:          started || completed,
		RejectMutatingCompletionTime:                 true,
		RejectNotCompleteJobWithCompletionTime:       complete || completed,
		RejectCompleteJobWithoutCompletionTime:       complete || completed,
		RejectCompleteJobWithFailedCondition:         complete || failed,
		RejectCompleteJobWithFailureTargetCondition:  complete || turned(batch.JobFailureTarget),
		RejectMoreReadyThanActivePods:                !ptr.Equal(s.Ready, was.Ready) || active,
		RejectFinishedJobWithTerminatingPods:         finished || terminatingPods,
	}
}

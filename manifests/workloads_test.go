package manifests

import (
	"context"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// changed reviews a change of an object as an update, and returns the outcome.
func changed[T Object](t *testing.T, old T, subresource string, change func(T)) T {
	t.Helper()
	obj := old.DeepCopyObject().(T)
	change(obj)
	wantText(t, verdict(kindOf(t, obj).Update(context.Background(), obj, old, subresource)), "")
	return obj
}

// stored is a manifest as it is after its creation.
func stored[T Object](t *testing.T, manifest string) T {
	t.Helper()
	obj := parse(t, manifest)
	obj.SetUID("u")
	wantText(t, verdict(kindOf(t, obj).Create(context.Background(), obj)), "")
	obj.SetResourceVersion("1")
	return obj.(T)
}

const template = `
  selector: {matchLabels: {app: kubia}}
  template:
    metadata: {labels: {app: kubia}}
    spec: {containers: [{name: kubia, image: kubia}]}
`

func TestDaemonSetGenerations(t *testing.T) {
	old := stored[*appsv1.DaemonSet](t, "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: a, namespace: d}\nspec:"+template)
	for name, test := range map[string]struct {
		change     func(*appsv1.DaemonSet)
		generation int64
		template   string
	}{
		"nothing":  {func(*appsv1.DaemonSet) {}, 1, "1"},
		"label":    {func(ds *appsv1.DaemonSet) { ds.Labels = map[string]string{"a": "b"} }, 1, "1"},
		"strategy": {func(ds *appsv1.DaemonSet) { ds.Spec.MinReadySeconds = 5 }, 2, "1"},
		"template": {func(ds *appsv1.DaemonSet) { ds.Spec.Template.Spec.Containers[0].Image = "x" }, 2, "2"},
	} {
		t.Run(name, func(t *testing.T) {
			ds := changed(t, old, SubresourceNone, test.change)
			if got := ds.Annotations[appsv1.DeprecatedTemplateGeneration]; ds.Generation != test.generation || got != test.template {
				t.Errorf("generation %d, template %s", ds.Generation, got)
			}
		})
	}
}

func TestDisruptionBudgetUpdates(t *testing.T) {
	old := stored[*policyv1.PodDisruptionBudget](t, "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: a, namespace: d}\nspec: {minAvailable: 1, selector: {}}")
	b := changed(t, old, SubresourceNone, func(b *policyv1.PodDisruptionBudget) {
		b.Status.DisruptionsAllowed = 5
		b.Spec.Selector.MatchExpressions = []metav1.LabelSelectorRequirement{
			{Key: "pdb.kubernetes.io/deprecated-v1beta1-empty-selector-match", Operator: metav1.LabelSelectorOpExists},
			{Key: "a", Operator: metav1.LabelSelectorOpExists},
		}
	})
	if b.Generation != 2 || b.Status.DisruptionsAllowed != 0 || len(b.Spec.Selector.MatchExpressions) != 1 || b.Spec.Selector.MatchExpressions[0].Key != "a" {
		t.Errorf("%+v", b)
	}
	b = changed(t, old, SubresourceStatus, func(b *policyv1.PodDisruptionBudget) { b.Status.DisruptionsAllowed, b.Spec.MinAvailable = 5, nil })
	if b.Generation != 1 || b.Status.DisruptionsAllowed != 5 || b.Spec.MinAvailable == nil {
		t.Errorf("%+v", b)
	}
}

func TestDeploymentGenerations(t *testing.T) {
	old := stored[*appsv1.Deployment](t, "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a, namespace: d}\nspec:"+template)
	for name, test := range map[string]struct {
		change func(*appsv1.Deployment)
		want   int64
	}{
		"label":      {func(d *appsv1.Deployment) { d.Labels = map[string]string{"a": "b"} }, 1},
		"annotation": {func(d *appsv1.Deployment) { d.Annotations = map[string]string{"a": "b"} }, 2},
		"both":       {func(d *appsv1.Deployment) { d.Annotations, d.Spec.Paused = map[string]string{"a": "b"}, true }, 2},
	} {
		t.Run(name, func(t *testing.T) {
			if d := changed(t, old, SubresourceNone, test.change); d.Generation != test.want {
				t.Errorf("generation %d, want %d", d.Generation, test.want)
			}
		})
	}
	d := changed(t, old, SubresourceStatus, func(d *appsv1.Deployment) {
		d.Labels, d.Spec.Paused, d.Status.Replicas = map[string]string{"a": "b"}, true, 1
	})
	if d.Labels["a"] != "" || d.Spec.Paused || d.Status.Replicas != 1 {
		t.Errorf("%+v", d)
	}
}

func TestStatefulSet(t *testing.T) {
	old := stored[*appsv1.StatefulSet](t, "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: a, namespace: d}\nspec:\n  serviceName: a"+template)
	s := changed(t, old, SubresourceNone, func(s *appsv1.StatefulSet) { s.Spec.Replicas = ptr.To[int32](3) })
	if s.Generation != 2 || kindOf(t, s).Scale.Get(s).Spec.Replicas != 3 {
		t.Errorf("%+v", s)
	}
	s.Spec.ServiceName = "b"
	wantText(t, verdict(kindOf(t, s).Update(context.Background(), s, old, SubresourceNone)),
		`spec.serviceName: Invalid value: "b": field is immutable`)
}

func TestJobsSelectTheirPodsByUID(t *testing.T) {
	job := stored[*batchv1.Job](t, "apiVersion: batch/v1\nkind: Job\nmetadata: {name: a, namespace: d}\nspec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: i}]}}}")
	if got := job.Spec.Selector.MatchLabels[batchv1.ControllerUidLabel]; got != "u" {
		t.Errorf("selects %v", job.Spec.Selector)
	}
	for key, want := range map[string]string{
		"job-name": "a", "batch.kubernetes.io/job-name": "a",
		"controller-uid": "u", "batch.kubernetes.io/controller-uid": "u",
	} {
		if got := job.Spec.Template.Labels[key]; got != want {
			t.Errorf("label %s is %q", key, got)
		}
	}
}

func TestJobStatusCanNotGoBack(t *testing.T) {
	old := stored[*batchv1.Job](t, "apiVersion: batch/v1\nkind: Job\nmetadata: {name: a, namespace: d}\nspec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: i}]}}}")
	old.Status.Failed = 2
	job := old.DeepCopy()
	job.Status.Failed = 1
	wantText(t, verdict(jobKind().Update(context.Background(), job, old, SubresourceStatus)),
		`status.failed: Invalid value: 1: cannot decrease the failed counter`)
	if got := jobKind().Fields(job).Get("status.successful"); got != "0" {
		t.Errorf("status.successful is %q", got)
	}
}

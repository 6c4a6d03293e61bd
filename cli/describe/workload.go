package describe

import (
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/utils/ptr"

	"skiff/cli/client"
)

func replicationController(p *page, o *corev1.ReplicationController) error {
	p.field("Name", o.Name)
	p.field("Namespace", o.Namespace)
	p.field("Selector", labels.FormatLabels(o.Spec.Selector))
	p.labelled(o)
	p.field("Replicas", fmt.Sprintf("%d current / %d desired", o.Status.Replicas, ptr.Deref(o.Spec.Replicas, 0)))
	p.podsStatus(o, labels.SelectorFromSet(o.Spec.Selector))
	p.template(o.Spec.Template)
	p.conditions()
	p.events(o, "ReplicationController")
	return nil
}

func replicaSet(p *page, o *appsv1.ReplicaSet) error {
	selector, err := metav1.LabelSelectorAsSelector(o.Spec.Selector)
	if err != nil {
		return err
	}
	p.field("Name", o.Name)
	p.field("Namespace", o.Namespace)
	p.field("Selector", metav1.FormatLabelSelector(o.Spec.Selector))
	p.labelled(o)
	p.controlledBy(o)
	p.field("Replicas", fmt.Sprintf("%d current / %d desired", o.Status.Replicas, ptr.Deref(o.Spec.Replicas, 0)))
	p.podsStatus(o, selector)
	p.template(&o.Spec.Template)
	p.conditions()
	p.events(o, "ReplicaSet")
	return nil
}

// podsStatus counts an object's own pods by phase.
func (p *page) podsStatus(o metav1.Object, selector labels.Selector) {
	pods, err := listOf[corev1.Pod](p, "", "Pod", client.ListOptions{Labels: selector.String()})
	if err != nil {
		p.field("Pods Status", "error in fetching pods: "+err.Error())
		return
	}
	count := map[corev1.PodPhase]int{}
	for i := range pods {
		if ref := metav1.GetControllerOf(&pods[i]); ref != nil && ref.UID == o.GetUID() {
			count[pods[i].Status.Phase]++
		}
	}
	p.field("Pods Status", fmt.Sprintf("%d Running / %d Waiting / %d Succeeded / %d Failed",
		count[corev1.PodRunning], count[corev1.PodPending], count[corev1.PodSucceeded], count[corev1.PodFailed]))
}

// conditions writes the conditions that the object's status has.
func (p *page) conditions() {
	all, _, _ := unstructured.NestedSlice(p.object.Object, "status", "conditions")
	if len(all) == 0 {
		return
	}
	p.title("Conditions")
	p.in(func() {
		p.line("Type\tStatus\tReason")
		p.line("----\t------\t------")
		for _, item := range all {
			c, _ := item.(map[string]any)
			reason, _ := c["reason"].(string)
			p.line("%v \t%v\t%s", c["type"], c["status"], reason)
		}
	})
}

func deployment(p *page, o *appsv1.Deployment) error {
	selector, err := metav1.LabelSelectorAsSelector(o.Spec.Selector)
	if err != nil {
		return err
	}
	p.field("Name", o.Name)
	p.field("Namespace", o.Namespace)
	p.field("CreationTimestamp", stamp(o.CreationTimestamp.Time))
	p.labelled(o)
	p.field("Selector", selector)
	p.field("Replicas", fmt.Sprintf("%d desired | %d updated | %d total | %d available | %d unavailable", ptr.Deref(o.Spec.Replicas, 0),
		o.Status.UpdatedReplicas, o.Status.Replicas, o.Status.AvailableReplicas, o.Status.UnavailableReplicas))
	p.field("StrategyType", o.Spec.Strategy.Type)
	p.field("MinReadySeconds", o.Spec.MinReadySeconds)
	if ru := o.Spec.Strategy.RollingUpdate; ru != nil {
		p.field("RollingUpdateStrategy", fmt.Sprintf("%s max unavailable, %s max surge", ru.MaxUnavailable.String(), ru.MaxSurge.String()))
	}
	p.template(&o.Spec.Template)
	p.conditions()
	p.replicaSets(o, selector)
	p.events(o, "Deployment")
	return nil
}

// replicaSets names the replica sets of a deployment, apart from that of its present template.
func (p *page) replicaSets(o *appsv1.Deployment, selector labels.Selector) {
	sets, err := listOf[appsv1.ReplicaSet](p, "apps", "ReplicaSet", client.ListOptions{Labels: selector.String()})
	if err != nil {
		return
	}
	var older, newest []string
	for i := range sets {
		rs := &sets[i]
		if ref := metav1.GetControllerOf(rs); ref == nil || ref.UID != o.UID {
			continue
		}
		text := fmt.Sprintf("%s (%d/%d replicas created)", rs.Name, rs.Status.Replicas, ptr.Deref(rs.Spec.Replicas, 0))
		if len(newest) == 0 && sameTemplate(&rs.Spec.Template, &o.Spec.Template) {
			newest = append(newest, text)
		} else {
			older = append(older, text)
		}
	}
	if len(older)+len(newest) > 0 {
		p.field("OldReplicaSets", orNone(strings.Join(older, ", ")))
		p.field("NewReplicaSet", orNone(strings.Join(newest, ", ")))
	}
}

func sameTemplate(a, b *corev1.PodTemplateSpec) bool {
	a, b = a.DeepCopy(), b.DeepCopy()
	delete(a.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	delete(b.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	return apiequality.Semantic.DeepEqual(a, b)
}

func daemonSet(p *page, o *appsv1.DaemonSet) error {
	selector, err := metav1.LabelSelectorAsSelector(o.Spec.Selector)
	if err != nil {
		return err
	}
	p.field("Name", o.Name)
	p.field("Namespace", o.Namespace)
	p.field("Selector", selector)
	p.field("Node-Selector", labels.FormatLabels(o.Spec.Template.Spec.NodeSelector))
	p.labelled(o)
	p.line("Desired Number of Nodes Scheduled: %d", o.Status.DesiredNumberScheduled)
	p.line("Current Number of Nodes Scheduled: %d", o.Status.CurrentNumberScheduled)
	p.line("Number of Nodes Scheduled with Up-to-date Pods: %d", o.Status.UpdatedNumberScheduled)
	p.line("Number of Nodes Scheduled with Available Pods: %d", o.Status.NumberAvailable)
	p.line("Number of Nodes Misscheduled: %d", o.Status.NumberMisscheduled)
	p.podsStatus(o, selector)
	p.template(&o.Spec.Template)
	p.events(o, "DaemonSet")
	return nil
}

func statefulSet(p *page, o *appsv1.StatefulSet) error {
	selector, err := metav1.LabelSelectorAsSelector(o.Spec.Selector)
	if err != nil {
		return err
	}
	p.field("Name", o.Name)
	p.field("Namespace", o.Namespace)
	p.field("CreationTimestamp", stamp(o.CreationTimestamp.Time))
	p.field("Selector", selector)
	p.labelled(o)
	nonEmpty(p.sheet, "Service Name", o.Spec.ServiceName)
	nonEmpty(p.sheet, "Pod Management Policy", o.Spec.PodManagementPolicy)
	p.field("Replicas", fmt.Sprintf("%d desired | %d total", ptr.Deref(o.Spec.Replicas, 0), o.Status.Replicas))
	p.field("Update Strategy", o.Spec.UpdateStrategy.Type)
	if ru := o.Spec.UpdateStrategy.RollingUpdate; ru != nil && ru.Partition != nil {
		p.in(func() { p.field("Partition", *ru.Partition) })
	}
	if policy := o.Spec.PersistentVolumeClaimRetentionPolicy; policy != nil {
		p.title("Persistent Volume Claim Retention Policy")
		p.in(func() {
			p.field("WhenDeleted", policy.WhenDeleted)
			p.field("WhenScaled", policy.WhenScaled)
		})
	}
	p.podsStatus(o, selector)
	p.template(&o.Spec.Template)
	p.claimTemplates(o.Spec.VolumeClaimTemplates)
	p.events(o, "StatefulSet")
	return nil
}

func (s *sheet) claimTemplates(all []corev1.PersistentVolumeClaim) {
	if len(all) == 0 {
		s.field("Volume Claims", none)
		return
	}
	s.title("Volume Claims")
	for i := range all {
		s.in(func() {
			c := &all[i]
			s.field("Name", c.Name)
			s.field("StorageClass", storageClass(c))
			s.labels("Labels", c.Labels)
			s.labels("Annotations", c.Annotations)
			capacity := "<default>"
			if q, ok := c.Spec.Resources.Requests[corev1.ResourceStorage]; ok {
				capacity = q.String()
			}
			s.field("Capacity", capacity)
			s.field("Access Modes", c.Spec.AccessModes)
		})
	}
}

func job(p *page, o *batchv1.Job) error {
	p.field("Name", o.Name)
	p.field("Namespace", o.Namespace)
	p.selector(o.Spec.Selector)
	p.labelled(o)
	p.controlledBy(o)
	p.jobSpec(o)
	if t := o.Status.StartTime; t != nil {
		p.field("Start Time", stamp(t.Time))
	}
	if t := o.Status.CompletionTime; t != nil {
		p.field("Completed At", stamp(t.Time))
		if o.Status.StartTime != nil {
			p.field("Duration", duration.HumanDuration(t.Sub(o.Status.StartTime.Time)))
		}
	}
	if d := o.Spec.ActiveDeadlineSeconds; d != nil {
		p.field("Active Deadline Seconds", fmt.Sprintf("%ds", *d))
	}
	active := fmt.Sprintf("%d Active", o.Status.Active)
	if o.Status.Ready != nil {
		active += fmt.Sprintf(" (%d Ready)", *o.Status.Ready)
	}
	p.field("Pods Statuses", fmt.Sprintf("%s / %d Succeeded / %d Failed", active, o.Status.Succeeded, o.Status.Failed))
	if m := o.Spec.CompletionMode; m != nil && *m == batchv1.IndexedCompletion {
		p.field("Completed Indexes", orNone(fewIndexes(o.Status.CompletedIndexes, 50)))
	}
	p.template(&o.Spec.Template)
	p.events(o, "Job")
	return nil
}

func (s *sheet) jobSpec(o *batchv1.Job) {
	whenSet(s, "Parallelism", o.Spec.Parallelism)
	optional(s, "Completions", o.Spec.Completions, "%d")
	whenSet(s, "Completion Mode", o.Spec.CompletionMode)
	whenSet(s, "Suspend", o.Spec.Suspend)
	whenSet(s, "Backoff Limit", o.Spec.BackoffLimit)
	whenSet(s, "TTL Seconds After Finished", o.Spec.TTLSecondsAfterFinished)
}

// fewIndexes cuts a list of indexes at the first comma after limit characters.
func fewIndexes(list string, limit int) string {
	if len(list) <= limit {
		return list
	}
	if i := strings.IndexByte(list[limit:], ','); i >= 0 {
		return list[:limit+i+1] + "..."
	}
	return list
}

func (s *sheet) selector(l *metav1.LabelSelector) {
	selector, err := metav1.LabelSelectorAsSelector(l)
	if err != nil {
		s.field("Selector", "Failed to get selector: "+err.Error())
		return
	}
	s.field("Selector", selector)
}

func cronJob(p *page, o *batchv1.CronJob) error {
	p.meta(o)
	p.field("Schedule", o.Spec.Schedule)
	p.field("Concurrency Policy", o.Spec.ConcurrencyPolicy)
	suspend := unset
	if o.Spec.Suspend != nil {
		suspend = title(*o.Spec.Suspend)
	}
	p.field("Suspend", suspend)
	optional(p.sheet, "Time Zone", o.Spec.TimeZone, "%s")
	optional(p.sheet, "Successful Job History Limit", o.Spec.SuccessfulJobsHistoryLimit, "%d")
	optional(p.sheet, "Failed Job History Limit", o.Spec.FailedJobsHistoryLimit, "%d")
	optional(p.sheet, "Starting Deadline Seconds", o.Spec.StartingDeadlineSeconds, "%ds")
	p.jobTemplate(&o.Spec.JobTemplate.Spec)
	last := unset
	if t := o.Status.LastScheduleTime; t != nil {
		last = stamp(t.Time)
	}
	p.field("Last Schedule Time", last)
	var active []string
	for _, j := range o.Status.Active {
		active = append(active, j.Name)
	}
	p.field("Active Jobs", orNone(strings.Join(active, ", ")))
	p.events(o, "CronJob")
	return nil
}

func (s *sheet) jobTemplate(spec *batchv1.JobSpec) {
	if spec.Selector == nil {
		s.field("Selector", unset)
	} else {
		s.selector(spec.Selector)
	}
	optional(s, "Parallelism", spec.Parallelism, "%d")
	optional(s, "Completions", spec.Completions, "%d")
	if d := spec.ActiveDeadlineSeconds; d != nil {
		s.field("Active Deadline Seconds", fmt.Sprintf("%ds", *d))
	}
	s.template(&spec.Template)
}

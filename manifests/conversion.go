package manifests

import (
	batchv1 "k8s.io/api/batch/v1"
	batchv1beta1 "k8s.io/api/batch/v1beta1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/kubernetes/pkg/apis/batch"
	kbatchv1 "k8s.io/kubernetes/pkg/apis/batch/v1"
	kbatchv1beta1 "k8s.io/kubernetes/pkg/apis/batch/v1beta1"
	"k8s.io/kubernetes/pkg/apis/core"
	kcorev1 "k8s.io/kubernetes/pkg/apis/core/v1"
	keventsv1 "k8s.io/kubernetes/pkg/apis/events/v1"
)

// addEventConversions converts between events.k8s.io/v1 and the core/v1 event
// that is stored, by way of upstream's internal event.
func addEventConversions(s *runtime.Scheme) error {
	toStored := func(in *eventsv1.Event, out *corev1.Event, scope conversion.Scope) error {
		return through(in, out, new(core.Event), scope,
			keventsv1.Convert_v1_Event_To_core_Event, kcorev1.Convert_core_Event_To_v1_Event)
	}
	toServed := func(in *corev1.Event, out *eventsv1.Event, scope conversion.Scope) error {
		return through(in, out, new(core.Event), scope,
			kcorev1.Convert_v1_Event_To_core_Event, keventsv1.Convert_core_Event_To_v1_Event)
	}
	if err := addConversion(s, toStored); err != nil {
		return err
	}
	if err := addConversion(s, toServed); err != nil {
		return err
	}
	if err := addConversion(s, func(in *eventsv1.EventList, out *corev1.EventList, scope conversion.Scope) error {
		out.ListMeta = in.ListMeta
		return convertItems(in.Items, &out.Items, scope, toStored)
	}); err != nil {
		return err
	}
	return addConversion(s, func(in *corev1.EventList, out *eventsv1.EventList, scope conversion.Scope) error {
		out.ListMeta = in.ListMeta
		return convertItems(in.Items, &out.Items, scope, toServed)
	})
}

// addCronJobConversions converts between batch/v1beta1 and the batch/v1 cron
// job that is stored.
func addCronJobConversions(s *runtime.Scheme) error {
	toStored := func(in *batchv1beta1.CronJob, out *batchv1.CronJob, scope conversion.Scope) error {
		return through(in, out, new(batch.CronJob), scope,
			kbatchv1beta1.Convert_v1beta1_CronJob_To_batch_CronJob, kbatchv1.Convert_batch_CronJob_To_v1_CronJob)
	}
	toServed := func(in *batchv1.CronJob, out *batchv1beta1.CronJob, scope conversion.Scope) error {
		return through(in, out, new(batch.CronJob), scope,
			kbatchv1.Convert_v1_CronJob_To_batch_CronJob, kbatchv1beta1.Convert_batch_CronJob_To_v1beta1_CronJob)
	}
	if err := addConversion(s, toStored); err != nil {
		return err
	}
	if err := addConversion(s, toServed); err != nil {
		return err
	}
	if err := addConversion(s, func(in *batchv1beta1.CronJobList, out *batchv1.CronJobList, scope conversion.Scope) error {
		out.ListMeta = in.ListMeta
		return convertItems(in.Items, &out.Items, scope, toStored)
	}); err != nil {
		return err
	}
	return addConversion(s, func(in *batchv1.CronJobList, out *batchv1beta1.CronJobList, scope conversion.Scope) error {
		out.ListMeta = in.ListMeta
		return convertItems(in.Items, &out.Items, scope, toServed)
	})
}

// converts is a function that fills out from in.
type converts[In, Out any] func(in *In, out *Out, scope conversion.Scope) error

func addConversion[In, Out any](s *runtime.Scheme, f converts[In, Out]) error {
	return s.AddConversionFunc((*In)(nil), (*Out)(nil), func(a, b any, scope conversion.Scope) error {
		return f(a.(*In), b.(*Out), scope)
	})
}

// through converts in to hub and hub to out.
func through[In, Hub, Out any](in *In, out *Out, hub *Hub, scope conversion.Scope, first converts[In, Hub], second converts[Hub, Out]) error {
	if err := first(in, hub, scope); err != nil {
		return err
	}
	return second(hub, out, scope)
}

func convertItems[In, Out any](in []In, out *[]Out, scope conversion.Scope, f converts[In, Out]) error {
	if in == nil {
		*out = nil
		return nil
	}
	*out = make([]Out, len(in))
	for i := range in {
		if err := f(&in[i], &(*out)[i], scope); err != nil {
			return err
		}
	}
	return nil
}

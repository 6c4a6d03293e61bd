package manifests

import (
	"errors"
	"reflect"

	appsv1 "k8s.io/api/apps/v1"
	appsv1beta1 "k8s.io/api/apps/v1beta1"
	appsv1beta2 "k8s.io/api/apps/v1beta2"
	batchv1 "k8s.io/api/batch/v1"
	batchv1beta1 "k8s.io/api/batch/v1beta1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	extensionsv1beta1 "k8s.io/api/extensions/v1beta1"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
	kappsv1 "k8s.io/kubernetes/pkg/apis/apps/v1"
	kappsv1beta1 "k8s.io/kubernetes/pkg/apis/apps/v1beta1"
	kappsv1beta2 "k8s.io/kubernetes/pkg/apis/apps/v1beta2"
	kbatchv1 "k8s.io/kubernetes/pkg/apis/batch/v1"
	kbatchv1beta1 "k8s.io/kubernetes/pkg/apis/batch/v1beta1"
	kcorev1 "k8s.io/kubernetes/pkg/apis/core/v1"
	keventsv1 "k8s.io/kubernetes/pkg/apis/events/v1"
	kextensionsv1beta1 "k8s.io/kubernetes/pkg/apis/extensions/v1beta1"
)

// addEventConversions lets events.k8s.io/v1 stand for the core/v1 event that is stored.
func addEventConversions(s *runtime.Scheme) error {
	return servedAs[eventsv1.EventList, corev1.EventList](s,
		keventsv1.Convert_v1_Event_To_core_Event, kcorev1.Convert_core_Event_To_v1_Event,
		kcorev1.Convert_v1_Event_To_core_Event, keventsv1.Convert_core_Event_To_v1_Event)
}

// addCronJobConversions lets batch/v1beta1 stand for the batch/v1 cron job that is stored.
func addCronJobConversions(s *runtime.Scheme) error {
	return servedAs[batchv1beta1.CronJobList, batchv1.CronJobList](s,
		kbatchv1beta1.Convert_v1beta1_CronJob_To_batch_CronJob, kbatchv1.Convert_batch_CronJob_To_v1_CronJob,
		kbatchv1.Convert_v1_CronJob_To_batch_CronJob, kbatchv1beta1.Convert_batch_CronJob_To_v1beta1_CronJob)
}

// addAppsConversions lets apps/v1beta1 and apps/v1beta2 stand for the apps/v1 objects that are
// stored.
func addAppsConversions(s *runtime.Scheme) error {
	return errors.Join(
		servedAs[appsv1beta1.DeploymentList, appsv1.DeploymentList](s,
			kappsv1beta1.Convert_v1beta1_Deployment_To_apps_Deployment, kappsv1.Convert_apps_Deployment_To_v1_Deployment,
			kappsv1.Convert_v1_Deployment_To_apps_Deployment, kappsv1beta1.Convert_apps_Deployment_To_v1beta1_Deployment),
		servedAs[appsv1beta1.StatefulSetList, appsv1.StatefulSetList](s,
			kappsv1beta1.Convert_v1beta1_StatefulSet_To_apps_StatefulSet, kappsv1.Convert_apps_StatefulSet_To_v1_StatefulSet,
			kappsv1.Convert_v1_StatefulSet_To_apps_StatefulSet, kappsv1beta1.Convert_apps_StatefulSet_To_v1beta1_StatefulSet),
		servedAs[appsv1beta2.DaemonSetList, appsv1.DaemonSetList](s,
			kappsv1beta2.Convert_v1beta2_DaemonSet_To_apps_DaemonSet, kappsv1.Convert_apps_DaemonSet_To_v1_DaemonSet,
			kappsv1.Convert_v1_DaemonSet_To_apps_DaemonSet, kappsv1beta2.Convert_apps_DaemonSet_To_v1beta2_DaemonSet),
		servedAs[appsv1beta2.DeploymentList, appsv1.DeploymentList](s,
			kappsv1beta2.Convert_v1beta2_Deployment_To_apps_Deployment, kappsv1.Convert_apps_Deployment_To_v1_Deployment,
			kappsv1.Convert_v1_Deployment_To_apps_Deployment, kappsv1beta2.Convert_apps_Deployment_To_v1beta2_Deployment),
		servedAs[appsv1beta2.ReplicaSetList, appsv1.ReplicaSetList](s,
			kappsv1beta2.Convert_v1beta2_ReplicaSet_To_apps_ReplicaSet, kappsv1.Convert_apps_ReplicaSet_To_v1_ReplicaSet,
			kappsv1.Convert_v1_ReplicaSet_To_apps_ReplicaSet, kappsv1beta2.Convert_apps_ReplicaSet_To_v1beta2_ReplicaSet),
		servedAs[appsv1beta2.StatefulSetList, appsv1.StatefulSetList](s,
			kappsv1beta2.Convert_v1beta2_StatefulSet_To_apps_StatefulSet, kappsv1.Convert_apps_StatefulSet_To_v1_StatefulSet,
			kappsv1.Convert_v1_StatefulSet_To_apps_StatefulSet, kappsv1beta2.Convert_apps_StatefulSet_To_v1beta2_StatefulSet),
	)
}

// addExtensionsConversions lets extensions/v1beta1 stand for the apps/v1 objects that are stored.
func addExtensionsConversions(s *runtime.Scheme) error {
	return errors.Join(
		servedAs[extensionsv1beta1.DaemonSetList, appsv1.DaemonSetList](s,
			kextensionsv1beta1.Convert_v1beta1_DaemonSet_To_apps_DaemonSet, kappsv1.Convert_apps_DaemonSet_To_v1_DaemonSet,
			kappsv1.Convert_v1_DaemonSet_To_apps_DaemonSet, kextensionsv1beta1.Convert_apps_DaemonSet_To_v1beta1_DaemonSet),
		servedAs[extensionsv1beta1.DeploymentList, appsv1.DeploymentList](s,
			kextensionsv1beta1.Convert_v1beta1_Deployment_To_apps_Deployment, kappsv1.Convert_apps_Deployment_To_v1_Deployment,
			kappsv1.Convert_v1_Deployment_To_apps_Deployment, kextensionsv1beta1.Convert_apps_Deployment_To_v1beta1_Deployment),
		servedAs[extensionsv1beta1.ReplicaSetList, appsv1.ReplicaSetList](s,
			kextensionsv1beta1.Convert_v1beta1_ReplicaSet_To_apps_ReplicaSet, kappsv1.Convert_apps_ReplicaSet_To_v1_ReplicaSet,
			kappsv1.Convert_v1_ReplicaSet_To_apps_ReplicaSet, kextensionsv1beta1.Convert_apps_ReplicaSet_To_v1beta1_ReplicaSet),
	)
}

// servedAs adds the conversions between a served version and the stored one, and between their
// lists, by way of upstream's internal type.
func servedAs[ServedList, StoredList, Served, Hub, Stored any](
	s *runtime.Scheme,
	fromServed converts[Served, Hub], toStored converts[Hub, Stored],
	fromStored converts[Stored, Hub], toServed converts[Hub, Served],
) error {
	store := func(in *Served, out *Stored, scope conversion.Scope) error {
		return through(in, out, new(Hub), scope, fromServed, toStored)
	}
	serve := func(in *Stored, out *Served, scope conversion.Scope) error {
		return through(in, out, new(Hub), scope, fromStored, toServed)
	}
	return errors.Join(
		addConversion(s, store), addConversion(s, serve),
		addConversion(s, ofLists[ServedList, StoredList](store)), addConversion(s, ofLists[StoredList, ServedList](serve)),
	)
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

// ofLists converts lists of what item converts.
func ofLists[InList, OutList, In, Out any](item converts[In, Out]) converts[InList, OutList] {
	return func(in *InList, out *OutList, scope conversion.Scope) error {
		from, to := reflect.ValueOf(in).Elem(), reflect.ValueOf(out).Elem()
		to.FieldByName("ListMeta").Set(from.FieldByName("ListMeta"))
		var items []Out
		given := from.FieldByName("Items").Interface().([]In)
		if given != nil {
			items = make([]Out, len(given))
		}
		for i := range given {
			if err := item(&given[i], &items[i], scope); err != nil {
				return err
			}
		}
		to.FieldByName("Items").Set(reflect.ValueOf(items))
		return nil
	}
}

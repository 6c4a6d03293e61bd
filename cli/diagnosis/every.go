package diagnosis

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"skiff/cli/client"
)

// Of reports on an object of any kind. resource is what kubectl calls its kind.
func (s *Scene) Of(u *unstructured.Unstructured, resource string) (Report, error) {
	switch u.GetKind() {
	case "Pod":
		return as(u, s.Pod)
	case "Deployment":
		return as(u, s.Deployment)
	case "ReplicaSet":
		return as(u, s.ReplicaSet)
	case "ReplicationController":
		return as(u, s.Controller)
	case "StatefulSet":
		return as(u, s.StatefulSet)
	case "DaemonSet":
		return as(u, s.DaemonSet)
	case "Job":
		return as(u, s.Job)
	case "CronJob":
		return as(u, s.CronJob)
	case "Service":
		return as(u, s.Service)
	case "PersistentVolumeClaim":
		return as(u, s.Claim)
	case "Ingress":
		return as(u, s.Ingress)
	case "Node":
		return as(u, s.Node)
	case "Namespace":
		return as(u, s.Namespace)
	case "Event":
		return as(u, s.Event)
	}
	return s.Other(u, resource), nil
}

// as reports on an object as its own type.
func as[T any](u *unstructured.Unstructured, report func(*T) Report) (Report, error) {
	o := new(T)
	if err := client.Into(u, o); err != nil {
		return Report{}, fmt.Errorf("reading %s %s: %w", strings.ToLower(u.GetKind()), u.GetName(), err)
	}
	return report(o), nil
}

// Event reports on an event, and on the object that it is about.
func (s *Scene) Event(e *corev1.Event) Report {
	r := Report{Object: who("Event", e), Namespace: e.Namespace}
	on := e.InvolvedObject
	said := fmt.Sprintf("says of %s/%s: %s", strings.ToLower(on.Kind), on.Name, Reason(e.Reason, e.Message))
	if e.Type == corev1.EventTypeWarning {
		r.wrong("%s", said)
	} else {
		r.fine("%s", said)
	}
	r.cause("%s, %s", strings.TrimSuffix("it was seen by "+component(e), " by "), s.seen(e))
	if one, ok := s.find(on.Kind, on.Name); ok {
		r.Below = append(r.Below, one)
	} else {
		r.cause("%s/%s is gone, or is not of this namespace", strings.ToLower(on.Kind), on.Name)
	}
	return r
}

func component(e *corev1.Event) string {
	if e.Source.Component != "" {
		return e.Source.Component
	}
	return e.ReportingController
}

// find reports on one of the scene's objects, if it is there.
func (s *Scene) find(kind, name string) (Report, bool) {
	return s.named(strings.ToLower(kind) + "/" + name)
}

// named reports on the object that is called kind/name, if it is there.
func (s *Scene) named(what string) (found Report, ok bool) {
	s.each(func(o metav1.Object, kind string, report func() Report) {
		if !ok && who(kind, o) == what {
			found, ok = report(), true
		}
	})
	return found, ok
}

// Wrong are the reports of all objects of the scene with which something is wrong, nodes first. What
// another one controls is reported below that one.
func (s *Scene) Wrong() []Report {
	var out []Report
	s.each(func(o metav1.Object, _ string, report func() Report) {
		if ref := metav1.GetControllerOf(o); ref != nil {
			if owner, _ := s.controller(ref); owner != nil {
				return
			}
		}
		if r := report(); r.Wrong {
			out = append(out, r)
		}
	})
	return out
}

// each calls see with every object of which there are reports.
func (s *Scene) each(see func(o metav1.Object, kind string, report func() Report)) {
	visit(s.Nodes, "Node", s.Node, see)
	visit(s.Claims, "PersistentVolumeClaim", s.Claim, see)
	visit(s.Deployments, "Deployment", s.Deployment, see)
	visit(s.StatefulSets, "StatefulSet", s.StatefulSet, see)
	visit(s.DaemonSets, "DaemonSet", s.DaemonSet, see)
	visit(s.ReplicaSets, "ReplicaSet", s.ReplicaSet, see)
	visit(s.Controllers, "ReplicationController", s.Controller, see)
	visit(s.CronJobs, "CronJob", s.CronJob, see)
	visit(s.Jobs, "Job", s.Job, see)
	visit(s.Pods, "Pod", s.Pod, see)
	visit(s.Services, "Service", s.Service, see)
	visit(s.Ingresses, "Ingress", s.Ingress, see)
}

func visit[T any, P object[T]](all []T, kind string, report func(P) Report, see func(metav1.Object, string, func() Report)) {
	for i := range all {
		see(P(&all[i]), kind, func() Report { return report(&all[i]) })
	}
}

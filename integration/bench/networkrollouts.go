package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// networkRollouts rolls a Deployment out again and again while clients ask it through a service. Its
// pods go by the book: they say when they are ready, and wait a little before they end, so that all
// may have heard of it.
func networkRollouts(ctx context.Context, b *bench) (rows []row, err error) {
	l, err := b.newLab(ctx, b.main)
	if err != nil {
		return nil, err
	}
	defer func() { err = joinClose(ctx, err, l) }()
	deployments := b.kube.AppsV1().Deployments(namespace)
	if _, err := deployments.Create(ctx, rolledOut(), metav1.CreateOptions{}); err != nil {
		return nil, err
	}
	defer deployments.Delete(context.WithoutCancel(ctx), "rolled", metav1.DeleteOptions{}) //nolint:errcheck // the pods are waited for
	if err := l.rolled(ctx); err != nil {
		return nil, err
	}
	s, err := l.service(ctx, "rolled", "rolled", corev1.ServiceTypeClusterIP)
	if err != nil {
		return nil, err
	}
	args := []string{"http", "-to", at(s.Spec.ClusterIP, httpPort), "-workers", "4", "-pause", "5ms"}
	kept, err := b.begin(ctx, l.client, append(args, "-keepalive")...)
	if err != nil {
		return nil, err
	}
	single, err := b.begin(ctx, l.client, args...)
	if err != nil {
		return nil, err
	}
	for i := range b.rollouts {
		began := time.Now()
		patch, err := json.Marshal(map[string]any{"spec": map[string]any{"template": map[string]any{
			"metadata": map[string]any{"annotations": map[string]string{"rollout": fmt.Sprint(i)}}}}})
		if err != nil {
			return nil, err
		}
		if _, err := deployments.Patch(ctx, "rolled", types.StrategicMergePatchType, patch, metav1.PatchOptions{}); err != nil {
			return nil, err
		}
		if err := l.rolled(ctx); err != nil {
			return nil, err
		}
		fmt.Fprintf(os.Stderr, "  rollout %d: %s\n", i+1, time.Since(began).Round(10*time.Millisecond))
	}
	keptReport, err := kept.stop(ctx)
	if err != nil {
		return nil, err
	}
	singleReport, err := single.stop(ctx)
	if err != nil {
		return nil, err
	}
	complain("rollouts, keep-alive", keptReport)
	complain("rollouts, a connection each", singleReport)
	return []row{
		atMost(fmt.Sprintf("%d rollouts under load: failed requests, keep-alive", b.rollouts), float64(keptReport.Failed), 0, ""),
		info("  of", float64(keptReport.Done+keptReport.Failed), ""),
		atMost("  failed requests, a connection each", float64(singleReport.Failed), 0, ""),
		info("  of", float64(singleReport.Done+singleReport.Failed), ""),
	}, nil
}

func rolledOut() *appsv1.Deployment {
	labels := map[string]string{"bench": labLabel, "app": "rolled"}
	spec := netloadSpec()
	spec.TerminationGracePeriodSeconds = ptr(int64(10))
	spec.Containers[0].Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 2}}}
	return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "rolled"}, Spec: appsv1.DeploymentSpec{
		Replicas: ptr(int32(3)), Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec},
	}}
}

// rolled waits until the newest pods alone are there, all ready, and the old ones gone.
func (l *lab) rolled(ctx context.Context) error {
	return poll(ctx, 2*time.Minute, "the rollout is done", func() (bool, error) {
		d, err := l.kube.AppsV1().Deployments(namespace).Get(ctx, "rolled", metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		s := d.Status
		if s.ObservedGeneration < d.Generation || s.UpdatedReplicas != 3 || s.Replicas != 3 || s.AvailableReplicas != 3 {
			return false, nil
		}
		list, err := l.kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=rolled"})
		return err == nil && len(list.Items) == 3, err
	})
}

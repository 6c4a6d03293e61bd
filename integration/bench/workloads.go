package main

import (
	"context"
	"fmt"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
)

const namespace = "default"

func ptr[T any](v T) *T { return &v }

// podSpec is one container that serves on 8080 and need not be waited for when it goes.
func podSpec() corev1.PodSpec {
	return corev1.PodSpec{
		TerminationGracePeriodSeconds: ptr(int64(0)),
		Containers:                    []corev1.Container{{Name: "main", Image: rawImage, ImagePullPolicy: corev1.PullNever}},
	}
}

func pod(name string, change func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"bench": name}}, Spec: podSpec()}
	if change != nil {
		change(p)
	}
	return p
}

func replicaSet(name string, replicas int) *appsv1.ReplicaSet {
	l := map[string]string{"bench": name}
	return &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: appsv1.ReplicaSetSpec{
		Replicas: ptr(int32(replicas)), Selector: &metav1.LabelSelector{MatchLabels: l},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: l}, Spec: podSpec()},
	}}
}

// pods follows the pods of one scenario.
type pods struct {
	w     watch.Interface
	state map[string]*corev1.Pod
}

func watchPods(ctx context.Context, kube kubernetes.Interface, name string) (*pods, error) {
	list, err := kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "bench=" + name})
	if err != nil {
		return nil, err
	}
	w, err := kube.CoreV1().Pods(namespace).Watch(ctx, metav1.ListOptions{LabelSelector: "bench=" + name, ResourceVersion: list.ResourceVersion})
	if err != nil {
		return nil, err
	}
	p := &pods{w: w, state: map[string]*corev1.Pod{}}
	for i := range list.Items {
		p.state[list.Items[i].Name] = &list.Items[i]
	}
	return p, nil
}

// until reads the watch until ok holds for the pods.
func (p *pods) until(ctx context.Context, limit time.Duration, what string, ok func(map[string]*corev1.Pod) bool) error {
	end := time.After(limit)
	for !ok(p.state) {
		select {
		case e, open := <-p.w.ResultChan():
			if !open {
				return fmt.Errorf("the watch ended while waiting for %s", what)
			}
			q, is := e.Object.(*corev1.Pod)
			if !is {
				return fmt.Errorf("waiting for %s: %v", what, e.Object)
			}
			if e.Type == watch.Deleted {
				delete(p.state, q.Name)
			} else {
				p.state[q.Name] = q
			}
		case <-end:
			return fmt.Errorf("not within %s: %s", limit, what)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func running(n int) func(map[string]*corev1.Pod) bool {
	return func(s map[string]*corev1.Pod) bool {
		have := 0
		for _, p := range s {
			if p.Status.Phase == corev1.PodRunning && p.DeletionTimestamp == nil {
				have++
			}
		}
		return have == n
	}
}

func gone(s map[string]*corev1.Pod) bool { return len(s) == 0 }

// replicaSets measures 1, 10 and 50 replicas from the create to the last one Running, beside the
// fastest way for plain API calls, and beside the fastest on a user-defined network, which skiff
// needs for the pods' addresses and names.
func replicaSets(ctx context.Context, b *bench) ([]row, error) {
	var rows []row
	for _, n := range []int{1, 10, 50} {
		rounds := b.rounds
		if n == 50 {
			rounds = max(3, b.rounds/2)
		}
		var ours, raw, own []time.Duration
		for i := range rounds {
			r, err := b.rawReplicas(ctx, b.best, n)
			if err != nil {
				return nil, err
			}
			o, err := b.skiffReplicas(ctx, fmt.Sprintf("rs-%d-%d", n, i), n)
			if err != nil {
				return nil, err
			}
			r2, err := b.rawReplicas(ctx, b.bestOwn, n)
			if err != nil {
				return nil, err
			}
			raw, ours, own = append(raw, r), append(ours, o), append(own, r2)
		}
		name := fmt.Sprintf("ReplicaSet of %d: all Running", n)
		if n == 1 {
			rows = append(rows, beyond(name, median(ours), median(raw), 20, "ms"))
		} else {
			rows = append(rows, within(name, median(ours), median(raw), 1.10, "ms"))
		}
		rows = append(rows, beside("  beside raw calls on "+userDefined, median(ours), median(own), "ms"))
	}
	return rows, nil
}

func (b *bench) skiffReplicas(ctx context.Context, name string, n int) (time.Duration, error) {
	p, err := watchPods(ctx, b.kube, name)
	if err != nil {
		return 0, err
	}
	defer p.w.Stop()
	began := time.Now()
	if _, err := b.kube.AppsV1().ReplicaSets(namespace).Create(ctx, replicaSet(name, n), metav1.CreateOptions{}); err != nil {
		return 0, err
	}
	if err := p.until(ctx, 2*time.Minute, fmt.Sprintf("%d pods Running", n), running(n)); err != nil {
		return 0, err
	}
	took := time.Since(began)
	if err := b.kube.AppsV1().ReplicaSets(namespace).Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		return 0, err
	}
	return took, p.until(ctx, 2*time.Minute, "pods gone", gone)
}

// replacement measures from a pod's deletion to its replacement Running, beside one raw create and
// start.
func replacement(ctx context.Context, b *bench) ([]row, error) {
	const name = "replace"
	p, err := watchPods(ctx, b.kube, name)
	if err != nil {
		return nil, err
	}
	defer p.w.Stop()
	if _, err := b.kube.AppsV1().ReplicaSets(namespace).Create(ctx, replicaSet(name, 1), metav1.CreateOptions{}); err != nil {
		return nil, err
	}
	if err := p.until(ctx, time.Minute, "a pod Running", running(1)); err != nil {
		return nil, err
	}
	var ours, raw []time.Duration
	for range 2 * b.rounds {
		r, err := b.rawReplicas(ctx, b.best, 1)
		if err != nil {
			return nil, err
		}
		var old string
		for n := range p.state {
			old = n
		}
		began := time.Now()
		if err := b.kube.CoreV1().Pods(namespace).Delete(ctx, old, metav1.DeleteOptions{}); err != nil {
			return nil, err
		}
		if err := p.until(ctx, time.Minute, "the replacement Running", func(s map[string]*corev1.Pod) bool {
			return running(1)(s) && (s[old] == nil || s[old].DeletionTimestamp != nil)
		}); err != nil {
			return nil, err
		}
		raw, ours = append(raw, r), append(ours, time.Since(began))
		if err := p.until(ctx, time.Minute, "the deleted pod gone", func(s map[string]*corev1.Pod) bool { return s[old] == nil }); err != nil {
			return nil, err
		}
	}
	if err := b.kube.AppsV1().ReplicaSets(namespace).Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		return nil, err
	}
	return []row{beyond("pod deleted to its replacement Running", median(ours), median(raw), 20, "ms")},
		p.until(ctx, time.Minute, "pods gone", gone)
}

// killed measures from a container's SIGKILL to the pod's next container being shown running,
// beside raw kill, die event, create and start.
func killed(ctx context.Context, b *bench) ([]row, error) {
	net, dropNet, err := b.rawNetwork(ctx, b.best)
	if err != nil {
		return nil, err
	}
	var ours, raw []time.Duration
	for i := range 2 * b.rounds {
		r, err := b.rawKillAndRestart(ctx, net)
		if err != nil {
			return nil, err
		}
		// A pod of its own each time, because a second crash within ten minutes has to wait for its
		// back-off.
		o, err := b.skiffKilled(ctx, fmt.Sprintf("kill-%d", i))
		if err != nil {
			return nil, err
		}
		raw, ours = append(raw, r), append(ours, o)
	}
	return []row{beyond("container killed to running again, and shown so", median(ours), median(raw), 20, "ms")}, dropNet()
}

func (b *bench) skiffKilled(ctx context.Context, name string) (time.Duration, error) {
	p, err := watchPods(ctx, b.kube, name)
	if err != nil {
		return 0, err
	}
	defer p.w.Stop()
	if _, err := b.kube.CoreV1().Pods(namespace).Create(ctx, pod(name, nil), metav1.CreateOptions{}); err != nil {
		return 0, err
	}
	if err := p.until(ctx, time.Minute, "the pod Running", running(1)); err != nil {
		return 0, err
	}
	id, err := b.containerOf(ctx, name)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := b.engine.ContainerKill(ctx, id, "KILL"); err != nil {
		return 0, err
	}
	if err := p.until(ctx, time.Minute, "the container running again", func(s map[string]*corev1.Pod) bool {
		c := s[name].Status.ContainerStatuses
		return len(c) == 1 && c[0].RestartCount == 1 && c[0].State.Running != nil
	}); err != nil {
		return 0, err
	}
	took := time.Since(began)
	if err := b.kube.CoreV1().Pods(namespace).Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		return 0, err
	}
	return took, p.until(ctx, time.Minute, "the pod gone", gone)
}

// containerOf finds the running container of a pod.
func (b *bench) containerOf(ctx context.Context, podName string) (string, error) {
	return b.containerIn(ctx, b.main, "io.kubernetes.pod.name="+podName)
}

// containerIn finds the one running container of a daemon that has a label.
func (b *bench) containerIn(ctx context.Context, d *daemon, label string) (string, error) {
	id, err := d.instance()
	if err != nil {
		return "", err
	}
	list, err := b.engine.ContainerList(ctx, container.ListOptions{Filters: filters.NewArgs(
		filters.Arg("label", "skiff/instance="+id), filters.Arg("label", label))})
	if err != nil {
		return "", err
	}
	if len(list) != 1 {
		return "", fmt.Errorf("%d containers with %s run, want 1", len(list), label)
	}
	return list[0].ID, nil
}

func (b *bench) rawKillAndRestart(ctx context.Context, net string) (time.Duration, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	id, err := b.rawStart(ctx, net)
	if err != nil {
		return 0, err
	}
	msgs, errs := b.engine.Events(ctx, events.ListOptions{Filters: filters.NewArgs(filters.Arg("container", id), filters.Arg("event", "die"))})
	began := time.Now()
	if err := b.engine.ContainerKill(ctx, id, "KILL"); err != nil {
		return 0, err
	}
	select {
	case <-msgs:
	case err := <-errs:
		return 0, err
	}
	next, err := b.rawStart(ctx, net)
	if err != nil {
		return 0, err
	}
	took := time.Since(began)
	return took, b.rawRemove(ctx, []string{id, next})
}

// livenessKill measures from the moment the app starts to fail to its process being dead, for a
// probe each second that needs one failure and a grace period of 0. The deciding probe is up to a
// period later, so half a period is allowed for it.
func livenessKill(ctx context.Context, b *bench) ([]row, error) {
	var took []time.Duration
	for i := range b.rounds {
		d, err := b.livenessRound(ctx, fmt.Sprintf("live-%d", i))
		if err != nil {
			return nil, err
		}
		took = append(took, d)
	}
	return []row{atMost("deciding liveness probe to process dead, grace 0", median(took), 50, "ms")}, nil
}

// livenessRound runs a pod whose app answers 500 from the sixth request on and whose probe is the
// only one to ask. The event that the deciding probe failed and the engine's die event are both
// stamped by this machine's clock.
func (b *bench) livenessRound(ctx context.Context, name string) (time.Duration, error) {
	ectx, cancel := context.WithCancel(ctx)
	defer cancel()
	deaths, errs := b.engine.Events(ectx, events.ListOptions{Filters: filters.NewArgs(
		filters.Arg("label", "io.kubernetes.pod.name="+name), filters.Arg("event", "die"))})
	p := pod(name, func(p *corev1.Pod) {
		c := &p.Spec.Containers[0]
		c.Image = "ksfzhaohui/kubia-unhealthy"
		c.LivenessProbe = &corev1.Probe{PeriodSeconds: 1, FailureThreshold: 1, ProbeHandler: httpProbe(8080)}
	})
	if _, err := b.kube.CoreV1().Pods(namespace).Create(ctx, p, metav1.CreateOptions{}); err != nil {
		return 0, err
	}
	var died time.Time
	select {
	case m := <-deaths:
		died = time.Unix(0, m.TimeNano)
	case err := <-errs:
		return 0, err
	case <-time.After(time.Minute):
		return 0, fmt.Errorf("pod %s was not killed within a minute", name)
	}
	decided, err := b.lastRequest(ctx, name)
	if err != nil {
		return 0, err
	}
	return died.Sub(decided), b.kube.CoreV1().Pods(namespace).Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: ptr(int64(0))})
}

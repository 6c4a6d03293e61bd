package main

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// What a machine of simulated nodes is measured with.
const (
	simulatedNodes = 100
	fewPods        = 1_000
	manyPods       = 10_000
)

// simulated measures pods on simulated nodes, from the create of their ReplicaSet to the last one
// Ready, and what each costs the daemon: that must not grow with their number.
func simulated(ctx context.Context, b *bench) ([]row, error) {
	few, err := b.simulatedRound(ctx, "sim-few", fewPods)
	if err != nil {
		return nil, err
	}
	many, err := b.simulatedRound(ctx, "sim-many", manyPods)
	if err != nil {
		return nil, err
	}
	growth := atMost("CPU a simulated pod: of 10,000 beside of 1,000", many.cpu/few.cpu, 1.2, "x")
	return []row{
		atMost(fmt.Sprintf("%d pods on %d simulated nodes: all Ready", manyPods, simulatedNodes), many.took.Seconds(), 10, "s"),
		atMost("resident memory, holding them", many.resident, 400, "MiB"),
		{Name: "CPU a simulated pod, of 1,000", Skiff: few.cpu, Unit: "ms", Limit: "-", Met: true},
		{Name: "CPU a simulated pod, of 10,000", Skiff: many.cpu, Unit: "ms", Limit: "-", Met: true},
		growth,
	}, nil
}

// simulatedRun is what one round has taken.
type simulatedRun struct {
	took     time.Duration
	cpu      float64 // milliseconds a pod
	resident float64 // MiB, a while after
}

func (b *bench) simulatedRound(ctx context.Context, name string, pods int) (run simulatedRun, err error) {
	d, err := b.start(name)
	if err != nil {
		return run, err
	}
	defer d.reset(context.WithoutCancel(ctx)) //nolint:errcheck // what matters has been measured
	kube, err := d.client()
	if err != nil {
		return run, err
	}
	if err := addSimulated(ctx, kube, simulatedNodes); err != nil {
		return run, err
	}
	if err := wait(ctx, time.Second); err != nil { // let what the nodes left behind die down
		return run, err
	}
	before, err := d.cpu()
	if err != nil {
		return run, err
	}
	rs := replicaSet(name, pods)
	rs.Spec.Template.Spec.NodeSelector = map[string]string{"skiff/simulated": "true"}
	began := time.Now()
	if _, err := kube.AppsV1().ReplicaSets(namespace).Create(ctx, rs, metav1.CreateOptions{}); err != nil {
		return run, err
	}
	// A watch of all these pods would cost the daemon more than the pods do.
	err = poll(ctx, 5*time.Minute, fmt.Sprintf("%d pods Ready", pods), func() (bool, error) {
		current, err := kube.AppsV1().ReplicaSets(namespace).Get(ctx, name, metav1.GetOptions{})
		return err == nil && int(current.Status.ReadyReplicas) == pods, err
	})
	if err != nil {
		return run, err
	}
	run.took = time.Since(began)
	if err := wait(ctx, 2*time.Second); err != nil { // events are written a little later
		return run, err
	}
	after, err := d.cpu()
	if err != nil {
		return run, err
	}
	run.cpu = (after - before) * 1000 / float64(pods)
	run.resident, err = d.resident()
	return run, err
}

// addSimulated makes nodes and waits until all are ready.
func addSimulated(ctx context.Context, kube kubernetes.Interface, count int) error {
	for i := range count {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprintf("sim-%d", i), Labels: map[string]string{"skiff/virtual": "true", "skiff/simulated": "true"},
		}}
		if _, err := kube.CoreV1().Nodes().Create(ctx, n, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return nodesReady(ctx, kube, count+1)
}

// nodesReady waits until so many nodes are ready, the machine's own included.
func nodesReady(ctx context.Context, kube kubernetes.Interface, count int) error {
	return poll(ctx, time.Minute, "the nodes are ready", func() (bool, error) {
		list, err := kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		ready := 0
		for i := range list.Items {
			for _, c := range list.Items[i].Status.Conditions {
				if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
					ready++
				}
			}
		}
		return ready == count, nil
	})
}

// poll asks again and again until ok.
func poll(ctx context.Context, limit time.Duration, what string, ok func() (bool, error)) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	end := time.After(limit)
	for {
		if done, err := ok(); err != nil || done {
			return err
		}
		select {
		case <-tick.C:
		case <-end:
			return fmt.Errorf("not within %s: %s", limit, what)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

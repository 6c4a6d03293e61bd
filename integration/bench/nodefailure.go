package main

import (
	"context"
	"fmt"
	"os/exec"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// What passes by agreement before a failed node's pod is replaced: the grace period for which a
// node may be silent, and the time for which a pod tolerates that it is not ready.
const silence, tolerance = time.Second, time.Second

// nodeFailure measures from a virtual node's failure to its pod's replacement Running on another,
// less the configured periods, beside one raw create and start.
func nodeFailure(ctx context.Context, b *bench) ([]row, error) {
	// One node fails after the other here, sooner than at the usual rate of one in ten seconds.
	d, err := b.start("nodes", "--node-eviction-rate=10", fmt.Sprintf("--node-monitor-grace-period=%s", silence), fmt.Sprintf("--default-not-ready-toleration-seconds=%d", int(tolerance.Seconds())))
	if err != nil {
		return nil, err
	}
	defer d.reset(context.WithoutCancel(ctx)) //nolint:errcheck // what matters has been measured
	kube, err := d.client()
	if err != nil {
		return nil, err
	}
	if err := d.node(ctx, "add", "worker-1", "worker-2"); err != nil {
		return nil, err
	}
	var ours, raw []time.Duration
	for i := range b.rounds {
		r, err := b.rawReplicas(ctx, b.best, 1)
		if err != nil {
			return nil, err
		}
		o, err := d.failureRound(ctx, kube, fmt.Sprintf("failed-%d", i))
		if err != nil {
			return nil, err
		}
		raw, ours = append(raw, r), append(ours, o-silence-tolerance)
	}
	return []row{beyond("node failed to its pod's replacement Running, less the configured periods", median(ours), median(raw), 300, "ms")}, nil
}

// failureRound runs one pod on one of the workers, fails that, and brings it back in the end.
func (d *daemon) failureRound(ctx context.Context, kube kubernetes.Interface, name string) (took time.Duration, err error) {
	if err := nodesReady(ctx, kube, 3); err != nil {
		return 0, err
	}
	p, err := watchPods(ctx, kube, name)
	if err != nil {
		return 0, err
	}
	defer p.w.Stop()
	rs := replicaSet(name, 1)
	rs.Spec.Template.Spec.NodeSelector = map[string]string{"skiff/virtual": "true"}
	if _, err := kube.AppsV1().ReplicaSets(namespace).Create(ctx, rs, metav1.CreateOptions{}); err != nil {
		return 0, err
	}
	if err := p.until(ctx, time.Minute, "the pod Running", running(1)); err != nil {
		return 0, err
	}
	var failed string
	for _, q := range p.state {
		failed = q.Spec.NodeName
	}
	began := time.Now()
	if err := d.node(ctx, "stop", failed); err != nil {
		return 0, err
	}
	if err := p.until(ctx, time.Minute, "the replacement Running elsewhere", func(s map[string]*corev1.Pod) bool {
		for _, q := range s {
			if q.Spec.NodeName != failed && q.Status.Phase == corev1.PodRunning {
				return true
			}
		}
		return false
	}); err != nil {
		return 0, err
	}
	took = time.Since(began)
	if err := d.node(ctx, "start", failed); err != nil {
		return 0, err
	}
	if err := kube.AppsV1().ReplicaSets(namespace).Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		return 0, err
	}
	return took, p.until(ctx, time.Minute, "pods gone", gone)
}

// node calls skiff's own command for nodes: they fail at a word of skiff's, not at one of
// Kubernetes' API.
func (d *daemon) node(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, d.skiff, append([]string{"node"}, args...)...)
	cmd.Env = append(cmd.Environ(), "SKIFF_DATA_DIR="+d.dir, "KUBECONFIG=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("skiff node %v: %w\n%s", args, err, out)
	}
	return nil
}

package node

import (
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/manifests/registry"
	"skiff/probe"
)

// interrupted is a prober that calls next, once, while the agent observes a pod.
type interrupted struct {
	Prober
	next atomic.Pointer[func()]
}

func (p *interrupted) State(key probe.Key) (probe.State, bool) {
	if next := p.next.Swap(nil); next != nil {
		(*next)()
	}
	return p.Prober.State(key)
}

// TestStatusIsNeverReplacedByAnOlderOne holds that a write of a status that another write overtakes
// observes the pod again.
func TestStatusIsNeverReplacedByAnOlderOne(t *testing.T) {
	prober := &interrupted{}
	inWorld(t, func(w *world) {
		w.pod("kubia", `{restartPolicy: Never, containers: [{name: kubia, image: kubia},
			{name: other, image: kubia, readinessProbe: {exec: {command: [ok]}, periodSeconds: 3600}}]}`)
		w.pass(time.Minute)
		w.want("kubia", "Running | kubia running ready | other running ready")
		overtake := func() {
			w.exit("kubia", "kubia", 3)
			w.want("kubia", "Running | kubia Error(3) | other running ready")
		}
		prober.next.Store(&overtake)
		if err := w.agent.write(w.Context(), w.agent.records.get(w.get("kubia").UID)); err != nil {
			w.Error(err)
		}
		w.want("kubia", "Running | kubia Error(3) | other running ready")
	}, func(o *Options) { prober.Prober, o.Prober = o.Prober, prober })
}

// TestAgentWritesToItsOwnNodeOnly holds that the agent of a node that is gone touches neither the
// next node of its name nor its Lease.
func TestAgentWritesToItsOwnNodeOnly(t *testing.T) {
	inWorld(t, func(w *world) {
		w.create(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "here"}})
		w.pass(6 * time.Minute) // longer than the interval of statuses
		if n := w.node(); len(n.Status.Conditions) > 0 || len(n.Labels) > 0 {
			w.Errorf("the next node has been written: %v, %v", n.Labels, n.Status.Conditions)
		}
		_, err := registry.For[*coordinationv1.Lease](w.registry).Get(corev1.NamespaceNodeLease, "here")
		if !apierrors.IsNotFound(err) {
			w.Errorf("the next node has a Lease: %v", err)
		}
	}, func(o *Options) { o.Registered, o.UID = true, "gone" })
}

// warnings collects log lines.
type warnings struct {
	mu    sync.Mutex
	lines strings.Builder
}

func (w *warnings) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lines.Write(p)
}

// TestDeletingAPendingPodIsQuiet holds that no status of a pod that is deleted before it ran goes
// back on what the one before said, which the API refuses.
func TestDeletingAPendingPodIsQuiet(t *testing.T) {
	var log warnings
	inWorld(t, func(w *world) {
		hold := func(p *corev1.Pod) { p.Finalizers = []string{"batch.kubernetes.io/job-tracking"} }
		for name, spec := range map[string]string{
			"image":  "containers: [{name: kubia, image: none}]",
			"volume": "{containers: [{name: kubia, image: kubia}], volumes: [{name: v, configMap: {name: none}}]}",
			"two":    "containers: [{name: kubia, image: none}, {name: other, image: kubia}]",
			"init":   "{initContainers: [{name: init, image: none}], containers: [{name: kubia, image: kubia}]}",
		} {
			w.pod(name, spec)
			w.pod(name+"-held", spec, hold)
			w.delete(name, nil)
			w.delete(name+"-held", nil)
		}
		w.pass(time.Minute)
		w.wantContainers("")
	}, func(o *Options) {
		o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	})
	if log.lines.Len() > 0 {
		t.Errorf("logged:\n%s", log.lines.String())
	}
}

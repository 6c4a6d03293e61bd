package publishing

import (
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/network/publish"
	"skiff/orchestrator/internal/testbed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is the ports of a machine, and whether the pods' network is known.
type world struct {
	mu    sync.Mutex
	known bool
	open  map[string]string
	sets  int
}

// Set implements Publisher.
func (w *world) Set(owner string, want []publish.Port) []publish.Result {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sets++
	w.open[owner] = plan(want).String()
	results := make([]publish.Result, len(want))
	for i := range want {
		results[i].Port = want[i]
	}
	return results
}

func (w *world) ifKnown(address string) netip.Addr {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.known {
		return netip.Addr{}
	}
	return netip.MustParseAddr(address)
}

// TestNetworkBecomesKnown: a daemon that was restarted learns of the network after it has opened ports,
// and no object changes for that.
func TestNetworkBecomesKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, w := testbed.New(t), &world{open: map[string]string{}}
		testbed.Create(b, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
			Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, ClusterIP: "10.244.48.7", Ports: []corev1.ServicePort{
				{Port: 80, NodePort: 30080},
			}},
		})
		b.Run(New(Options{
			Env: b.Env(), Publisher: w, At: netip.MustParseAddr("127.0.0.1"), Machine: "a",
			Inside:      func() netip.Addr { return w.ifKnown("10.244.0.1") },
			NodeAddress: func(string) netip.Addr { return w.ifKnown("10.244.24.2") },
		}).Run)
		want := func(ports string) {
			t.Helper()
			w.mu.Lock()
			defer w.mu.Unlock()
			if got := w.open["service default/web"]; got != ports {
				t.Errorf("open are\n%s\nwant\n%s", got, ports)
			}
		}
		testbed.Settled()
		want("tcp 127.0.0.1:30080 -> 10.244.48.7:80")
		w.mu.Lock()
		w.known = true
		w.mu.Unlock()
		testbed.Settled()
		want("tcp 127.0.0.1:30080 -> 10.244.24.2:30080\ntcp 10.244.0.1:30080 -> 10.244.24.2:30080")
		w.mu.Lock()
		sets := w.sets
		w.mu.Unlock()
		testbed.Settled()
		if w.mu.Lock(); w.sets != sets {
			t.Errorf("it is looked at again %d times, though the network is known", w.sets-sets)
		}
		w.mu.Unlock()
	})
}

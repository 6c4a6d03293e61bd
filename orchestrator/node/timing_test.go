package node

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"skiff/orchestrator/controller"
)

// TestStartPhases starts a pod and restarts its container: every phase of both starts is measured,
// but the pod is seen for the first time only once.
func TestStartPhases(t *testing.T) {
	metrics := prometheus.NewRegistry()
	inWorld(t, func(w *world) {
		w.pod("kubia", onePod)
		w.want("kubia", "Running | kubia running ready")
		w.pass(time.Minute)
		w.exit("kubia", "kubia", 1)
		w.want("kubia", "Running | kubia running ready restarts=1 last=Error(1)")
	}, func(o *Options) { o.Metrics = controller.NewMetrics(metrics) })

	families, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]uint64{}
	for _, f := range families {
		if f.GetName() != "skiff_start_seconds" {
			continue
		}
		for _, m := range f.GetMetric() {
			got[m.GetLabel()[0].GetValue()] = m.GetHistogram().GetSampleCount()
			if sum := m.GetHistogram().GetSampleSum(); sum > 1 {
				t.Errorf("phase %s took %g s", m.GetLabel()[0].GetValue(), sum)
			}
		}
	}
	for phase, want := range map[string]uint64{phasePlan: 1, phasePrepare: 2, phaseCreate: 2, phaseStart: 2, phaseReport: 2} {
		if got[phase] != want {
			t.Errorf("phase %s measured %d times, want %d", phase, got[phase], want)
		}
	}
}

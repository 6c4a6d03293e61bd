package store

import (
	"context"
	"runtime"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// samples gathers the metrics: by name and label value, of histograms the number
// of samples.
func samples(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		for _, m := range family.Metric {
			name := family.GetName()
			for _, label := range m.Label {
				name += " " + label.GetValue()
			}
			values[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return values
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	f := open(t, func(o *Options) { o.Metrics = registry })
	f.must(create("a", "x", ""), create("a", "y", ""))
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		ctx    context.Context
		change Change
	}{
		{t.Context(), create("a", "x", "")},
		{canceled, create("a", "z", "")},
		{t.Context(), create("a", "z", "unencodable")},
	} {
		if _, err := f.Commit(c.ctx, c.change); err == nil {
			t.Errorf("%s was committed", c.change.Key)
		}
	}
	f.watchSince(1)
	got := samples(t, registry)
	for name, want := range map[string]float64{
		"skiff_store_commits_total ok":             1,
		"skiff_store_commits_total refused":        1,
		"skiff_store_commits_total withdrawn":      1,
		"skiff_store_commits_total failed":         1,
		"skiff_store_commit_duration_seconds":      1,
		"skiff_store_transaction_duration_seconds": 1,
		"skiff_store_batch_commits":                1,
		"skiff_store_objects things":               2,
		"skiff_store_revision":                     3,
		"skiff_store_watches":                      1,
		"skiff_store_db_bytes":                     float64(size(t, f.path)),
		"skiff_store_wal_bytes":                    float64(size(t, f.path+"-wal")),
	} {
		if value, ok := got[name]; !ok || value != want {
			t.Errorf("%s is %v, want %v", name, value, want)
		}
	}
	f.stop()
	openAt(t, f.path, func(o *Options) { o.Metrics = registry }) // the names are free again
	if s, err := Open(Options{Path: t.TempDir() + "/other.db", Codec: jsonCodec{}, Metrics: registry}); err == nil {
		t.Error("two stores share the names", s.Close())
	}
}

func TestWatchCount(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	f := open(t, func(o *Options) { o.Metrics = registry })
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := f.Watch(ctx, "things", 1); err != nil {
		t.Fatal(err)
	}
	cancel()
	for samples(t, registry)["skiff_store_watches"] != 0 { // soon: it is told in a goroutine of its own
		runtime.Gosched()
	}
}

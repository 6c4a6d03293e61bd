package events

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a Writer that keeps events in a map.
type memory struct {
	mu     sync.Mutex
	stored map[string]*corev1.Event
	writes int
	gate   chan struct{} // when not nil, a write takes one from it
	err    error
}

func (m *memory) wait() {
	if m.gate != nil {
		<-m.gate
	}
	m.mu.Lock()
	m.writes++
}

func (m *memory) Create(_ context.Context, e *corev1.Event) (*corev1.Event, error) {
	m.wait()
	defer m.mu.Unlock()
	if m.err != nil {
		return nil, m.err
	}
	if m.stored == nil {
		m.stored = map[string]*corev1.Event{}
	}
	key := e.Namespace + "/" + e.Name
	if m.stored[key] != nil {
		return nil, apierrors.NewAlreadyExists(schema.GroupResource{Resource: "events"}, e.Name)
	}
	m.stored[key] = e.DeepCopy()
	return e, nil
}

func (m *memory) Update(_ context.Context, namespace, name string, change func(*corev1.Event) error) (*corev1.Event, error) {
	m.wait()
	defer m.mu.Unlock()
	e := m.stored[namespace+"/"+name]
	if e == nil {
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "events"}, name)
	}
	return e, change(e)
}

// text shows the stored events as kubectl describe would, oldest first.
func (m *memory) text() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var lines []string
	for _, e := range m.stored {
		times := ""
		if e.Count > 1 {
			times = fmt.Sprintf(" (x%d over %s)", e.Count, e.LastTimestamp.Sub(e.FirstTimestamp.Time))
		}
		lines = append(lines, fmt.Sprintf("%s %s %s%s: %s", e.FirstTimestamp.UTC().Format("15:04:05"), e.Type, e.Reason, times, e.Message))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	// As in manifests, types are known twice.
	s.AddKnownTypeWithName(schema.GroupVersionKind{Version: runtime.APIVersionInternal, Kind: "Pod"}, &corev1.Pod{})
	_ = corev1.AddToScheme(s)
	return s
}

// start runs a broker until the test ends.
func start(t *testing.T, w Writer, o Options) (b *Broker, stop func()) {
	o.Writer, o.Scheme = w, scheme()
	b = New(o)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(stop)
	return b, stop
}

func pod(name string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: "uid-1", ResourceVersion: "7"}}
}

func check(t *testing.T, what, got, want string) {
	t.Helper()
	if got = strings.TrimSpace(got); got != strings.TrimSpace(want) {
		t.Errorf("%s:\n got\n%s\nwant\n%s", what, got, want)
	}
}

func TestSameEventIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		b, _ := start(t, m, Options{})
		r := b.Recorder("kubelet", "my-laptop")
		for i := range 9 {
			if i > 0 {
				time.Sleep(305 * time.Second / 8)
			}
			r.Event(pod("a"), corev1.EventTypeWarning, "Unhealthy", "Liveness probe failed: %s", "HTTP probe failed with statuscode: 500")
			synctest.Wait()
		}
		check(t, "events", m.text(),
			"00:00:00 Warning Unhealthy (x9 over 5m5s): Liveness probe failed: HTTP probe failed with statuscode: 500")
	})
}

func TestEventsOfAnotherObjectFieldOrSourceAreOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		b, stop := start(t, m, Options{})
		r := b.Recorder("kubelet", "one")
		container := func(name string) *corev1.ObjectReference {
			ref, err := Reference(scheme(), pod("a"), "spec.containers{"+name+"}")
			if err != nil {
				t.Fatal(err)
			}
			return ref
		}
		r.Event(container("x"), corev1.EventTypeNormal, "Started", "Started")
		r.Event(container("y"), corev1.EventTypeNormal, "Started", "Started")
		r.Event(container("y"), corev1.EventTypeNormal, "Started", "Started")
		r.Event(pod("b"), corev1.EventTypeNormal, "Started", "Started")
		b.Recorder("kubelet", "two").Event(pod("b"), corev1.EventTypeNormal, "Started", "Started")
		stop()
		check(t, "events", m.text(), `
00:00:00 Normal Started (x2 over 0s): Started
00:00:00 Normal Started: Started
00:00:00 Normal Started: Started
00:00:00 Normal Started: Started`)
	})
}

func TestPreparedEventComesBeforeWhatItCaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		b, stop := start(t, m, Options{})
		scheduled := b.Recorder("default-scheduler", "").Prepare(pod("a"), corev1.EventTypeNormal, "Scheduled", "Assigned to n")
		time.Sleep(time.Second)
		b.Recorder("kubelet", "n").Event(pod("a"), corev1.EventTypeNormal, "Pulled", "Present")
		synctest.Wait()
		check(t, "events before it was recorded", m.text(), "00:00:01 Normal Pulled: Present")
		scheduled()
		stop()
		check(t, "events", m.text(), "00:00:00 Normal Scheduled: Assigned to n\n00:00:01 Normal Pulled: Present")
		names := slices.Sorted(maps.Keys(m.stored))
		if first := m.stored[names[0]]; first.Reason != "Scheduled" {
			t.Errorf("by name, as clients list them, %s is first", first.Reason)
		}
	})
}

func TestEventSaysWhatItIsAbout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		b, stop := start(t, m, Options{})
		r := b.Recorder("kubelet", "my-laptop")
		r.Event(pod("a"), corev1.EventTypeNormal, "Killing", "Stopping")
		r.Event(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}}, corev1.EventTypeNormal, "NodeReady", "Ready")
		r.Event(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "no:name"}}, corev1.EventTypeNormal, "Odd", "Odd")
		stop()
		now := time.Now().UnixNano()
		e := m.stored[fmt.Sprintf("ns/a.%x", now)]
		if e == nil {
			t.Fatalf("no event of the expected name in %v", m.stored)
		}
		want := corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: "ns", Name: "a", UID: "uid-1", ResourceVersion: "7"}
		if e.InvolvedObject != want {
			t.Errorf("about %+v, want %+v", e.InvolvedObject, want)
		}
		if e.Source != (corev1.EventSource{Component: "kubelet", Host: "my-laptop"}) || e.ReportingController != "kubelet" || e.ReportingInstance != "my-laptop" {
			t.Errorf("from %+v, %s, %s", e.Source, e.ReportingController, e.ReportingInstance)
		}
		if m.stored[fmt.Sprintf("default/n.%x", now+1)] == nil {
			t.Errorf("no event about the node in namespace default, with a time of its own: %v", m.stored)
		}
		if len(m.stored) != 3 {
			t.Errorf("%d events, want 3: a name no event can have must be replaced", len(m.stored))
		}
	})
}

func TestSimilarEventsAreCombined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		b, _ := start(t, m, Options{})
		r := b.Recorder("replicaset-controller", "")
		for i := range 13 {
			r.Event(pod("a"), corev1.EventTypeNormal, "SuccessfulCreate", "Created pod: a-%02d", i)
			synctest.Wait()
			time.Sleep(time.Second)
		}
		want := ""
		for i := range 9 {
			want += fmt.Sprintf("00:00:%02d Normal SuccessfulCreate: Created pod: a-%02d\n", i, i)
		}
		want += "00:00:09 Normal SuccessfulCreate (x4 over 3s): (combined from similar events): Created pod: a-12"
		check(t, "events", m.text(), want)
		time.Sleep(similarPause)
		r.Event(pod("a"), corev1.EventTypeNormal, "SuccessfulCreate", "Created pod: a-99")
		synctest.Wait()
		check(t, "after a pause", m.text(), want+"\n00:10:13 Normal SuccessfulCreate: Created pod: a-99")
	})
}

func TestTooManyEventsAboutOneObjectAreCutShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		b, _ := start(t, m, Options{})
		r := b.Recorder("kubelet", "")
		for range 40 {
			r.Event(pod("a"), corev1.EventTypeWarning, "BackOff", "again")
			synctest.Wait()
			time.Sleep(time.Second)
		}
		check(t, "a burst", m.text(), "00:00:00 Warning BackOff (x25 over 24s): again")
		r.Event(pod("b"), corev1.EventTypeWarning, "BackOff", "another object")
		time.Sleep(spamRefill)
		r.Event(pod("a"), corev1.EventTypeWarning, "BackOff", "again")
		synctest.Wait()
		check(t, "five minutes later", m.text(), `
00:00:00 Warning BackOff (x41 over 5m40s): again
00:00:40 Warning BackOff: another object`)
	})
}

func TestExpiredEventIsWrittenAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		b, _ := start(t, m, Options{})
		r := b.Recorder("kubelet", "")
		r.Event(pod("a"), corev1.EventTypeWarning, "BackOff", "again")
		synctest.Wait()
		m.mu.Lock()
		clear(m.stored)
		m.mu.Unlock()
		time.Sleep(time.Hour)
		r.Event(pod("a"), corev1.EventTypeWarning, "BackOff", "again")
		synctest.Wait()
		check(t, "events", m.text(), "00:00:00 Warning BackOff (x2 over 1h0m0s): again")
	})
}

func TestRecordingNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		reg := prometheus.NewRegistry()
		m := &memory{gate: make(chan struct{})}
		b, stop := start(t, m, Options{Logger: slog.New(slog.NewTextHandler(&log, nil)), Metrics: reg})
		r := b.Recorder("kubelet", "")
		r.Event(pod("first"), corev1.EventTypeNormal, "Started", "Started")
		synctest.Wait() // its write is stuck
		for i := range buffered + 10 {
			r.Event(pod(fmt.Sprint(i)), corev1.EventTypeNormal, "Started", "Started")
		}
		close(m.gate)
		stop()
		if len(m.stored) != buffered+1 {
			t.Errorf("%d events stored, want the %d that there was room for", len(m.stored), buffered+1)
		}
		if !strings.Contains(log.String(), "count=10") {
			t.Errorf("drops are not logged: %s", &log)
		}
		if got := dropped(t, reg, "full"); got != 10 {
			t.Errorf("%v drops counted, want 10", got)
		}
	})
}

func TestOccurrencesThatWaitTogetherAreOneWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{gate: make(chan struct{})}
		b, stop := start(t, m, Options{})
		r := b.Recorder("kubelet", "")
		r.Event(pod("first"), corev1.EventTypeNormal, "Started", "Started")
		synctest.Wait()
		for range 20 {
			r.Event(pod("a"), corev1.EventTypeNormal, "Started", "Started")
		}
		close(m.gate)
		stop()
		if m.writes != 2 {
			t.Errorf("%d writes, want 2", m.writes)
		}
		check(t, "events", m.text(), "00:00:00 Normal Started (x20 over 0s): Started\n00:00:00 Normal Started: Started")
	})
}

func TestStopWritesWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		b := New(Options{Writer: m, Scheme: scheme()})
		r := b.Recorder("kubelet", "")
		for i := range 600 {
			r.Event(pod(fmt.Sprint(i)), corev1.EventTypeNormal, "Started", "Started")
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := b.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if len(m.stored) != 600 {
			t.Errorf("%d events stored, want 600", len(m.stored))
		}
	})
}

func TestFailedWriteIsLoggedAndCounted(t *testing.T) {
	terminating := apierrors.NewForbidden(schema.GroupResource{Resource: "events"}, "e", errors.New("namespace is being terminated"))
	terminating.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	for _, c := range []struct {
		err    error
		logged bool
	}{
		{errors.New("disk full"), true},
		{apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "ns"), false},
		{terminating, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			reg := prometheus.NewRegistry()
			b, stop := start(t, &memory{err: c.err}, Options{Logger: slog.New(slog.NewTextHandler(&log, nil)), Metrics: reg})
			b.Recorder("kubelet", "").Event(pod("a"), corev1.EventTypeNormal, "Started", "Started")
			stop()
			if got := strings.Contains(log.String(), "event not written"); got != c.logged {
				t.Errorf("%v: logged %v, want %v: %s", c.err, got, c.logged, &log)
			}
			if got := dropped(t, reg, "failed"); got != 1 {
				t.Errorf("%v: %v failures counted, want 1", c.err, got)
			}
		})
	}
}

func dropped(t *testing.T, reg *prometheus.Registry, cause string) float64 {
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "skiff_events_dropped_total" && m.GetLabel()[0].GetValue() == cause {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// BenchmarkRecord is what recording costs the caller and the broker's goroutine.
func BenchmarkRecord(b *testing.B) {
	broker := New(Options{Writer: &memory{}, Scheme: scheme()})
	r := broker.Recorder("kubelet", "host")
	p := pod("a")
	b.ReportAllocs()
	for b.Loop() {
		r.Event(p, corev1.EventTypeNormal, "Started", "Started container %s", "main")
		broker.correlator.correlate(<-broker.pending)
	}
}

package store

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	testclock "k8s.io/utils/clock/testing"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(crashChildEnv); path != "" {
		crashChild(path)
	}
	goleak.VerifyTestMain(m)
}

// thing is the object of these tests.
type thing struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Text              string `json:"text"`
}

func (t *thing) DeepCopyObject() runtime.Object {
	c := &thing{TypeMeta: t.TypeMeta, Text: t.Text}
	t.DeepCopyInto(&c.ObjectMeta)
	return c
}

// jsonCodec keeps things as JSON. Whatever text says "unreadable" it can't decode.
type jsonCodec struct{}

func (jsonCodec) Encode(o Object) ([]byte, error) {
	if o.GetResourceVersion() != "" {
		return nil, fmt.Errorf("encoding %s with resourceVersion %s", o.GetName(), o.GetResourceVersion())
	}
	if o.(*thing).Text == "unencodable" {
		return nil, fmt.Errorf("refusing to encode")
	}
	data, err := json.Marshal(o)
	return append(data, '\n'), err
}

func (jsonCodec) Decode(resource string, data []byte) (Object, error) {
	t := &thing{}
	if err := json.Unmarshal(data, t); err != nil {
		return nil, err
	}
	return t, nil
}

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func newThing(namespace, name, text string) *thing {
	return &thing{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Thing"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: "uid-" + "0"},
		Text:       text,
	}
}

func thingKey(namespace, name string) Key { return Key{"things", namespace, name} }

// create, update and remove are changes of things.
func create(namespace, name, text string) Change {
	return Change{Key: thingKey(namespace, name), Object: newThing(namespace, name, text)}
}

func update(namespace, name, text string, at uint64) Change {
	c := create(namespace, name, text)
	c.Expect = at
	return c
}

func remove(namespace, name string, at uint64) Change {
	return Change{Key: thingKey(namespace, name), Expect: at}
}

// textIndex finds things by the words of their text.
var textIndex = map[string]map[string]IndexFunc{
	"things": {"word": func(o Object) []string { return strings.Fields(o.(*thing).Text) }},
}

// fixture is a store that runs.
type fixture struct {
	*Store
	t     testing.TB
	clock *testclock.FakeClock
	path  string
	stop  func()
}

func options(t testing.TB, path string) Options {
	return Options{Path: path, Codec: jsonCodec{}, Clock: testclock.NewFakeClock(epoch), Indexes: textIndex}
}

// open opens and runs a store on a fresh file, until the test ends or stop.
func open(t testing.TB, change ...func(*Options)) *fixture {
	return openAt(t, filepath.Join(t.TempDir(), "skiff.db"), change...)
}

func openAt(t testing.TB, path string, change ...func(*Options)) *fixture {
	t.Helper()
	f := openOnly(t, path, change...)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- f.Run(ctx) }()
	stopped := false
	f.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := f.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	t.Cleanup(f.stop)
	return f
}

// openOnly opens a store whose Run has not begun.
func openOnly(t testing.TB, path string, change ...func(*Options)) *fixture {
	t.Helper()
	o := options(t, path)
	for _, c := range change {
		c(&o)
	}
	s, err := Open(o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	clock, _ := o.Clock.(*testclock.FakeClock)
	return &fixture{Store: s, t: t, clock: clock, path: path, stop: func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}}
}

// restart closes the store and opens another on the same file.
func (f *fixture) restart() *fixture {
	f.t.Helper()
	f.stop()
	return openAt(f.t, f.path)
}

// must commits, and gives the revisions of the changes.
func (f *fixture) must(changes ...Change) []uint64 {
	f.t.Helper()
	objects, err := f.Commit(f.t.Context(), changes...)
	if err != nil {
		f.t.Fatalf("Commit: %v", err)
	}
	var revisions []uint64
	for _, o := range objects {
		revisions = append(revisions, revisionOf(f.t, o))
	}
	return revisions
}

func revisionOf(t testing.TB, o Object) uint64 {
	t.Helper()
	var n uint64
	if _, err := fmt.Sscan(o.GetResourceVersion(), &n); err != nil {
		t.Fatalf("resourceVersion %q: %v", o.GetResourceVersion(), err)
	}
	return n
}

// show writes objects as lines "namespace/name@revision text".
func show(objects ...Object) string {
	var b strings.Builder
	for _, o := range objects {
		fmt.Fprintf(&b, "%s/%s@%s %s\n", o.GetNamespace(), o.GetName(), o.GetResourceVersion(), o.(*thing).Text)
	}
	return b.String()
}

func (s Snapshot) list(namespace string, after Key) []Object {
	var all []Object
	s.Ascend(namespace, after, func(o Object) bool {
		all = append(all, o)
		return true
	})
	return all
}

func (s Snapshot) show() string { return show(s.list("", Key{})...) }

// showEvents writes events as lines "TYPE namespace/name@revision text (was @revision text)".
func showEvents(events []Event) string {
	var b strings.Builder
	for _, e := range events {
		fmt.Fprintf(&b, "%s %s", e.Type, strings.TrimSuffix(show(e.Object), "\n"))
		if e.Previous != nil {
			fmt.Fprintf(&b, " (was @%s %s)", e.Previous.GetResourceVersion(), e.Previous.(*thing).Text)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func equal(t testing.TB, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n%s\nwant:\n%s", what, got, want)
	}
}

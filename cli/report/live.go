package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// limits bound what is kept; 0 is no bound.
type limits struct {
	// spans are those of a container or workload, events those of all, ended the pods and workloads that
	// there are no more.
	spans, events, ended int
	// age is how long the latter are kept.
	age time.Duration
}

var liveLimits = limits{spans: 200, events: 2000, ended: 400, age: 2 * time.Hour}

// feed counts changes, for those who look again and again. Nothing is kept for anybody: who looks seldom
// misses what was in between, and nothing else.
type feed struct {
	// revision counts changes, forgotten how often something was dropped that viewers may still show.
	revision  int64
	forgotten int64
	// events is how many Events there have been.
	events  int64
	dirty   bool
	changed chan struct{}
	// missing are the collections that have not been listed yet, troubles why others can not be followed.
	missing  map[string]bool
	troubles map[string]string
}

func newFeed() feed {
	return feed{changed: make(chan struct{}), missing: map[string]bool{}, troubles: map[string]string{}}
}

func (f *feed) touch() int64 {
	f.revision++
	f.dirty = true
	return f.revision
}

func (r *Recorder) touchPod(p *Pod)           { p.revision = r.touch() }
func (r *Recorder) touchWorkload(w *Workload) { w.revision = r.touch() }

func (f *feed) eventSeen() {
	f.events++
	f.touch()
}

// tell wakes those who wait for a change, if there was one.
func (f *feed) tell() {
	if f.dirty && f.changed != nil {
		close(f.changed)
		f.changed, f.dirty = make(chan struct{}), false
	}
}

func (r *Recorder) expect(collection string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.missing[collection] = true
}

func (f *feed) listed(collection string) {
	delete(f.missing, collection)
	delete(f.troubles, collection)
	f.touch()
}

func (r *Recorder) trouble(collection string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.tell()
	if r.troubles[collection] != err.Error() {
		r.troubles[collection] = err.Error()
		r.touch()
	}
}

// bound marks a workload as changed, and drops the oldest of what there is too much of.
func (r *Recorder) bound(w *Workload) {
	r.touchWorkload(w)
	n := r.most.spans
	if n > 0 && len(w.Spans) > n {
		w.Spans = slices.Clone(w.Spans[n/4:])
	}
	if n > 0 && len(w.Changes) > n {
		w.Changes = slices.Clone(w.Changes[n/4:])
	}
}

// forget drops pods and workloads that have ended long ago, or of which there are too many. That is done
// rarely, for viewers then get everything anew.
func (r *Recorder) forget(now time.Time) {
	type gone struct {
		uid types.UID
		at  time.Time
	}
	var ended []gone
	for uid, p := range r.pods {
		if p.Ended != nil {
			ended = append(ended, gone{uid, *p.Ended})
		}
	}
	for uid, w := range r.workloads {
		if w.Ended != nil && r.pods[uid] == nil {
			ended = append(ended, gone{uid, *w.Ended})
		}
	}
	slices.SortFunc(ended, func(a, b gone) int { return a.at.Compare(b.at) })
	drop := 0
	if most := r.most.ended; len(ended) > most {
		drop = len(ended) - most*3/4
	} else if len(ended) > 0 && now.Sub(ended[0].at) > r.most.age {
		drop, _ = slices.BinarySearchFunc(ended, now.Add(-r.most.age*3/4), func(g gone, t time.Time) int { return g.at.Compare(t) })
	}
	if drop == 0 {
		return
	}
	for _, g := range ended[:drop] {
		delete(r.pods, g.uid)
		delete(r.workloads, g.uid)
		delete(r.owners, g.uid)
	}
	r.order = slices.DeleteFunc(r.order, func(uid types.UID) bool { return r.pods[uid] == nil && r.workloads[uid] == nil })
	r.forgotten++
	r.touch()
}

// Seen is how much of a recording somebody has seen. The zero value is nothing.
type Seen struct{ revision, forgotten, events int64 }

// state is what has changed, as it is sent to a viewer.
type state struct {
	// Whole reports that this is all there is, and takes the place of what was sent before.
	Whole bool      `json:"whole,omitempty"`
	Now   time.Time `json:"now"`
	// Loading reports that not all collections have been listed yet; Troubles are why.
	Loading   bool        `json:"loading,omitempty"`
	Troubles  []string    `json:"troubles,omitempty"`
	Workloads []*Workload `json:"workloads,omitempty"`
	Pods      []*Pod      `json:"pods,omitempty"`
	Events    []Event     `json:"events,omitempty"`
}

// Changed returns a channel that is closed at the next change.
func (r *Recorder) Changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}

// Since returns what has changed since a viewer has last seen it, as JSON, and what the viewer has seen
// then.
func (r *Recorder) Since(seen Seen) ([]byte, Seen, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := state{Whole: seen.revision == 0 || seen.forgotten != r.forgotten, Now: r.clock.Now(), Loading: len(r.missing) > 0}
	if s.Whole {
		seen = Seen{}
	}
	for _, what := range slices.Sorted(maps.Keys(r.troubles)) {
		s.Troubles = append(s.Troubles, fmt.Sprintf("%s: %s", what, r.troubles[what]))
	}
	for _, uid := range r.order {
		if w := r.workloads[uid]; w != nil && w.revision > seen.revision {
			s.Workloads = append(s.Workloads, w)
		}
		if p := r.pods[uid]; p != nil && p.revision > seen.revision {
			p.Owner = cmp.Or(r.owners[p.owner], p.Owner)
			s.Pods = append(s.Pods, p)
		}
	}
	s.Events = r.list[len(r.list)-int(min(r.feed.events-seen.events, int64(len(r.list)))):]
	text, err := json.Marshal(s) // while nobody changes what it refers to
	if err != nil {
		return nil, seen, fmt.Errorf("encoding what has happened: %w", err)
	}
	return text, Seen{r.revision, r.forgotten, r.feed.events}, nil
}

package store

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// model is the store as simple as can be.
type model struct {
	revision uint64
	opened   uint64
	things   map[string]modelThing
	events   []modelEvent
	kept     map[uint64]string // snapshots retained
}

type modelThing struct {
	revision uint64
	text     string
}

type modelEvent struct {
	revision uint64
	text     string
}

func (m *model) show() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(m.things)) {
		fmt.Fprintf(&b, "a/%s@%d %s\n", name, m.things[name].revision, m.things[name].text)
	}
	return b.String()
}

func (m *model) showWord(word string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(m.things)) {
		if slices.Contains(strings.Fields(m.things[name].text), word) {
			fmt.Fprintf(&b, "a/%s@%d %s\n", name, m.things[name].revision, m.things[name].text)
		}
	}
	return b.String()
}

// commit gives what Commit should: the error of the first change that is refused.
func (m *model) commit(changes []Change) error {
	for _, c := range changes {
		had, ok := m.things[c.Key.Name]
		switch {
		case !ok && c.Expect != 0:
			return ErrNotFound
		case ok && c.Expect == 0:
			return ErrExists
		case had.revision != c.Expect:
			return ErrConflict{c.Key, had.revision}
		}
	}
	for _, c := range changes {
		m.apply(c)
	}
	return nil
}

func (m *model) apply(c Change) {
	m.revision++
	name := c.Key.Name
	had, ok := m.things[name]
	was := ""
	if ok {
		was = fmt.Sprintf(" (was @%d %s)", had.revision, had.text)
	}
	if c.Object == nil {
		delete(m.things, name)
		m.events = append(m.events, modelEvent{m.revision, fmt.Sprintf("DELETED a/%s@%d %s%s\n", name, m.revision, had.text, was)})
		return
	}
	kind, text := "ADDED", c.Object.(*thing).Text
	if ok {
		kind = "MODIFIED"
	}
	m.things[name] = modelThing{m.revision, text}
	m.events = append(m.events, modelEvent{m.revision, fmt.Sprintf("%s a/%s@%d %s%s\n", kind, name, m.revision, text, was)})
}

// since gives the events behind a revision, false when it is expired.
func (m *model) since(revision uint64) (string, bool) {
	if revision < m.opened || revision > m.revision {
		return "", false
	}
	text := ""
	for _, e := range m.events {
		if e.revision > revision {
			text += e.text
		}
	}
	return text, true
}

// machine drives store and model with the same actions.
type machine struct {
	f *fixture
	m *model
}

func (s *machine) draw(t *rapid.T) []Change {
	names := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"p", "q", "r", "s"}), 1, 3, rapid.ID[string]).Draw(t, "names")
	var changes []Change
	for _, name := range names {
		expect := s.m.things[name].revision
		if rapid.IntRange(0, 9).Draw(t, "stale") == 0 {
			expect = rapid.Uint64Range(0, s.m.revision+1).Draw(t, "expect")
		}
		text := rapid.SampledFrom([]string{"", "red", "red green", "green blue"}).Draw(t, "text")
		if expect > 0 && rapid.IntRange(0, 2).Draw(t, "delete") == 0 {
			changes = append(changes, remove("a", name, expect))
		} else {
			changes = append(changes, update("a", name, text, expect))
		}
	}
	return changes
}

func (s *machine) commit(t *rapid.T) {
	changes := s.draw(t)
	want := s.m.commit(changes)
	_, got := s.f.Commit(s.f.t.Context(), changes...)
	if !errors.Is(got, want) {
		t.Fatalf("error %v, want %v", got, want)
	}
}

func (s *machine) watch(t *rapid.T) {
	since := rapid.Uint64Range(0, s.m.revision+1).Draw(t, "since")
	want, ok := s.m.since(since)
	w, err := s.f.Watch(s.f.t.Context(), "things", since)
	if ok != (err == nil) || (!ok && !errors.Is(err, ErrExpired)) {
		t.Fatalf("watch since %d: %v, should it be possible: %v", since, err, ok)
	}
	if !ok || want == "" {
		return
	}
	events, reached, err := w.Next(s.f.t.Context())
	if err != nil || reached != s.m.revision || showEvents(events) != want {
		t.Fatalf("since %d, at %d, %v:\n%swant at %d:\n%s", since, reached, err, showEvents(events), s.m.revision, want)
	}
}

func (s *machine) retain(*rapid.T) {
	s.f.Retain(s.f.Snapshot("things"))
	s.m.kept[s.m.revision] = s.m.show()
}

func (s *machine) lookBack(t *rapid.T) {
	if len(s.m.kept) == 0 {
		t.Skip("nothing retained")
	}
	at := rapid.SampledFrom(slices.Sorted(maps.Keys(s.m.kept))).Draw(t, "at")
	snap, err := s.f.SnapshotAt("things", at)
	if err != nil || snap.show() != s.m.kept[at] {
		t.Fatalf("at %d: %v\n%swant\n%s", at, err, snap.show(), s.m.kept[at])
	}
}

func (s *machine) restart(*rapid.T) {
	s.f = s.f.restart()
	s.m.opened, s.m.events, s.m.kept = s.m.revision, nil, map[uint64]string{}
}

func (s *machine) check(t *rapid.T) {
	if got := s.f.Revision(); got != s.m.revision {
		t.Fatalf("revision %d, want %d", got, s.m.revision)
	}
	if got, want := s.f.Snapshot("things").show(), s.m.show(); got != want {
		t.Fatalf("things:\n%swant:\n%s", got, want)
	}
	for _, word := range []string{"red", "green", "blue"} {
		if got, want := show(s.f.ByIndex("things", "word", word)...), s.m.showWord(word); got != want {
			t.Fatalf("%s:\n%swant:\n%s", word, got, want)
		}
	}
}

func TestModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := &machine{
			f: open(t),
			m: &model{revision: 1, opened: 1, things: map[string]modelThing{}, kept: map[uint64]string{}},
		}
		defer func() { s.f.stop() }()
		r.Repeat(map[string]func(*rapid.T){
			"":         s.check,
			"commit":   s.commit,
			"commit2":  s.commit,
			"commit3":  s.commit,
			"watch":    s.watch,
			"retain":   s.retain,
			"lookBack": s.lookBack,
			"restart":  s.restart,
		})
	})
}

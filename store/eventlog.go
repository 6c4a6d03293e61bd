package store

import (
	"slices"
	"sort"
)

// eventLog is the window of one resource's events that are kept for watchers. A
// log of its own for each resource means that a busy one does not push out the
// events of a quiet one, nor wake its watchers.
//
// Store.mu guards it. What has been handed out of events stays valid: the array is
// only ever appended to or left behind for another.
type eventLog struct {
	events []Event // in the order of their revisions
	// lost is the revision of the newest event that is no longer here: a watcher
	// that has not got this far has missed something.
	lost uint64
	// changed is closed and replaced when events are appended.
	changed chan struct{}
}

func newEventLog(lost uint64) *eventLog {
	return &eventLog{lost: lost, changed: make(chan struct{})}
}

// append adds events and gives the channel to close once the lock is released.
func (l *eventLog) append(events []Event, window int) (wake chan struct{}) {
	l.events = append(l.events, events...)
	// A quarter more than the window is let in, so that dropping, which copies
	// the window, comes once in so many events.
	if len(l.events) > window+window/4 {
		l.drop(len(l.events)-window, window/4)
	}
	wake = l.changed
	l.changed = make(chan struct{})
	return wake
}

// drop lets go of the oldest n events, leaving room for more.
func (l *eventLog) drop(n, room int) {
	if n == 0 {
		return
	}
	l.lost = l.events[n-1].Revision
	l.events = append(make([]Event, 0, len(l.events)-n+room), l.events[n:]...)
}

// dropUpTo lets go of the events up to a revision.
func (l *eventLog) dropUpTo(revision uint64) {
	l.drop(len(l.events)-len(l.after(revision)), 0)
}

// after gives the events behind a revision.
func (l *eventLog) after(revision uint64) []Event {
	if n := len(l.events); n == 0 || l.events[n-1].Revision <= revision {
		return nil
	}
	i := sort.Search(len(l.events), func(i int) bool { return l.events[i].Revision > revision })
	return slices.Clip(l.events[i:])
}

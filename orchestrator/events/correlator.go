package events

import (
	"time"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/lru"
)

// The limits of k8s.io/client-go/tools/record/events_cache.go.
const (
	// remembered is how many events, groups and objects are kept in mind.
	remembered = 4096
	// A source may record a burst of events about an object, and then one in
	// each refill.
	spamBurst  = 25
	spamRefill = 5 * time.Minute
	// So many different messages of one reason, with no pause longer than
	// similarPause between two of them, become one event.
	similarLimit = 10
	similarPause = 10 * time.Minute

	combinedPrefix = "(combined from similar events): "
)

// origin is what an event is about and who says so.
type origin struct {
	component, host string
	kind, version   string
	namespace, name string
	uid             types.UID
	eventType       string
}

// group is an origin and what happened, whatever the message.
type group struct {
	origin
	reason string
}

// identity is what makes two events the same event. Combined events, of which a
// group has one, have neither field nor message.
type identity struct {
	group
	field, message string
	combined       bool
}

// similar is what is known of a group.
type similar struct {
	messages sets.Set[string]
	last     time.Time
}

// occurrence is what is known of an event that has been seen.
type occurrence struct {
	name  string
	first metav1.Time
	count int32
}

// correlator turns what is recorded into what is worth keeping: the same event
// again becomes a count, many similar ones become one, and too many are not
// kept at all. It is upstream's EventCorrelator in three steps; it is not safe
// for concurrent use.
type correlator struct {
	spam, groups, seen *lru.Cache
}

func newCorrelator() *correlator {
	return &correlator{spam: lru.New(remembered), groups: lru.New(remembered), seen: lru.New(remembered)}
}

// correlate changes e into what is to be written, and says whether to write it
// at all (keep) and whether e's name is that of an event written earlier.
func (c *correlator) correlate(e *corev1.Event) (repeated, keep bool) {
	now := e.LastTimestamp.Time
	id := identify(e)
	if c.crowded(id, now) {
		id.combined, id.field, id.message = true, "", ""
		e.Message = combinedPrefix + e.Message
	}
	repeated = c.count(id, e)
	// An event that is not kept is counted all the same, and shows in the next
	// that is.
	return repeated, c.affordable(id.origin, now)
}

func identify(e *corev1.Event) identity {
	o := e.InvolvedObject
	return identity{
		group: group{
			origin: origin{
				component: e.Source.Component, host: e.Source.Host,
				kind: o.Kind, version: o.APIVersion, namespace: o.Namespace, name: o.Name, uid: o.UID,
				eventType: e.Type,
			},
			reason: e.Reason,
		},
		field:   o.FieldPath,
		message: e.Message,
	}
}

// crowded reports whether a group has so many messages that they are combined.
func (c *correlator) crowded(id identity, now time.Time) bool {
	known, _ := c.groups.Get(id.group)
	s, ok := known.(*similar)
	if !ok || now.Sub(s.last) > similarPause {
		s = &similar{messages: sets.New[string]()}
		c.groups.Add(id.group, s)
	}
	s.last = now
	s.messages.Insert(id.message)
	if s.messages.Len() < similarLimit {
		return false
	}
	s.messages.PopAny() // it need not grow further
	return true
}

// count makes e the next occurrence of the same event, if there was one.
func (c *correlator) count(id identity, e *corev1.Event) (repeated bool) {
	known, _ := c.seen.Get(id)
	if before, ok := known.(*occurrence); ok {
		before.count++
		e.Name, e.FirstTimestamp, e.Count = before.name, before.first, before.count
		return true
	}
	c.seen.Add(id, &occurrence{name: e.Name, first: e.FirstTimestamp, count: e.Count})
	return false
}

// affordable takes a token from the origin's bucket.
func (c *correlator) affordable(o origin, now time.Time) bool {
	known, _ := c.spam.Get(o)
	limiter, ok := known.(*rate.Limiter)
	if !ok {
		limiter = rate.NewLimiter(rate.Every(spamRefill), spamBurst)
		c.spam.Add(o, limiter)
	}
	return limiter.AllowN(now, 1)
}

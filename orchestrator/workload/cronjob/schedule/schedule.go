// Package schedule computes when a CronJob is due.
//
// The dialect is Kubernetes', which is that of github.com/robfig/cron/v3's
// ParseStandard: five fields, the macros from @yearly to @hourly, and @every.
// The times are computed with github.com/adhocore/gronx wherever the two agree.
// They differ in what they accept (gronx takes six and seven fields, L, W, #, 7
// for Sunday and macros of its own), in when the day of the month and the day of
// the week are joined by "or" (see fields.joined), and in what happens to hours
// that a clock change repeats or leaves out. So the dialect is read here and
// handed to gronx spelled out, as lists of numbers; and near a clock change this
// package walks the local time itself. FuzzAgainstRobfig holds that the two can
// not be told apart.
package schedule

import (
	"time"

	"github.com/adhocore/gronx"
)

// Schedule is a series of times. The zero value never comes due.
type Schedule struct {
	// every is the distance of the times of @every, 0 for any other schedule.
	every time.Duration
	// fields are what a time has to match, nil if there is no such time.
	fields *fields
	// expression is the same for gronx.
	expression string
	location   *time.Location
}

// How far the effects of a clock change reach. The walk to the next time begins
// at most at the beginning of the month, and a clock that shows something else
// than midnight there keeps doing so; no change moves a clock by more than a day.
const (
	marginAfter  = 33 * 24 * time.Hour
	marginBefore = 49 * time.Hour
)

// Next is the first time after t, or the zero time if none comes in the five
// calendar years after t's.
func (s *Schedule) Next(t time.Time) time.Time {
	if s.every > 0 {
		return t.Add(s.every - time.Duration(t.Nanosecond()))
	}
	if s.fields == nil {
		return time.Time{}
	}
	t = t.In(s.location)
	if next, ok := s.quickNext(t); ok {
		return next
	}
	return s.fields.walk(t)
}

// Last is the last of the times that Next gives in turn from after on, up to and
// including upTo; the zero time if there is none.
func (s *Schedule) Last(after, upTo time.Time) time.Time {
	if s.every > 0 {
		return s.lastOfEvery(after, upTo)
	}
	if s.fields == nil || !upTo.After(after) {
		return time.Time{}
	}
	if last, ok := s.quickLast(after.In(s.location), upTo.In(s.location)); ok {
		return last
	}
	var last time.Time
	for t := s.Next(after); !t.IsZero() && !t.After(upTo); t = s.Next(t) {
		last = t
	}
	return last
}

func (s *Schedule) lastOfEvery(after, upTo time.Time) time.Time {
	first := s.Next(after)
	if first.After(upTo) {
		return time.Time{}
	}
	return first.Add(upTo.Sub(first) / s.every * s.every)
}

// quickNext asks gronx. It gives up near a clock change, and when gronx finds
// nothing, which is not the same as that there is nothing.
func (s *Schedule) quickNext(t time.Time) (time.Time, bool) {
	if !steady(t, t) {
		return time.Time{}, false
	}
	// gronx gets the local time as if it were UTC's, so that it knows of no zone.
	// It is quickest on a whole minute that may itself be the answer.
	from := civil(t).Truncate(time.Minute).Add(time.Minute)
	next, err := gronx.NextTickAfter(s.expression, from, true)
	if err != nil || next.Before(from) || next.Year() > civil(t.Add(time.Second)).Year()+5 || !s.fields.match(next) {
		return time.Time{}, false
	}
	found := t.Add(next.Sub(civil(t)))
	return found, steady(t, found)
}

// quickLast asks gronx, and gives up when the clock changes in between.
func (s *Schedule) quickLast(after, upTo time.Time) (time.Time, bool) {
	if !steady(after, upTo) {
		return time.Time{}, false
	}
	to := civil(upTo).Truncate(time.Minute)
	last, err := gronx.PrevTickBefore(s.expression, to, true)
	if err != nil || last.After(to) || !s.fields.match(last) {
		return time.Time{}, false
	}
	found := upTo.Add(last.Sub(civil(upTo)))
	if !found.After(after) {
		return time.Time{}, true
	}
	return found, true
}

// steady reports whether no clock change has an effect between two times in the
// same location.
func steady(from, to time.Time) bool {
	begin, end := from.ZoneBounds()
	return (begin.IsZero() || from.Add(-marginAfter).After(begin)) && (end.IsZero() || to.Add(marginBefore).Before(end))
}

// civil is what t's clock and calendar show, as if they were UTC's.
func civil(t time.Time) time.Time {
	_, offset := t.Zone()
	return t.Add(time.Duration(offset) * time.Second).UTC()
}

package schedule

import "time"

// years is how many calendar years ahead a time is looked for.
const years = 5

// leg is the part of a walk that goes by one unit.
type leg struct {
	match func(*fields, time.Time) bool
	// floor is the beginning of the unit that t is in, forward that of the next.
	floor, forward func(time.Time) time.Time
	// over reports whether a step forward has reached the next greater unit, whose
	// match is then open again.
	over func(time.Time) bool
}

// legs go from the greatest unit to the smallest. Months and days are steps of
// the calendar, what is smaller are steps in time: so an hour that the clock
// shows twice is walked through twice.
var legs = []leg{
	{
		match: func(f *fields, t time.Time) bool { return f[month].has(int(t.Month())) },
		floor: func(t time.Time) time.Time {
			return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, t.Location())
		},
		forward: func(t time.Time) time.Time { return t.AddDate(0, 1, 0) },
		over:    func(t time.Time) bool { return t.Month() == time.January },
	},
	{
		match: (*fields).matchDay,
		floor: func(t time.Time) time.Time {
			return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, t.Location())
		},
		forward: func(t time.Time) time.Time { return midnight(t.AddDate(0, 0, 1)) },
		over:    func(t time.Time) bool { return t.Day() == 1 },
	},
	{
		match: func(f *fields, t time.Time) bool { return f[hour].has(t.Hour()) },
		floor: func(t time.Time) time.Time {
			return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), 0, 0, 0, t.Location())
		},
		forward: func(t time.Time) time.Time { return t.Add(time.Hour) },
		over:    func(t time.Time) bool { return t.Hour() == 0 },
	},
	{
		match:   func(f *fields, t time.Time) bool { return f[minute].has(t.Minute()) },
		floor:   func(t time.Time) time.Time { return t.Truncate(time.Minute) },
		forward: func(t time.Time) time.Time { return t.Add(time.Minute) },
		over:    func(t time.Time) bool { return t.Minute() == 0 },
	},
	{
		match:   func(_ *fields, t time.Time) bool { return t.Second() == 0 },
		floor:   func(t time.Time) time.Time { return t },
		forward: func(t time.Time) time.Time { return t.Add(time.Second) },
		over:    func(t time.Time) bool { return t.Second() == 0 },
	},
}

// midnight mends a step of days that ended in a midnight which the clock leaves
// out: the calendar then gives the hour before or behind it.
func midnight(t time.Time) time.Time {
	h := t.Hour()
	if h > 12 {
		h -= 24
	}
	return t.Add(time.Duration(-h) * time.Hour)
}

// walk is the first time after t that matches, or the zero time. Its steps are
// those of robfig/cron's SpecSchedule.Next, so that it comes to the same times
// where the clock changes, the odd ones included: an hour that is repeated is due
// twice, one that is left out is not due, and neither is a day without a midnight
// in zones east of Greenwich. Unlike upstream's it never leads back.
func (f *fields) walk(after time.Time) time.Time {
	t := after.Add(time.Second - time.Duration(after.Nanosecond()))
	limit := t.Year() + years
	floored := false
	for t.Year() <= limit {
		arrived := true
		for _, l := range legs {
			if t, arrived = f.follow(l, t, &floored); !arrived {
				break
			}
		}
		if arrived && !t.After(after) {
			return f.crawl(after)
		}
		if arrived {
			return t
		}
	}
	return time.Time{}
}

// crawl goes minute by minute over a clock change at which walk led back. St. John's turned its
// clocks back at a minute past midnight until 2011, and the calendar's midnight is the first of the
// two: upstream comes to it again and again.
func (f *fields) crawl(after time.Time) time.Time {
	t := after.Truncate(time.Minute)
	for end := after.Add(marginBefore); t.Before(end); {
		t = t.Add(time.Minute)
		if f.match(t) {
			return t
		}
	}
	return f.walk(t)
}

// follow goes forward by one unit until it matches. It has not arrived when it
// came into the next greater unit. The first step of a walk begins at the floor
// of its unit; from there on t is always the beginning of what it is in.
func (f *fields) follow(l leg, t time.Time, floored *bool) (time.Time, bool) {
	for !l.match(f, t) {
		if !*floored {
			*floored = true
			t = l.floor(t)
		}
		before := t
		if t = l.forward(t); !t.After(before) {
			// A zone that changes to the other side of the date line leaves a day out,
			// and the calendar leads back from it. Upstream never returns from there.
			t = before.Add(24 * time.Hour)
		}
		if l.over(t) {
			return t, false
		}
	}
	return t, true
}

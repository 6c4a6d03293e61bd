package schedule

import (
	"strconv"
	"strings"
	"time"
)

// unit is one of the five parts of a time that a schedule speaks of.
type unit struct {
	name     string
	min, max int
	names    map[string]int
}

// The places of the units in a schedule.
const (
	minute = iota
	hour
	dayOfMonth
	month
	dayOfWeek
)

var units = [...]unit{
	minute:     {name: "minute", min: 0, max: 59},
	hour:       {name: "hour", min: 0, max: 23},
	dayOfMonth: {name: "day of month", min: 1, max: 31},
	month:      {name: "month", min: 1, max: 12, names: numbered(1, "jan feb mar apr may jun jul aug sep oct nov dec")},
	dayOfWeek:  {name: "day of week", min: 0, max: 6, names: numbered(0, "sun mon tue wed thu fri sat")},
}

func numbered(first int, names string) map[string]int {
	m := map[string]int{}
	for i, n := range strings.Fields(names) {
		m[n] = first + i
	}
	return m
}

// set is the values of a unit that match.
type set struct {
	values uint64 // bit n for value n
	// star: the field has a * or ? without a step, and so all values.
	star bool
}

func (s set) has(v int) bool { return s.values&(1<<v) != 0 }

// fields are the matching values of each unit.
type fields [len(units)]set

// match reports whether a time's clock and calendar match; its seconds do not
// matter.
func (f *fields) match(t time.Time) bool {
	return f[month].has(int(t.Month())) && f.matchDay(t) && f[hour].has(t.Hour()) && f[minute].has(t.Minute())
}

func (f *fields) matchDay(t time.Time) bool {
	inMonth, inWeek := f[dayOfMonth].has(t.Day()), f[dayOfWeek].has(int(t.Weekday()))
	if f.joined() {
		return inMonth && inWeek
	}
	return inMonth || inWeek
}

// joined reports whether a day must match both the day of the month and the day of
// the week. If neither field has a star, one of the two is enough. */2 is no
// star: with a step it is one choice of days like another.
func (f *fields) joined() bool { return f[dayOfMonth].star || f[dayOfWeek].star }

// possible reports whether any time at all can match: an empty field makes it
// impossible, but one empty field of days does not if the other is enough.
func (f *fields) possible() bool {
	days := f[dayOfMonth].values != 0 && f[dayOfWeek].values != 0 ||
		!f.joined() && (f[dayOfMonth].values != 0 || f[dayOfWeek].values != 0)
	return days && f[minute].values != 0 && f[hour].values != 0 && f[month].values != 0
}

// expression spells the fields out for gronx, to which lists of numbers in both
// fields of days mean "or", and a star in one of them leaves the other to decide.
func (f *fields) expression() string {
	words := make([]string, len(f))
	for i, s := range f {
		words[i] = s.list(units[i])
	}
	return strings.Join(words, " ")
}

func (s set) list(u unit) string {
	if s.star || s.values == 0 {
		return "*"
	}
	var numbers []string
	for v := u.min; v <= u.max; v++ {
		if s.has(v) {
			numbers = append(numbers, strconv.Itoa(v))
		}
	}
	return strings.Join(numbers, ",")
}

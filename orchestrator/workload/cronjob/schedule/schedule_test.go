package schedule

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/robfig/cron/v3"
)

// zones are some of each sort: none, whole hours, half hours, changes at midnight
// on either side of Greenwich, and a change of half an hour. Those that have left
// a day out are not among them: upstream never returns from there.
var zones = []string{
	"UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "America/Havana", "Asia/Beirut", "Asia/Tehran",
	"Africa/Cairo", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe", "Africa/Casablanca",
	"America/St_Johns", "Atlantic/Azores", "Antarctica/Troll", "Etc/GMT+12",
}

// upstream parses as Kubernetes does: with panics made errors, and no zone in
// the text.
func upstream(text string, zone *time.Location) (s cron.Schedule, err error) {
	if strings.Contains(text, "TZ") {
		return nil, fmt.Errorf("zone in the schedule")
	}
	s, err = cron.ParseStandard(text)
	if spec, ok := s.(*cron.SpecSchedule); ok {
		spec.Location = zone
	}
	return s, err
}

// compare holds that upstream accepts the same and comes to the same times from a
// moment on.
func compare(t *testing.T, text, zoneName string, from time.Time) {
	t.Helper()
	zone, err := time.LoadLocation(zoneName)
	if err != nil {
		t.Skip(err)
	}
	want, wantErr := upstream(text, zone)
	got, gotErr := Parse(text, zone)
	if (wantErr == nil) != (gotErr == nil) {
		t.Fatalf("%q: upstream says %v, we say %v", text, wantErr, gotErr)
	}
	if wantErr != nil {
		return
	}
	begin, at := from, from
	for range 5 {
		w, g := want.Next(at), got.Next(at)
		if w.After(at) && !w.Equal(g) || w.IsZero() != g.IsZero() || !g.IsZero() && !g.After(at) {
			t.Fatalf("%q in %s after %s: upstream %s, we %s", text, zoneName, at.In(zone), w.In(zone), g.In(zone))
		}
		if w.IsZero() {
			return
		}
		if !w.After(at) {
			return // upstream leads back (see crawl), and comparison ends
		}
		for _, upTo := range []time.Time{w.Add(-time.Second), w, w.Add(17 * time.Second)} {
			last := lastOf(want, begin, upTo)
			if g := got.Last(begin, upTo); !g.Equal(last) {
				t.Fatalf("%q in %s: last after %s up to %s: upstream %s, we %s", text, zoneName, begin.In(zone), upTo.In(zone), last.In(zone), g.In(zone))
			}
		}
		at = w
	}
}

// lastOf is what Last is to be, of upstream's times; it ends where they lead back.
func lastOf(s cron.Schedule, after, upTo time.Time) (last time.Time) {
	for n := s.Next(after); !n.IsZero() && !n.After(upTo) && n.After(last); n = s.Next(n) {
		last = n
	}
	return last
}

// randomField is a field that mostly is valid.
func randomField(r *rand.Rand, u unit) string {
	value := func() string {
		v := u.min + r.IntN(u.max-u.min+1)
		for name, n := range u.names {
			if n == v && r.IntN(3) == 0 {
				return strings.ToUpper(name[:1]) + name[1:]
			}
		}
		return fmt.Sprint(v)
	}
	member := func() string {
		var s string
		switch r.IntN(8) {
		case 0, 1, 2:
			s = "*"
		case 3:
			s = "?"
		case 4, 5:
			s = value()
		case 6:
			a, b := u.min+r.IntN(u.max-u.min+1), u.min+r.IntN(u.max-u.min+1)
			s = fmt.Sprintf("%d-%d", min(a, b), max(a, b))
		default:
			s = fmt.Sprintf("%d-%d", u.min, u.max)
		}
		if r.IntN(3) == 0 {
			s += fmt.Sprintf("/%d", 1+r.IntN(u.max+3))
		}
		return s
	}
	members := []string{member()}
	for r.IntN(4) == 0 {
		members = append(members, member())
	}
	return strings.Join(members, ",")
}

func randomSchedule(r *rand.Rand) string {
	switch r.IntN(20) {
	case 0:
		return []string{"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"}[r.IntN(7)]
	case 1:
		return fmt.Sprintf("@every %s", time.Duration(r.Int64N(int64(48*time.Hour))))
	}
	words := make([]string, len(units))
	for i, u := range units {
		words[i] = randomField(r, u)
	}
	return strings.Join(words, " ")
}

// randomMoment is any time, and every other time one near a clock change.
func randomMoment(r *rand.Rand, zone *time.Location) time.Time {
	at := time.Unix(r.Int64N(4e9), r.Int64N(1e9)).In(zone)
	if r.IntN(2) == 0 {
		if _, end := at.ZoneBounds(); !end.IsZero() {
			at = end.Add(time.Duration(r.Int64N(int64(2*marginBefore))) - marginBefore)
		}
	}
	if r.IntN(2) == 0 {
		at = at.Truncate(time.Minute)
	}
	return at
}

// FuzzAgainstRobfig compares with robfig/cron what is parsed and what is
// computed, for random valid schedules and for whatever the fuzzer makes of them.
func FuzzAgainstRobfig(f *testing.F) {
	for _, text := range []string{
		"30 1 * * *", "*/15 * * * *", "0 0 */2 * 1", "0 0 1-31 * 1", "0 0 29 2 *", "* * , * 1",
		"*-7/3 * * * *", "@every 1h30m", "@midnight", "0 12 L * *", "* * * * 7", "5/20 * * jan-mar sun,mon",
	} {
		for i := range zones[:4] {
			f.Add(text, uint8(i), int64(1761440400), int32(0))
		}
	}
	f.Fuzz(func(t *testing.T, text string, zone uint8, unix int64, nanos int32) {
		const lastYear = 8e9 // later, zone tables say nothing
		compare(t, text, zones[int(zone)%len(zones)], time.Unix((unix%lastYear+lastYear)%lastYear, int64(nanos&0x1fffffff)))
	})
}

// TestRandomSchedules is the same for random schedules of the dialect, without
// the fuzzer's guidance.
func TestRandomSchedules(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 0))
	n := 1500
	if testing.Short() {
		n = 500
	}
	t.Logf("seed %d", seed)
	quick := 0
	for range n {
		zoneName := zones[r.IntN(len(zones))]
		zone, err := time.LoadLocation(zoneName)
		if err != nil {
			t.Fatal(err)
		}
		text, from := randomSchedule(r), randomMoment(r, zone)
		compare(t, text, zoneName, from)
		if s, err := Parse(text, zone); err == nil && s.fields != nil {
			if _, ok := s.quickNext(from); ok {
				quick++
			}
		}
	}
	if quick < n/10 {
		t.Errorf("gronx answered %d of %d: it should be asked more often", quick, n)
	}
}

func TestTimes(t *testing.T) {
	for _, c := range []struct{ name, text, zone, after, want string }{
		{"each minute", "0-59 * * * *", "UTC", "2026-11-23T13:42:10Z", "13:43 13:44 13:45"},
		{"a step in the days and a weekday: either is enough", "0 0 */2 * 1", "UTC", "2026-06-01T00:00:00Z",
			"2026-06-03 2026-06-05 2026-06-07 2026-06-08 2026-06-09"},
		{"a star in the days: the weekday decides", "0 0 * * 1", "UTC", "2026-06-01T00:00:00Z", "2026-06-08 2026-06-15"},
		{"a step in the weekdays and a day", "0 0 13 * */6", "UTC", "2026-06-01T00:00:00Z", "2026-06-06 2026-06-07 2026-06-13 2026-06-14 2026-06-20"},
		{"the hour that comes twice in autumn", "30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z",
			"2026-11-01T01:30:00-04:00 2026-11-01T01:30:00-05:00 2026-11-02T01:30:00-05:00"},
		{"the hour that is left out in spring", "30 2 * * *", "America/New_York", "2026-03-07T12:00:00Z", "2026-03-09T02:30:00-04:00"},
		{"each hour over the hour that comes twice", "0 * * * *", "Europe/Berlin", "2026-10-24T23:30:00Z",
			"2026-10-25T02:00:00+02:00 2026-10-25T02:00:00+01:00 2026-10-25T03:00:00+01:00"},
		{"a clock turned back from one past midnight to the day before", "* * * * 0", "America/St_Johns", "1990-10-28T03:28:00Z",
			"1990-10-28T00:00:00-03:30 1990-10-28T00:01:00-03:30"},
		{"a step from a number on", "5/20 0 * * *", "UTC", "2026-06-01T00:00:00Z", "00:05 00:25 00:45 00:05"},
		{"leap days", "0 0 29 2 *", "UTC", "2026-06-01T00:00:00Z", "2028-02-29 2032-02-29"},
		{"a day that never comes", "0 0 31 2 *", "UTC", "2026-06-01T00:00:00Z", "never"},
		{"an empty field", ", * * * *", "UTC", "2026-06-01T00:00:00Z", "never"},
		{"midnight by name", "@midnight", "Asia/Kolkata", "2026-06-01T00:00:00Z", "2026-06-02T00:00:00+05:30"},
		{"a distance, from whenever it is asked", "@every 1h30m", "UTC", "2026-06-01T00:10:00Z", "01:40 03:10"},
		{"a distance of less than a second", "@every 10ms", "UTC", "2026-06-01T00:10:00Z", "2026-06-01T00:10:01Z 2026-06-01T00:10:02Z"},
	} {
		t.Run(c.name, func(t *testing.T) {
			zone, err := time.LoadLocation(c.zone)
			if err != nil {
				t.Fatal(err)
			}
			at, err := time.Parse(time.RFC3339, c.after)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, c.text, c.zone, at)
			s, err := Parse(c.text, zone)
			if err != nil {
				t.Fatal(err)
			}
			for want := range strings.FieldsSeq(c.want) {
				at = s.Next(at)
				got := "never"
				if !at.IsZero() {
					got = at.In(zone).Format(map[int]string{5: "15:04", 10: time.DateOnly}[len(want)])
					if len(want) > 10 {
						got = at.In(zone).Format(time.RFC3339)
					}
				}
				if got != want {
					t.Errorf("got %s, want %s", got, want)
				}
			}
		})
	}
}

// TestRefused lists what other crons take and Kubernetes does not.
func TestRefused(t *testing.T) {
	for _, c := range []struct{ text, why string }{
		{"", "5 fields"},
		{"* * * *", "5 fields"},
		{"0 * * * * *", "5 fields"},      // seconds
		{"0 0 1 1 * 2027", "5 fields"},   // a year
		{"0 0 0 1 1 * 2027", "5 fields"}, // both
		{"TZ=Europe/Berlin 0 0 * * *", "5 fields"},
		{"TZ=Europe/Berlin 0 * * *", "not a number"},
		{" @daily", "5 fields"},
		{"0 0 L * *", "not a number"},
		{"0 0 15W * *", "not a number"},
		{"0 0 * * 5#2", "not a number"},
		{"0 0 * * 5L", "not a number"},
		{"0 0 * * 7", "not within 0 to 6"},
		{"0 0 * * sunday", "not a number"},
		{"0 0 * * 5-1", "ends before it begins"},
		{"60 * * * *", "not within 0 to 59"},
		{"* 24 * * *", "not within 0 to 23"},
		{"* * 0 * *", "not within 1 to 31"},
		{"* * 32 * *", "not within 1 to 31"},
		{"* * * 0 *", "not within 1 to 12"},
		{"* * * * * ", ""},
		{"*/0 * * * *", "not positive"},
		{"*/-1 * * * *", "not positive"},
		{"*/x * * * *", "not a number"},
		{"1/2/3 * * * *", "more than one /"},
		{"1-2-3 * * * *", "more than one hyphen"},
		{"-5 * * * *", "not a number"},
		{"1- * * * *", "not a number"},
		{"jan * * * *", "not a number"},
		{"@always", "unknown macro"},
		{"@5minutes", "unknown macro"},
		{"@Daily", "unknown macro"},
		{"@reboot", "unknown macro"},
		{"@every", "unknown macro"},
		{"@every 5", "@every"},
		{"@every 1 h", "@every"},
	} {
		_, err := Parse(c.text, time.UTC)
		_, theirs := upstream(c.text, time.UTC)
		if (err == nil) != (theirs == nil) {
			t.Errorf("%q: we say %v, upstream %v", c.text, err, theirs)
		}
		if (err == nil) != (c.why == "") || err != nil && !strings.Contains(err.Error(), c.why) {
			t.Errorf("%q: got %v, want %q", c.text, err, c.why)
		}
	}
}

// TestDayThatIsLeftOut holds that a search comes over a day that a zone left out.
func TestDayThatIsLeftOut(t *testing.T) {
	apia, err := time.LoadLocation("Pacific/Apia")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"0 0 31 * *": "2011-12-31T00:00:00+14:00", "0 12 * * 1": "2012-01-02T12:00:00+14:00", "0 6 5 1 *": "2012-01-05T06:00:00+14:00",
	} {
		s, err := Parse(text, apia)
		if err != nil {
			t.Fatal(err)
		}
		got := s.Next(time.Date(2011, 12, 29, 13, 0, 0, 0, apia))
		if got.IsZero() || got.Format(time.RFC3339) != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

func TestNeverIsNoTime(t *testing.T) {
	var never Schedule
	if got := never.Next(time.Now()); !got.IsZero() {
		t.Errorf("next %s", got)
	}
	if got := never.Last(time.Time{}, time.Now()); !got.IsZero() {
		t.Errorf("last %s", got)
	}
}

func BenchmarkNext(b *testing.B) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		b.Fatal(err)
	}
	at := time.Date(2026, 6, 1, 12, 0, 0, 0, berlin)
	for _, text := range []string{"0-59 * * * *", "30 3 * * *", "0 0 1 1 *"} {
		s, err := Parse(text, berlin)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(strings.ReplaceAll(text, " ", "_"), func(b *testing.B) {
			for b.Loop() {
				s.Next(at)
			}
		})
	}
}

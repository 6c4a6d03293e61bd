package cronjob

import (
	"errors"
	"time"

	"skiff/orchestrator/workload/cronjob/schedule"
)

// padding is added to the time of the next look, for clocks that are set a little
// back meanwhile (upstream's figure).
const padding = 100 * time.Millisecond

// many is how many missed times are too many to go unmentioned.
const many = 100

// errStandstill is upstream's message for a schedule whose times never come.
var errStandstill = errors.New("time difference between two schedules is less than 1 second")

// missed are the times that came since the last job was started.
type missed struct {
	// since is when a job was last started, or the CronJob was made.
	since time.Time
	// last is the latest of them, zero if there is none.
	last time.Time
	// count is about how many there are.
	count int64
	many  bool
}

// missedTimes looks for them as upstream does (k8s.io/kubernetes
// pkg/controller/cronjob, mostRecentScheduleTime): from the distance of the first
// two it is estimated how many there are, and the latest is looked for in the last
// two such distances only. A schedule of unequal distances can thus have missed
// times none of which is made up for.
func missedTimes(s snapshot, times *schedule.Schedule, deadlined bool) (missed, error) {
	m := missed{since: s.cron.CreationTimestamp.Time}
	if t := s.cron.Status.LastScheduleTime; t != nil {
		m.since = t.Time
	}
	if d := s.cron.Spec.StartingDeadlineSeconds; deadlined && d != nil {
		if earliest := s.now.Add(-time.Duration(*d) * time.Second); earliest.After(m.since) {
			m.since = earliest
		}
	}
	first := times.Next(m.since)
	if first.After(s.now) {
		return m, nil
	}
	second := times.Next(first)
	if !first.IsZero() && second.After(s.now) {
		m.last, m.count = first, 1
		return m, nil
	}
	distance := int64(second.Sub(first).Round(time.Second) / time.Second)
	if first.IsZero() || distance < 1 {
		return m, errStandstill
	}
	m.count = int64(s.now.Sub(first)/time.Second)/distance + 1
	m.many = m.count > many
	m.last = times.Last(first.Add(time.Duration((m.count-2)*distance)*time.Second), s.now)
	return m, nil
}

// nextLook is when the time after the last one comes, zero if none ever does.
func nextLook(s snapshot, times *schedule.Schedule) time.Time {
	m, err := missedTimes(s, times, false)
	from := m.last
	switch {
	case err != nil:
		from = s.now
	case from.IsZero() && m.count == 0:
		from = m.since
	case from.IsZero():
		from = s.now
	}
	next := times.Next(from)
	if next.IsZero() {
		return next
	}
	return next.Add(padding)
}

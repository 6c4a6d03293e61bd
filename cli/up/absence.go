package up

import (
	"errors"
	"time"

	"skiff/cli/client"
)

// absenceLimit is how long skiff's own daemon may be away: one that is started again is back sooner.
// Servers of other clusters may take longer, so there the time limit of up decides.
const absenceLimit = 5 * time.Second

// absence is since when skiff's own daemon has not answered, zero while it does.
type absence struct{ since time.Time }

// tooLong reports whether the daemon has been away for longer than it may. trouble is why the server
// can't be asked now, nil if it can.
func (a *absence) tooLong(trouble error, now time.Time) bool {
	var own *client.OwnClusterError
	switch {
	case !errors.As(trouble, &own):
		a.since = time.Time{}
	case a.since.IsZero():
		a.since = now
	}
	return !a.since.IsZero() && now.Sub(a.since) >= absenceLimit
}

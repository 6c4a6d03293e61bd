package scheduling

import (
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Pods that fit nowhere are tried again when something changes that may help,
// but each at most so often: once at once, for a node that has just become
// ready, and then at growing intervals, so that a thousand that wait are not all
// tried for every pod that ends.
const (
	firstPause = 10 * time.Millisecond
	longPause  = 10 * time.Second
)

// waiting are the pods that fit nowhere.
type waiting map[types.NamespacedName]*attempts

type attempts struct {
	uid   types.UID
	count int
	last  time.Time
	idle  bool // nothing has changed since the last attempt
	room  bool // it would fit on some node that other pods left
}

// failed notes an attempt, and whether pods that leave their nodes may help.
func (w waiting) failed(name types.NamespacedName, uid types.UID, room bool, now time.Time) {
	a := w[name]
	if a == nil || a.uid != uid {
		a = &attempts{uid: uid}
		w[name] = a
	}
	a.count++
	a.last = now
	a.idle, a.room = true, room
}

// change is what may let a waiting pod in.
type change int

const (
	nodeChanged change = iota // a node is there, or lets in what it did not
	podLeft                   // a pod has left its node
)

// wake calls again for every pod that is idle and that the change may help, with
// the time to wait until then.
func (w waiting) wake(c change, now time.Time, again func(types.NamespacedName, time.Duration)) {
	for name, a := range w {
		if a.idle && (c == nodeChanged || a.room) {
			a.idle = false
			again(name, max(0, a.last.Add(a.pause()).Sub(now)))
		}
	}
}

func (a *attempts) pause() time.Duration {
	if a.count <= 1 {
		return 0
	}
	pause := firstPause
	for range a.count - 2 {
		if pause *= 2; pause >= longPause {
			return longPause
		}
	}
	return pause
}

package storage

import (
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// pendingEvents are the events of a watch that wait to be encoded. The handler flushes when none
// waits, so a burst of events shares writes to the network.
const pendingEvents = 64

// detached is a watch whose events an encoder may write to. Its goroutine ends when the watch
// beneath it does, or when it is stopped.
type detached struct {
	from   watch.Interface
	events chan watch.Event
	stop   sync.Once
	done   chan struct{}
}

func detachEvents(from watch.Interface) watch.Interface {
	d := &detached{from: from, events: make(chan watch.Event, pendingEvents), done: make(chan struct{})}
	go d.run()
	return d
}

// ResultChan implements watch.Interface.
func (d *detached) ResultChan() <-chan watch.Event { return d.events }

// Stop implements watch.Interface.
func (d *detached) Stop() {
	d.stop.Do(func() {
		close(d.done)
		d.from.Stop()
	})
}

func (d *detached) run() {
	defer close(d.events)
	for e := range d.from.ResultChan() {
		if _, isStatus := e.Object.(*metav1.Status); !isStatus {
			e.Object = Detach(e.Object)
		}
		select {
		case d.events <- e:
		case <-d.done:
			return
		}
	}
}

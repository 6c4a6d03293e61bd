package network

import (
	"context"
	"reflect"
	"sync"

	"skiff/network/protocol"
)

// desired is the state that the router is to have, and what of it the present session has not been
// told yet.
type desired struct {
	mu       sync.Mutex
	known    bool // Replace has been called
	services map[protocol.Key]protocol.Service
	nodes    []protocol.Node

	door protocol.Door

	dirty                 map[protocol.Key]bool
	dirtyNodes, dirtyDoor bool
	// news has a value while something is dirty, or known has become true.
	news chan struct{}
}

func (d *desired) init() {
	d.services, d.dirty = map[protocol.Key]protocol.Service{}, map[protocol.Key]bool{}
	d.news = make(chan struct{}, 1)
}

func (d *desired) wake() {
	select {
	case d.news <- struct{}{}:
	default: // somebody will look anyhow
	}
}

// Replace says that services and nodes are all there are. Until it has been called, the router is
// left as it is.
func (l *Link) Replace(services []protocol.Service, nodes []protocol.Node) {
	d := &l.desired
	d.mu.Lock()
	defer d.mu.Unlock()
	for key := range d.services {
		d.dirty[key] = true
	}
	clear(d.services)
	for _, s := range services {
		d.services[s.Key], d.dirty[s.Key] = s, true
	}
	d.nodes, d.dirtyNodes, d.known = nodes, true, true
	d.wake()
}

// Set says what a service is now.
func (l *Link) Set(s protocol.Service) {
	d := &l.desired
	d.mu.Lock()
	defer d.mu.Unlock()
	if old, ok := d.services[s.Key]; ok && reflect.DeepEqual(old, s) {
		return
	}
	d.services[s.Key], d.dirty[s.Key] = s, true
	d.wake()
}

// Delete says that there is no such service any more.
func (l *Link) Delete(key protocol.Key) {
	d := &l.desired
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.services[key]; !ok {
		return
	}
	delete(d.services, key)
	d.dirty[key] = true
	d.wake()
}

// SetNodes says what nodes there are.
func (l *Link) SetNodes(nodes []protocol.Node) {
	d := &l.desired
	d.mu.Lock()
	defer d.mu.Unlock()
	if reflect.DeepEqual(d.nodes, nodes) {
		return
	}
	d.nodes, d.dirtyNodes = nodes, true
	d.wake()
}

// SetDoor says what the front door is to serve.
func (l *Link) SetDoor(door protocol.Door) {
	d := &l.desired
	d.mu.Lock()
	defer d.mu.Unlock()
	if reflect.DeepEqual(d.door, door) {
		return
	}
	d.door, d.dirtyDoor = door, true
	d.wake()
}

// await returns when the state is known; false if ctx ended before.
func (d *desired) await(ctx context.Context) bool {
	for {
		d.mu.Lock()
		known := d.known
		d.mu.Unlock()
		if known {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-d.news:
		}
	}
}

// all is everything, for a session that begins.
func (d *desired) all() protocol.Update {
	d.mu.Lock()
	defer d.mu.Unlock()
	door := d.door
	u := protocol.Update{Whole: true, Nodes: d.nodes, Door: &door}
	for _, s := range d.services {
		u.Set = append(u.Set, s)
	}
	d.clean()
	return u
}

// clean notes that everything has been told. d.mu is held.
func (d *desired) clean() {
	clear(d.dirty)
	d.dirtyNodes, d.dirtyDoor = false, false
}

// change is what is dirty; ok is false if nothing is.
func (d *desired) change() (u protocol.Update, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for key := range d.dirty {
		if s, exists := d.services[key]; exists {
			u.Set = append(u.Set, s)
		} else {
			u.Delete = append(u.Delete, key)
		}
	}
	if d.dirtyNodes {
		u.Nodes = d.nodes
	}
	if d.dirtyDoor {
		door := d.door
		u.Door = &door
	}
	ok = len(d.dirty) > 0 || d.dirtyNodes || d.dirtyDoor
	d.clean()
	return u, ok
}

package api

import "sync"

// requests counts the requests under way.
type requests struct {
	mu   sync.Mutex
	n    int
	none chan struct{} // made by drain, closed when there are none
	done bool          // none is closed
}

func (r *requests) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
}

func (r *requests) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n--
	r.tell()
}

// drain returns a channel that is closed at the first moment, from now on, when no request is under
// way.
func (r *requests) drain() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.none == nil {
		r.none = make(chan struct{})
	}
	r.tell()
	return r.none
}

func (r *requests) tell() {
	if r.n == 0 && r.none != nil && !r.done {
		r.done = true
		close(r.none)
	}
}

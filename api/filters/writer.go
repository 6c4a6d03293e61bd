package filters

import (
	"bufio"
	"net"
	"net/http"
)

// Recorder is a ResponseWriter that remembers the status it was given.
type Recorder struct {
	http.ResponseWriter
	// begun, unless nil, is called with the status when there is one, before the client has it.
	begun  func(status int)
	status int
}

// Record returns w as a Recorder, which it makes of it unless it is one.
func Record(w http.ResponseWriter) *Recorder {
	if rec, ok := w.(*Recorder); ok {
		return rec
	}
	return &Recorder{ResponseWriter: w}
}

// Status is the status of the answer, 0 as long as there is none. A connection that was taken over
// has status 101.
func (r *Recorder) Status() int { return r.status }

// WriteHeader implements http.ResponseWriter.
func (r *Recorder) WriteHeader(status int) {
	r.begin(status)
	r.ResponseWriter.WriteHeader(status)
}

// begin notes the status of an answer that has none yet.
func (r *Recorder) begin(status int) {
	if r.status != 0 {
		return
	}
	r.status = status
	if r.begun != nil {
		r.begun(status)
	}
}

// Write implements http.ResponseWriter.
func (r *Recorder) Write(p []byte) (int, error) {
	r.begin(http.StatusOK)
	return r.ResponseWriter.Write(p)
}

// Flush implements http.Flusher, which watches insist on.
func (r *Recorder) Flush() {
	if f, ok := r.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}

// Hijack implements http.Hijacker. HTTP/2 connections can not be taken over.
func (r *Recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(r.ResponseWriter).Hijack()
	if err == nil {
		r.begin(http.StatusSwitchingProtocols)
	}
	return conn, rw, err
}

// Unwrap lets http.ResponseController reach the connection.
func (r *Recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

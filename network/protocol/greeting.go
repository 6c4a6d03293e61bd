package protocol

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"syscall"
)

// Kinds of streams.
const (
	// KindControl carries Updates to the router and Answers back. The daemon opens it first.
	KindControl = "control"
	// KindDial is a connection from the daemon to Address in the pods' network, by way of the
	// router. The router says first what became of it, in a Result.
	KindDial = "dial"
	// KindAPI is a pod's connection to the Kubernetes API, opened by the router. Address is the
	// pod's.
	KindAPI = "api"
)

// Greeting is the first line of a stream: what it is for. It is JSON.
type Greeting struct {
	Kind string
	// Network is "tcp" or "udp". Datagrams are framed by their length, 2 bytes, big-endian.
	Network string `json:",omitempty"`
	Address string `json:",omitempty"`
}

// Result is the line by which a router answers a KindDial.
type Result struct {
	// Error is empty if the connection is there. Errno is Linux's number for it, which is the router's
	// system, 0 if the error is another one.
	Error string `json:",omitempty"`
	Errno int    `json:",omitempty"`
	// Timeout says that it took too long.
	Timeout bool `json:",omitempty"`
}

// ResultOf describes an error, nil for none.
func ResultOf(err error) Result {
	if err == nil {
		return Result{}
	}
	r := Result{Error: err.Error()}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		r.Errno = int(errno)
	}
	var timeout interface{ Timeout() bool }
	r.Timeout = errors.As(err, &timeout) && timeout.Timeout()
	return r
}

// Err is the error that a result describes: errors.Is finds the system's in it, by the name it has in
// package syscall on the system of whoever asks, and it says whether it took too long.
func (r Result) Err() error {
	if r.Error == "" {
		return nil
	}
	return &remoteError{r}
}

type remoteError struct{ Result }

// Error implements error.
func (e *remoteError) Error() string { return e.Result.Error }

// Timeout is as net.Error has it, and Temporary too.
func (e *remoteError) Timeout() bool { return e.Result.Timeout }

// Temporary is as net.Error has it.
func (e *remoteError) Temporary() bool { return e.Result.Timeout }

// Unwrap returns the system's error.
func (e *remoteError) Unwrap() error {
	if e.Errno == 0 {
		return nil
	}
	return fromLinux(e.Errno)
}

// maxLine bounds a first line in bytes.
const maxLine = 4096

// WriteLine writes v as a line of JSON, in one call.
func WriteLine(w io.Writer, v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding a %T: %w", v, err)
	}
	if _, err := w.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("sending a %T: %w", v, err)
	}
	return nil
}

// ReadLine reads a line of JSON into v. What follows the line stays in r.
func ReadLine(r *bufio.Reader, v any) error {
	var line []byte
	for len(line) < maxLine {
		b, err := r.ReadByte()
		if err != nil {
			return fmt.Errorf("reading a %T: %w", v, err)
		}
		if b == '\n' {
			if err := json.Unmarshal(line, v); err != nil {
				return fmt.Errorf("decoding a %T: %w", v, err)
			}
			return nil
		}
		line = append(line, b)
	}
	return fmt.Errorf("reading a %T: the line is longer than %d bytes", v, maxLine)
}

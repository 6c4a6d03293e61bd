package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"regexp"
	"strings"
	"syscall"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/client"
)

// The kinds of failure a caller can act on; test with errors.Is. Whatever fits none of them is an
// [Error] without a Kind.
var (
	// ErrUnavailable: the engine is not running, has gone, or does not answer. Nothing is known of
	// what the call did.
	ErrUnavailable = errors.New("docker engine unavailable")
	// ErrPermission: this user may not use the engine's socket.
	ErrPermission = errors.New("docker engine not permitted")
	// ErrUnsupported: the engine is older than 20.10 (API 1.41) or does not run Linux containers.
	ErrUnsupported = errors.New("docker engine not supported")
	// ErrNotFound: there is no such container, file, network or volume.
	ErrNotFound = errors.New("not found")
	// ErrImageNotFound: the image is not present on the engine.
	ErrImageNotFound = errors.New("image not found")
	// ErrConflict: the name is taken by something that is not ours, or the object is in a state
	// that forbids the call.
	ErrConflict = errors.New("conflict")
	// ErrEndpointsLost: the engine counts endpoints in a network that no container is in, and does
	// not let it go. Engine 20.10 gets there now and then when many containers go at once; it
	// counts anew when it is restarted.
	ErrEndpointsLost = errors.New("network's endpoints lost")
	// ErrInvalid: the engine will never accept this; trying again is useless until the request
	// changes.
	ErrInvalid = errors.New("invalid")
	// ErrNotRunning: the container must run for this call and does not.
	ErrNotRunning = errors.New("container not running")
	// ErrInMemory: the files are in memory, where the engine cannot copy them from or to.
	ErrInMemory = errors.New("in memory")
	// ErrAddressInUse: the container's address still belongs to another one, after Start has waited
	// a little for it. It gets free as soon as the engine has put a dead container's network away,
	// not only when that is removed: try again soon.
	ErrAddressInUse = errors.New("address in use")
	// ErrPortInUse: a port of the machine that the container publishes is taken.
	ErrPortInUse = errors.New("host port in use")
	// ErrNoNetwork: the instance's network has been removed; EnsureNetwork makes it again, with the
	// same prefix.
	ErrNoNetwork = errors.New("no network")
	// ErrPull: the registry did not give the image; the message is the registry's.
	ErrPull = errors.New("pull failed")
	// ErrBuild: the engine's builder failed; the message is its own.
	ErrBuild = errors.New("build failed")
	// ErrTimeout: the bound of the call, the caller's or Options.Timeout, has passed.
	ErrTimeout = errors.New("timed out")
	// ErrNoSubnet: no private range is left for the instance's network.
	ErrNoSubnet = errors.New("no free subnet")
	// ErrNoAddress: every address of the network is taken.
	ErrNoAddress = errors.New("no free address")
)

// Error is a failed operation on the engine: what was being done, to which object, and what the
// engine said. errors.Is finds its Kind as well as its cause.
type Error struct {
	// Op is the operation ("create", "start", …), Name the container, image or network it was for.
	Op, Name string
	// Kind is one of this package's Err values, or nil.
	Kind error
	// Err is the cause; its text is the engine's own message.
	Err error
}

// Error gives one line that ends in what the user can do next, where there is something.
func (e *Error) Error() string {
	if e.Name == "" {
		return fmt.Sprintf("%s: %s", e.Op, e.Err)
	}
	return fmt.Sprintf("%s %s: %s", e.Op, short(e.Name), e.Err)
}

// short cuts a container's ID as the docker CLI shows it; names are left as they are.
func short(name string) string {
	if len(name) == 64 {
		return name[:12]
	}
	return name
}

// Unwrap makes both the kind and the cause visible to errors.Is and errors.As.
func (e *Error) Unwrap() []error {
	if e.Kind == nil {
		return []error{e.Err}
	}
	return []error{e.Kind, e.Err}
}

// fail makes an Error of what a call to the engine at host returned.
func fail(op, name, host string, err error) error {
	if err == nil {
		return nil
	}
	var known *Error
	if errors.As(err, &known) {
		return err
	}
	kind := kindOf(err)
	switch {
	case errors.Is(kind, ErrUnavailable):
		err = advice{err, "cannot reach the Docker Engine at " + host + because(err) + ": start it (Linux: sudo systemctl " +
			"start docker; Docker Desktop: open it), or say where it is with DOCKER_HOST or docker context use"}
	case errors.Is(kind, ErrPermission):
		err = advice{err, "not permitted to use the Docker Engine at " + host + ": join the group that owns its socket " +
			"(sudo usermod -aG docker $USER, then log in again)"}
	default:
		err = said{err}
	}
	return &Error{Op: op, Name: name, Kind: kind, Err: err}
}

// said is an engine's error without the words every one of them begins with.
type said struct{ error }

func (s said) Error() string {
	return strings.TrimPrefix(s.error.Error(), "Error response from daemon: ")
}

func (s said) Unwrap() error { return s.error }

// advice is an error in words that tell the user what to do.
type advice struct {
	error
	text string
}

func (a advice) Error() string { return a.text }

func (a advice) Unwrap() error { return a.error }

// because names the system's own error: the client's text about it repeats ours, and often it
// throws the cause away.
func because(err error) string {
	var call syscall.Errno
	var request *url.Error
	switch {
	case errors.As(err, &call):
		return " (" + call.Error() + ")"
	case errors.As(err, &request):
		return " (" + request.Err.Error() + ")"
	}
	return ""
}

func kindOf(err error) error {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return nil
	case unreachable(err):
		if errors.Is(err, fs.ErrPermission) {
			return ErrPermission
		}
		return ErrUnavailable
	}
	return kindOfAnswer(err)
}

// unreachable reports whether the connection failed, rather than the engine having refused.
func unreachable(err error) bool {
	var network net.Error
	return client.IsErrConnectionFailed(err) || errors.As(err, &network) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// The engine tells these apart by text alone. IPAM's message begins with a capital, the system's
// for ports does not.
var byText = []struct {
	text string
	kind error
}{
	{"Address already in use", ErrAddressInUse},
	{"port is already allocated", ErrPortInUse},
	{"bind: address already in use", ErrPortInUse},
	{"No such image", ErrImageNotFound},
	{"is not running", ErrNotRunning},
	{"non running container", ErrNotRunning},
	{"does not belong to any of this network's subnets", ErrInvalid},
	{"has active endpoints", ErrConflict},
}

// noNetwork matches the engine's answer to a start in a network that has been removed.
var noNetwork = regexp.MustCompile(`network \S+ not found`)

func kindOfAnswer(err error) error {
	for _, known := range byText {
		if strings.Contains(err.Error(), known.text) {
			return known.kind
		}
	}
	switch {
	case noNetwork.MatchString(err.Error()):
		return ErrNoNetwork
	case cerrdefs.IsNotFound(err):
		return ErrNotFound
	case cerrdefs.IsConflict(err), cerrdefs.IsAlreadyExists(err):
		return ErrConflict
	case cerrdefs.IsInvalidArgument(err):
		return ErrInvalid
	}
	return nil
}

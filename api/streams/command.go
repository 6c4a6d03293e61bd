package streams

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
)

// Exec serves the exec subresource of pods: a command run beside a container's own.
type Exec struct{ Handlers }

// Attach serves the attach subresource of pods: the streams of a container's own command.
type Attach struct{ Handlers }

var (
	_ rest.Connecter = (*Exec)(nil)
	_ rest.Connecter = (*Attach)(nil)
)

// connectMethods are the methods of all streams: WebSockets begin with GET, SPDY with POST.
func connectMethods() []string { return []string{http.MethodGet, http.MethodPost} }

// New implements rest.Storage.
func (e *Exec) New() runtime.Object { return &corev1.PodExecOptions{} }

// Destroy implements rest.Storage.
func (e *Exec) Destroy() {}

// ConnectMethods implements rest.Connecter.
func (e *Exec) ConnectMethods() []string { return connectMethods() }

// NewConnectOptions implements rest.Connecter.
func (e *Exec) NewConnectOptions() (runtime.Object, bool, string) {
	return &corev1.PodExecOptions{}, false, ""
}

// Connect implements rest.Connecter.
func (e *Exec) Connect(ctx context.Context, name string, options runtime.Object, responder rest.Responder) (http.Handler, error) {
	o, ok := options.(*corev1.PodExecOptions)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("invalid options object: %#v", options))
	}
	if len(o.Command) == 0 {
		return nil, apierrors.NewBadRequest("you must specify at least one command for the container")
	}
	wanted := wants{in: o.Stdin, out: o.Stdout, err: o.Stderr, tty: o.TTY}
	pod, container, err := e.target(ctx, name, o.Container, &wanted)
	if err != nil {
		return nil, err
	}
	return &command{wants: wanted, responder: responder, run: func(ctx context.Context, s Streams) error {
		return e.Pods.Exec(ctx, pod, container, o.Command, s)
	}}, nil
}

// New implements rest.Storage.
func (a *Attach) New() runtime.Object { return &corev1.PodAttachOptions{} }

// Destroy implements rest.Storage.
func (a *Attach) Destroy() {}

// ConnectMethods implements rest.Connecter.
func (a *Attach) ConnectMethods() []string { return connectMethods() }

// NewConnectOptions implements rest.Connecter.
func (a *Attach) NewConnectOptions() (runtime.Object, bool, string) {
	return &corev1.PodAttachOptions{}, false, ""
}

// Connect implements rest.Connecter.
func (a *Attach) Connect(ctx context.Context, name string, options runtime.Object, responder rest.Responder) (http.Handler, error) {
	o, ok := options.(*corev1.PodAttachOptions)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("invalid options object: %#v", options))
	}
	wanted := wants{in: o.Stdin, out: o.Stdout, err: o.Stderr, tty: o.TTY}
	pod, container, err := a.target(ctx, name, o.Container, &wanted)
	if err != nil {
		return nil, err
	}
	return &command{wants: wanted, responder: responder, run: func(ctx context.Context, s Streams) error {
		return a.Pods.Attach(ctx, pod, container, s)
	}}, nil
}

// wants are the streams a client asks for.
type wants struct{ in, out, err, tty bool }

// target finds the running container a request is for, and mends what it wants: a terminal has no
// separate error stream.
func (h *Handlers) target(ctx context.Context, name, container string, w *wants) (*corev1.Pod, string, error) {
	pod, err := h.Lookup(ctx, name)
	if err != nil {
		return nil, "", err
	}
	if container, err = chooseContainer(pod, container); err != nil {
		return nil, "", err
	}
	if err := onNode(pod); err != nil {
		return nil, "", err
	}
	if w.tty {
		w.err = false
	}
	if !w.in && !w.out && !w.err {
		return nil, "", apierrors.NewBadRequest("you must specify at least 1 of stdin, stdout, stderr")
	}
	return pod, container, running(pod, container)
}

// command carries a process's streams over whichever protocol the client speaks.
type command struct {
	wants
	responder rest.Responder
	run       func(context.Context, Streams) error
}

// do runs the process. One that was cut off says what cut it off.
func (c *command) do(ctx context.Context, s Streams) error {
	err := c.run(ctx, s)
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// ServeHTTP implements http.Handler.
func (c *command) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := canUpgrade(r); err != nil {
		c.responder.Error(err)
		return
	}
	taken, r := takeOver(w, r)
	defer taken.end()
	if isWebSocket(r) {
		c.overWebSocket(taken, r)
		return
	}
	c.overSPDY(taken, r)
}

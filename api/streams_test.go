package api_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/client-go/kubernetes/scheme"
	restclient "k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	utilexec "k8s.io/utils/exec"

	"skiff/api/streams"
	"skiff/manifests/registry"
)

// fakePods answers for pods that are not there.
type fakePods struct {
	mu      sync.Mutex
	calls   []string
	running sync.WaitGroup   // commands under way
	began   chan string      // commands that wait for their end
	ended   chan string      // what happened to them
	servers map[int32]string // addresses behind the ports of all pods
}

func newFakePods() *fakePods {
	return &fakePods{began: make(chan string, 10), ended: make(chan string, 10)}
}

func (f *fakePods) say(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, fmt.Sprintf(format, args...))
}

func (f *fakePods) Running(node string) ([]*corev1.Pod, error) {
	return []*corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "gone", UID: types.UID("from-" + node)}}}, nil
}

func (f *fakePods) Logs(ctx context.Context, pod *corev1.Pod, container string, o *corev1.PodLogOptions) (io.ReadCloser, error) {
	f.say("logs %s/%s", pod.Name, container)
	if !o.Follow {
		return io.NopCloser(strings.NewReader(fmt.Sprintf("the log of %s, previous %v, tail %v, timestamps %v\n", container, o.Previous, o.TailLines != nil, o.Timestamps))), nil
	}
	r, w := io.Pipe()
	f.running.Add(1)
	go func() {
		defer f.running.Done()
		fmt.Fprintln(w, "first")
		<-ctx.Done()
		w.Close()
		f.ended <- "logs ended"
	}()
	return r, nil
}

// Exec does what its command says.
func (f *fakePods) Exec(ctx context.Context, pod *corev1.Pod, container string, command []string, s streams.Streams) error {
	f.say("exec %s/%s %v tty=%v in=%v out=%v err=%v", pod.Name, container, command, s.TTY, s.In != nil, s.Out != nil, s.Err != nil)
	switch command[0] {
	case "cat":
		_, err := io.Copy(s.Out, s.In)
		return err
	case "fail":
		fmt.Fprint(s.Out, "out")
		fmt.Fprint(s.Err, "err")
		return fmt.Errorf("the process ended: %w", utilexec.CodeExitError{Code: 7, Err: errors.New("exit status 7")})
	case "break":
		return errors.New("the engine is gone")
	case "size":
		go io.Copy(io.Discard, s.In) // a WebSocket's channels share one reader: who leaves one unread hears nothing of the others
		size := <-s.Resize
		fmt.Fprintf(s.Out, "%dx%d", size.Width, size.Height)
		return nil
	case "big":
		_, err := io.Copy(s.Out, io.LimitReader(zeros{}, 1<<20))
		return err
	}
	fmt.Fprint(s.Out, "begun")
	f.began <- "exec"
	<-ctx.Done()
	f.ended <- "exec ended"
	return ctx.Err()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func (f *fakePods) Attach(_ context.Context, pod *corev1.Pod, container string, s streams.Streams) error {
	f.say("attach %s/%s", pod.Name, container)
	fmt.Fprint(s.Out, "attached")
	return nil
}

// StatPath knows one file and one directory.
func (f *fakePods) StatPath(_ context.Context, pod *corev1.Pod, container, name string) (streams.File, error) {
	f.say("stat %s/%s %s", pod.Name, container, name)
	switch name {
	case "/etc/hosts":
		return streams.File{Name: "hosts", Size: 7, Mode: 0o644}, nil
	case "/etc":
		return streams.File{Name: "etc", Mode: os.ModeDir | 0o755}, nil
	}
	return streams.File{}, apierrors.NewNotFound(schema.GroupResource{Resource: "files"}, name)
}

// CopyFrom sends no real archive; that of /broken ends in the middle.
func (f *fakePods) CopyFrom(_ context.Context, pod *corev1.Pod, container, name string, to io.Writer) error {
	f.say("copy from %s/%s %s", pod.Name, container, name)
	if name == "/missing" {
		return apierrors.NewNotFound(schema.GroupResource{Resource: "files"}, name)
	}
	fmt.Fprint(to, "archive of ", name)
	if name == "/broken" {
		return errors.New("the engine is gone")
	}
	return nil
}

func (f *fakePods) CopyTo(_ context.Context, pod *corev1.Pod, container, dir string, archive io.Reader) error {
	text, err := io.ReadAll(archive)
	f.say("copy %s to %s/%s %s", text, pod.Name, container, dir)
	return err
}

func (f *fakePods) Kill(_ context.Context, pod *corev1.Pod, container, signal string) error {
	f.say("kill -%s %s/%s", signal, pod.Name, container)
	if signal == "SIGNONE" {
		return apierrors.NewBadRequest("invalid signal: SIGNONE")
	}
	return nil
}

func (f *fakePods) PortForward(ctx context.Context, pod *corev1.Pod, port int32, rw io.ReadWriteCloser) error {
	f.say("portforward %s:%d", pod.Name, port)
	if port == 81 {
		return errors.New("connection refused")
	}
	defer rw.Close()
	if port == 82 {
		<-ctx.Done()
		f.ended <- "portforward ended"
		return nil
	}
	_, err := io.Copy(rw, rw)
	return err
}

// runningPod makes a pod whose containers run.
func (h *harness) runningPod(name string, containers ...string) {
	h.t.Helper()
	ctx := context.Background()
	p := pod(name)
	p.Namespace = "default"
	p.Spec.NodeName = "node"
	p.Spec.Containers = nil
	var statuses []corev1.ContainerStatus
	for _, c := range containers {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: c, Image: "i"})
		statuses = append(statuses, corev1.ContainerStatus{Name: c, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}})
	}
	client := registry.For[*corev1.Pod](h.registry)
	if _, err := client.Create(ctx, p); err != nil {
		h.t.Fatal(err)
	}
	h.status(name, statuses...)
}

func (h *harness) status(name string, statuses ...corev1.ContainerStatus) {
	h.t.Helper()
	_, err := registry.For[*corev1.Pod](h.registry).UpdateStatus(context.Background(), "default", name, func(p *corev1.Pod) error {
		p.Status.Phase = corev1.PodRunning
		p.Status.ContainerStatuses = statuses
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// executors makes a client of each protocol.
func (h *harness) executors() map[string]func(*url.URL) (remotecommand.Executor, error) {
	return map[string]func(*url.URL) (remotecommand.Executor, error){
		"SPDY": func(u *url.URL) (remotecommand.Executor, error) {
			return remotecommand.NewSPDYExecutor(h.config, "POST", u)
		},
		"WebSocket v5": func(u *url.URL) (remotecommand.Executor, error) {
			return remotecommand.NewWebSocketExecutor(h.config, "GET", u.String())
		},
		"WebSocket v4": func(u *url.URL) (remotecommand.Executor, error) {
			return remotecommand.NewWebSocketExecutorForProtocols(h.config, "GET", u.String(), "v4.channel.k8s.io")
		},
	}
}

func (h *harness) execURL(pod, sub string, o any) *url.URL {
	request := h.client.CoreV1().RESTClient().Post().Resource("pods").Namespace("default").Name(pod).SubResource(sub)
	switch o := o.(type) {
	case *corev1.PodExecOptions:
		request = request.VersionedParams(o, scheme.ParameterCodec)
	case *corev1.PodAttachOptions:
		request = request.VersionedParams(o, scheme.ParameterCodec)
	}
	return request.URL()
}

// oneSize is a terminal of one size.
type oneSize struct{ said bool }

func (s *oneSize) Next() *remotecommand.TerminalSize {
	if s.said {
		return nil
	}
	s.said = true
	return &remotecommand.TerminalSize{Width: 120, Height: 40}
}

func TestExec(t *testing.T) {
	fake := newFakePods()
	h := start(t, options{pods: fake})
	h.runningPod("p", "c")
	for protocol, executor := range h.executors() {
		for _, test := range []struct {
			name      string
			options   corev1.PodExecOptions
			in        string
			out, err  string
			wantError string
			code      int
		}{
			{name: "cat", options: corev1.PodExecOptions{Command: []string{"cat"}, Stdin: true, Stdout: true}, in: "hello", out: "hello"},
			{name: "exit code", options: corev1.PodExecOptions{Command: []string{"fail"}, Stdout: true, Stderr: true}, out: "out", err: "err", wantError: "command terminated with exit code 7", code: 7},
			{name: "failure", options: corev1.PodExecOptions{Command: []string{"break"}, Stdout: true}, wantError: "error executing command in container: the engine is gone"},
			{name: "terminal", options: corev1.PodExecOptions{Command: []string{"size"}, Stdin: true, Stdout: true, Stderr: true, TTY: true}, in: "x", out: "120x40"},
			{name: "much", options: corev1.PodExecOptions{Command: []string{"big"}, Stdout: true}, out: strings.Repeat("\x00", 1<<20)},
		} {
			t.Run(protocol+"/"+test.name, func(t *testing.T) {
				if protocol == "WebSocket v4" && test.options.Stdin {
					t.Skip("v4 can not end its input")
				}
				exec := must[remotecommand.Executor](t)(executor(h.execURL("p", "exec", &test.options)))
				var out, errOut bytes.Buffer
				o := remotecommand.StreamOptions{Tty: test.options.TTY, Stdout: &out}
				if test.options.Stdin {
					o.Stdin = strings.NewReader(test.in)
				}
				if test.options.Stderr && !test.options.TTY {
					o.Stderr = &errOut
				}
				if test.options.TTY {
					o.TerminalSizeQueue = &oneSize{}
				}
				err := exec.StreamWithContext(context.Background(), o)
				if out.String() != test.out || errOut.String() != test.err {
					t.Errorf("got %.100q and %q", out.String(), errOut.String())
				}
				if text := fmt.Sprint(err); (err != nil || test.wantError != "") && !strings.Contains(text, test.wantError) {
					t.Errorf("error %q, want %q", text, test.wantError)
				}
				var exit utilexec.ExitError
				if errors.As(err, &exit) != (test.code != 0) || test.code != 0 && exit.ExitStatus() != test.code {
					t.Errorf("exit code of %v is not %d", err, test.code)
				}
			})
		}
	}
}

func TestAttach(t *testing.T) {
	fake := newFakePods()
	h := start(t, options{pods: fake})
	h.runningPod("p", "c", "d")
	for protocol, executor := range h.executors() {
		t.Run(protocol, func(t *testing.T) {
			exec := must[remotecommand.Executor](t)(executor(h.execURL("p", "attach", &corev1.PodAttachOptions{Container: "d", Stdout: true})))
			var out bytes.Buffer
			if err := exec.StreamWithContext(context.Background(), remotecommand.StreamOptions{Stdout: &out}); err != nil {
				t.Error(err)
			}
			equal(t, "output", out.String(), "attached")
		})
	}
	equal(t, "calls", strings.Join(fake.calls, ", "), "attach p/d, attach p/d, attach p/d")
}

// TestExecEndsWithItsClient leaves a command that would go on for ever.
func TestExecEndsWithItsClient(t *testing.T) {
	fake := newFakePods()
	h := start(t, options{pods: fake})
	h.runningPod("p", "c")
	for protocol, executor := range h.executors() {
		t.Run(protocol, func(t *testing.T) {
			exec := must[remotecommand.Executor](t)(executor(h.execURL("p", "exec", &corev1.PodExecOptions{Command: []string{"wait"}, Stdout: true})))
			ctx, leave := context.WithCancel(context.Background())
			defer leave()
			// client-go leaves goroutines behind when it is called off before it has set its
			// streams up.
			err := exec.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: writerFunc(leave)})
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			select {
			case got := <-fake.ended:
				equal(t, "the command", got, "exec ended")
			case <-time.After(patience):
				t.Error("the command goes on without its client")
			}
		})
	}
}

// writerFunc is called for whatever is written.
type writerFunc func()

func (f writerFunc) Write(p []byte) (int, error) {
	f()
	return len(p), nil
}

// TestShutdownEndsStreams has the server stop while watches, logs and commands run.
func TestShutdownEndsStreams(t *testing.T) {
	fake := newFakePods()
	h := start(t, options{pods: fake})
	h.runningPod("p", "c")
	var clients sync.WaitGroup
	for _, executor := range h.executors() {
		exec := must[remotecommand.Executor](t)(executor(h.execURL("p", "exec", &corev1.PodExecOptions{Command: []string{"wait"}, Stdout: true})))
		clients.Add(1)
		go func() {
			defer clients.Done()
			err := exec.StreamWithContext(context.Background(), remotecommand.StreamOptions{Stdout: io.Discard})
			if !strings.Contains(fmt.Sprint(err), "the API server is shutting down") {
				t.Errorf("a command that was cut off ended with %v", err)
			}
		}()
	}
	watch, _ := h.open(context.Background(), pods+"?watch=1")
	log, lines := h.open(context.Background(), pods+"/p/log?follow=true")
	if first, err := lines.ReadString('\n'); first != "first\n" || err != nil {
		t.Errorf("the log began with %q, error %v", first, err)
	}
	for range 3 {
		<-fake.began
	}
	began := time.Now()
	h.stop()
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("stopping took %v", took)
	}
	clients.Wait()
	fake.running.Wait()
	var ended []string
	for range 4 {
		ended = append(ended, <-fake.ended)
	}
	equal(t, "commands", strings.Count(strings.Join(ended, " "), "exec ended"), 3)
	for _, answer := range []*http.Response{watch, log} {
		if _, err := io.Copy(io.Discard, answer.Body); err != nil {
			t.Errorf("%s was broken off, not ended: %v", answer.Request.URL.Path, err)
		}
		answer.Body.Close()
	}
}

func TestStreamRefusals(t *testing.T) {
	h := start(t, options{pods: newFakePods()})
	ctx := context.Background()
	h.runningPod("two", "c", "d")
	h.runningPod("one", "c")
	h.runningPod("stopped", "c")
	h.status("stopped", corev1.ContainerStatus{Name: "c", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}})
	must[*corev1.Pod](t)(h.client.CoreV1().Pods("default").Create(ctx, pod("unbound"), metav1.CreateOptions{}))
	upgrade := []string{"Connection: Upgrade", "Upgrade: SPDY/3.1"}
	for _, test := range []struct {
		path    string
		headers []string
		want    string
	}{
		{"/none/exec?command=x&stdout=1", upgrade, `404 NotFound: pods "none" not found`},
		{"/two/exec?command=x&stdout=1", upgrade, "400 BadRequest: a container name must be specified for pod two, choose one of: [c d]"},
		{"/two/exec?command=x&stdout=1&container=e", upgrade, "400 BadRequest: container e is not valid for pod two"},
		{"/unbound/exec?command=x&stdout=1", upgrade, "400 BadRequest: pod unbound does not have a host assigned"},
		{"/unbound/portforward", upgrade, "400 BadRequest: pod unbound does not have a host assigned"},
		{"/one/exec?command=x", upgrade, "400 BadRequest: you must specify at least 1 of stdin, stdout, stderr"},
		{"/one/exec?stdout=1", upgrade, "400 BadRequest: you must specify at least one command for the container"},
		{"/one/exec?command=x&stdout=1", nil, "400 BadRequest: Upgrade request required"},
		{"/one/exec?command=x&stdout=1&dryRun=All", upgrade, "400 BadRequest: dryRun is not supported"},
		{"/one/portforward", nil, "400 BadRequest: Upgrade request required"},
		{"/stopped/attach?stdout=1", upgrade, `500 InternalError: Internal error occurred: unable to upgrade connection: container not found ("c")`},
	} {
		equal(t, test.path, h.doWith(h.http11(), "POST", pods+test.path, strings.NewReader(""), test.headers...).String(), test.want)
	}
}

// http11 is a client that can not speak HTTP/2.
func (h *harness) http11() *http.Client {
	h.t.Helper()
	config := restclient.CopyConfig(h.config)
	config.NextProtos = []string{"http/1.1"}
	c, err := restclient.HTTPClientFor(config)
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

func TestPortForward(t *testing.T) {
	fake := newFakePods()
	h := start(t, options{pods: fake})
	h.runningPod("p", "c")
	u := h.client.CoreV1().RESTClient().Post().Resource("pods").Namespace("default").Name("p").SubResource("portforward").URL()
	transport, upgrader, err := spdy.RoundTripperFor(h.config)
	if err != nil {
		t.Fatal(err)
	}
	direct := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, "POST", u)
	tunnel, err := portforward.NewSPDYOverWebsocketDialer(u, h.config)
	if err != nil {
		t.Fatal(err)
	}
	for name, dialer := range map[string]httpstream.Dialer{"SPDY": direct, "tunnel": tunnel} {
		t.Run(name, func(t *testing.T) {
			ready := make(chan struct{})
			var said bytes.Buffer
			f, err := portforward.NewOnAddresses(dialer, []string{"127.0.0.1"}, []string{"0:80", "0:81"}, nil, ready, io.Discard, &said)
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- f.ForwardPorts() }()
			select {
			case <-ready:
			case err := <-done:
				t.Fatal(err)
			}
			ports := must[[]portforward.ForwardedPort](t)(f.GetPorts())
			for i := range 3 {
				echo(t, ports[0].Local, fmt.Sprint("hello ", i))
			}
			refused(t, ports[1].Local)
			// A refusal makes client-go give the connection up, whatever the server does.
			if err := <-done; !errors.Is(err, portforward.ErrLostConnectionToPod) {
				t.Error(err)
			}
		})
	}
}

func echo(t *testing.T, port uint16, text string) {
	t.Helper()
	conn := must[net.Conn](t)(net.Dial("tcp", fmt.Sprint("127.0.0.1:", port)))
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	equal(t, "echo", string(must[[]byte](t)(io.ReadAll(conn))), text)
}

func refused(t *testing.T, port uint16) {
	t.Helper()
	conn := must[net.Conn](t)(net.Dial("tcp", fmt.Sprint("127.0.0.1:", port)))
	defer conn.Close()
	if raw, err := io.ReadAll(conn); len(raw) > 0 || err != nil {
		t.Errorf("got %q, %v", raw, err)
	}
}

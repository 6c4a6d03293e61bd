package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilexec "k8s.io/utils/exec"

	"skiff/docker"
)

func deleteNow() metav1.DeleteOptions {
	zero := int64(0)
	return metav1.DeleteOptions{GracePeriodSeconds: &zero}
}

func (w *world) print(id string, text ...string) {
	w.Helper()
	for _, line := range text {
		if err := w.engine.Print(id, line); err != nil {
			w.Fatal(err)
		}
		w.pass(time.Second)
	}
}

func (w *world) logs(pod string, o corev1.PodLogOptions) string {
	w.Helper()
	r, err := w.agent.Logs(w.Context(), w.get(pod), "kubia", &o)
	if err != nil {
		return "error: " + err.Error()
	}
	data, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err != nil {
		return "error: " + err.Error()
	}
	return strings.TrimSpace(strings.ReplaceAll(string(data), "\n", "|"))
}

func TestLogs(t *testing.T) {
	inWorld(t, func(w *world) {
		w.pod("kubia", onePod)
		w.print(w.id("kubia", "kubia"), "one")
		w.exit("kubia", "kubia", 1)
		w.print(w.id("kubia", "kubia"), "two", "three")
		n := func(n int64) *int64 { return &n }
		for _, c := range []struct {
			o    corev1.PodLogOptions
			want string
		}{
			{corev1.PodLogOptions{}, "two|three|"},
			{corev1.PodLogOptions{Previous: true}, "one|"},
			{corev1.PodLogOptions{TailLines: n(1)}, "three|"},
			{corev1.PodLogOptions{LimitBytes: n(6)}, "two|th"},
			{corev1.PodLogOptions{SinceSeconds: n(1)}, "three|"},
			{corev1.PodLogOptions{TailLines: n(1), Timestamps: true}, "2000-01-01T00:00:02Z three|"},
		} {
			if got := w.logs("kubia", c.o); got != c.want {
				w.Errorf("%+v: %q, want %q", c.o, got, c.want)
			}
		}
		// In its back-off the container is its own predecessor, as in its status.
		w.exit("kubia", "kubia", 1)
		w.want("kubia", "Running | kubia CrashLoopBackOff restarts=1 last=Error(1)")
		for _, previous := range []bool{true, false} {
			if got := w.logs("kubia", corev1.PodLogOptions{Previous: previous}); got != "two|three|" {
				w.Errorf("previous %v: %q", previous, got)
			}
		}
	})
}

func TestLogsFollowed(t *testing.T) {
	inWorld(t, func(w *world) {
		w.pod("kubia", onePod)
		r, err := w.agent.Logs(w.Context(), w.get("kubia"), "kubia", &corev1.PodLogOptions{Follow: true})
		if err != nil {
			w.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() {
			_, err := io.Copy(io.Discard, r)
			ended <- err
		}()
		w.settle()
		select {
		case err := <-ended:
			w.Errorf("ended early: %v", err)
		default:
		}
		w.exit("kubia", "kubia", 0)
		if err := <-ended; err != nil {
			w.Error(err)
		}
		if err := r.Close(); err != nil {
			w.Error(err)
		}
		// A reader that leaves early leaves nothing behind.
		r, err = w.agent.Logs(w.Context(), w.get("kubia"), "kubia", &corev1.PodLogOptions{Follow: true})
		if err != nil {
			w.Fatal(err)
		}
		w.settle()
		if err := r.Close(); err != nil {
			w.Error(err)
		}
	})
}

func TestLogsMissing(t *testing.T) {
	inWorld(t, func(w *world) {
		w.pod("waits", "containers: [{name: kubia, image: nowhere}]")
		if got, want := w.logs("waits", corev1.PodLogOptions{}), `error: container "kubia" in pod "waits" is waiting to start`; got != want {
			w.Errorf("%s, want %s", got, want)
		}
		w.pod("kubia", onePod)
		if got, want := w.logs("kubia", corev1.PodLogOptions{Previous: true}), `error: previous terminated container "kubia" in pod "kubia" not found`; got != want {
			w.Errorf("%s, want %s", got, want)
		}
	})
}

func TestExec(t *testing.T) {
	inWorld(t, func(w *world) {
		w.engine.Answer(func(_ docker.Container, command []string) (int, string) {
			return len(command) - 1, strings.Join(command, " ")
		})
		w.pod("kubia", onePod)
		var said strings.Builder
		if err := w.agent.Exec(w.Context(), w.get("kubia"), "kubia", []string{"ls"}, docker.Streams{Out: &said}); err != nil || said.String() != "ls" {
			w.Errorf("said %q, %v", said.String(), err)
		}
		err := w.agent.Exec(w.Context(), w.get("kubia"), "kubia", []string{"ls", "-l", "/"}, docker.Streams{})
		var exit utilexec.ExitError
		if !errors.As(err, &exit) || exit.ExitStatus() != 2 {
			w.Errorf("error %v", err)
		}
		if err := w.agent.Exec(w.Context(), w.get("kubia"), "none", []string{"ls"}, docker.Streams{}); fmt.Sprint(err) != `container not found ("none")` {
			w.Errorf("error %v", err)
		}
	})
}

func TestAttach(t *testing.T) {
	inWorld(t, func(w *world) {
		w.pod("kubia", onePod)
		ended := make(chan error, 1)
		go func() { ended <- w.agent.Attach(w.Context(), w.get("kubia"), "kubia", docker.Streams{}) }()
		w.settle()
		w.exit("kubia", "kubia", 0)
		if err := <-ended; err != nil {
			w.Error(err)
		}
	})
}

// TestJoin needs real connections, and so real time.
func TestJoin(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() { // says back what it hears, in full, when it has heard all
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		heard, err := io.ReadAll(conn)
		if err == nil {
			_, _ = fmt.Fprintf(conn, "heard %s", heard)
		}
	}()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	rw := &caller{Reader: strings.NewReader("hello"), said: &strings.Builder{}}
	if err := join(context.Background(), conn.(*net.TCPConn), rw); err != nil {
		t.Fatal(err)
	}
	if got := rw.said.String(); got != "heard hello" {
		t.Errorf("said %q", got)
	}
}

// caller is the API's side of a forwarded port.
type caller struct {
	io.Reader
	said *strings.Builder
}

func (c *caller) Write(p []byte) (int, error) { return c.said.Write(p) }

func (c *caller) Close() error { return nil }

func TestJoinEndsWithItsContext(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := net.Pipe()
	defer theirs.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := join(ctx, conn.(*net.TCPConn), ours); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// A signal ends the container that runs, which is then started again as its pod says.
func TestKillContainer(t *testing.T) {
	inWorld(t, func(w *world) {
		w.pod("kubia", onePod)
		before := w.id("kubia", "kubia")
		if err := w.agent.Kill(w.Context(), w.get("kubia"), "kubia", "SIGKILL"); err != nil {
			w.Fatal(err)
		}
		w.pass(time.Minute)
		if after := w.id("kubia", "kubia"); after == before {
			w.Error("the container goes on")
		}
		if err := w.agent.Kill(w.Context(), w.get("kubia"), "other", "SIGKILL"); err == nil || !strings.Contains(err.Error(), `container not found ("other")`) {
			w.Errorf("a container that is not there: %v", err)
		}
	})
}

// What is missing, and what only a program in the container can reach, is told apart.
func TestCopyErrors(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubia"}}
	for err, want := range map[error]string{
		nil:                   "<nil>",
		docker.ErrNotFound:    `files "/a" not found`,
		docker.ErrInMemory:    "in memory",
		docker.ErrInvalid:     "invalid",
		docker.ErrUnavailable: "copying to /a in container c of pod default/kubia: docker engine unavailable",
	} {
		if got := fmt.Sprint(copyError("copying to", pod, "c", "/a", err)); got != want {
			t.Errorf("%v: %s, want %s", err, got, want)
		}
	}
	inWorld(t, func(w *world) {
		w.pod("kubia", onePod)
		if _, err := w.agent.StatPath(w.Context(), w.get("kubia"), "kubia", "/etc"); !apierrors.IsNotFound(err) {
			w.Errorf("a container in memory has files: %v", err)
		}
		if err := w.agent.CopyTo(w.Context(), w.get("kubia"), "none", "/etc", nil); !apierrors.IsBadRequest(err) {
			w.Errorf("a container that is not there: %v", err)
		}
	})
}

package report

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/cli/client"
	"skiff/cli/diagnosis"
	clilogs "skiff/cli/logs"
)

// mostLog is how much of a container's log is kept: its end.
const mostLog = 256 << 10

// logs reads the logs of all containers while they are there to be read: of a run that was followed by
// another, or whose pod is gone, nobody has one later.
type logs struct {
	client *client.Client

	mu       sync.Mutex
	followed map[string]bool
	of       map[place]*end
	// reading counts the logs that are being read; idle is closed when it comes to nothing.
	reading int
	idle    chan struct{}
}

// place is a container of a pod.
type place struct {
	pod  types.UID
	name string
}

// end is the last part of a text.
type end struct {
	text []byte
	cut  bool
}

func newLogs(c *client.Client) *logs {
	return &logs{client: c, followed: map[string]bool{}, of: map[place]*end{}, idle: make(chan struct{})}
}

// follow begins to read the logs of containers that have started since the last call.
func (l *logs) follow(ctx context.Context, group *errgroup.Group, p *corev1.Pod) {
	for _, s := range diagnosis.Statuses(p) {
		if s.ContainerID == "" || s.State.Waiting != nil {
			continue
		}
		if !l.begin(s.ContainerID) {
			continue
		}
		source := clilogs.Source{Namespace: p.Namespace, Pod: p.Name, Container: s.Name}
		at, id, restarts := place{p.UID, s.Name}, s.ContainerID, s.RestartCount
		group.Go(func() error {
			l.finish(id, l.read(ctx, source, at, restarts))
			return nil
		})
	}
}

// begin reports whether a container's log is to be read, and not read already.
func (l *logs) begin(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.followed[id] {
		return false
	}
	l.followed[id] = true
	l.reading++
	return true
}

// finish takes down the end of a log. One that could not be opened may be tried again.
func (l *logs) finish(id string, opened bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.followed[id] = opened
	if l.reading--; l.reading == 0 {
		close(l.idle)
		l.idle = make(chan struct{})
	}
}

// quiet returns a channel that is closed once no log is being read; a nil one if none is.
func (l *logs) quiet() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reading == 0 {
		return nil
	}
	return l.idle
}

// read copies one run's log, and reports whether it could be opened: its container may be gone already.
func (l *logs) read(ctx context.Context, s clilogs.Source, at place, restarts int32) (opened bool) {
	body, err := clilogs.Open(ctx, l.client, s, corev1.PodLogOptions{Follow: true})
	if err != nil {
		return false
	}
	defer body.Close()
	if restarts > 0 {
		l.append(at, fmt.Appendf(nil, "--- restart %d ---\n", restarts))
	}
	buffer := make([]byte, 32<<10)
	for {
		n, err := body.Read(buffer)
		l.append(at, buffer[:n])
		if err != nil {
			return true // io.EOF, or ctx has ended: what there is is kept
		}
	}
}

func (l *logs) append(at place, text []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.of[at]
	if e == nil {
		e = &end{}
		l.of[at] = e
	}
	if e.text = append(e.text, text...); len(e.text) > mostLog {
		e.text, e.cut = slices.Clone(e.text[len(e.text)-mostLog:]), true
	}
}

// complete adds what a log has beyond what is kept of it.
func (l *logs) complete(ctx context.Context, s clilogs.Source, at place) {
	body, err := clilogs.Open(ctx, l.client, s, corev1.PodLogOptions{})
	if err != nil {
		return
	}
	defer body.Close()
	whole, err := io.ReadAll(io.LimitReader(body, mostLog))
	if err != nil {
		return
	}
	kept, cut := l.text(at.pod, at.name)
	if rest, ok := strings.CutPrefix(string(whole), kept); ok && !cut {
		l.append(at, []byte(rest))
	}
}

// text is what is kept of a container's log.
func (l *logs) text(pod types.UID, name string) (string, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.of[place{pod, name}]
	if e == nil {
		return "", false
	}
	return strings.ToValidUTF8(string(e.text), "\uFFFD"), e.cut
}

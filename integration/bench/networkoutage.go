package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/docker/docker/api/types/container"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/integration/bench/netload/report"
)

// away is how long the daemon stays away.
const away = 3 * time.Second

// networkOutage measures what pods notice when the router is removed, and when the daemon is killed.
func networkOutage(ctx context.Context, b *bench) (rows []row, err error) {
	d, err := b.start("outage")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.reset(context.WithoutCancel(ctx))) }()
	l, err := b.newLab(ctx, d, "server")
	if err != nil {
		return nil, err
	}
	s, err := l.service(ctx, "server", "server", corev1.ServiceTypeClusterIP)
	if err != nil {
		return nil, err
	}
	var outages, pauses []time.Duration
	lost := 0
	for range 2 * b.rounds {
		outage, established, err := l.removeRouter(ctx, s.Spec.ClusterIP)
		if err != nil {
			return nil, err
		}
		outages, pauses, lost = append(outages, outage), append(pauses, established.Max), lost+established.Failed
	}
	rows = append(rows,
		atMost("router removed: until a new connection works", median(outages), 1500, "ms"),
		atMost("  round trips that failed on an established one", float64(lost), 0, ""),
		info("  the longest of them", median(pauses), "ms"))
	more, err := l.killDaemon(ctx, s.Spec.ClusterIP, func() error {
		d, err = b.start("outage")
		l.d = d
		return err
	})
	return append(rows, more...), err
}

// removeRouter removes the router while the client makes connections and holds one. It returns for
// how long no new one worked, from the start of the first attempt that failed, and what the held one
// went through.
func (l *lab) removeRouter(ctx context.Context, service string) (outage time.Duration, held report.Report, err error) {
	hold, err := l.begin(ctx, l.client, "echo", "-to", at(service, echoPort), "-pause", "10ms", "-timeout", "30s")
	if err != nil {
		return 0, held, err
	}
	watch, err := l.begin(ctx, l.client, "watch-http", "-to", at(service, httpPort), "-timeout", "300ms")
	if err != nil {
		return 0, held, err
	}
	if err := wait(ctx, settle); err != nil {
		return 0, held, err
	}
	began := time.Now()
	if _, err := l.replaceRouter(ctx); err != nil {
		return 0, held, err
	}
	if err := wait(ctx, 2*time.Second); err != nil { // an established connection sends again by and by
		return 0, held, err
	}
	seen, err := watch.stop(ctx)
	if err != nil {
		return 0, held, err
	}
	if held, err = hold.stop(ctx); err != nil {
		return 0, held, err
	}
	complain("established connection", held)
	outage, err = outageIn(seen.Attempts, began)
	return outage, held, err
}

// outageIn is the time from the start of the first attempt that failed to the end of the first that
// worked among those that began after the last failure.
func outageIn(attempts []report.Attempt, after time.Time) (time.Duration, error) {
	var down, last time.Time
	for _, a := range attempts {
		if a.Error != "" && a.Began.After(after) {
			if down.IsZero() {
				down = a.Began
			}
			last = a.Began
		}
	}
	if down.IsZero() {
		return 0, errors.New("no attempt failed")
	}
	for _, a := range attempts {
		if a.Began.After(last) && a.Error == "" {
			return a.Ended.Sub(down), nil
		}
	}
	return 0, errors.New("no attempt worked again")
}

const routerLabel = "skiff/router"

// replaceRouter removes the router as docker rm -f does, and waits until another runs, whose start it
// returns.
func (l *lab) replaceRouter(ctx context.Context) (started time.Time, err error) {
	old, err := l.containerIn(ctx, l.d, routerLabel)
	if err != nil {
		return started, err
	}
	if err := l.engine.ContainerRemove(ctx, old, container.RemoveOptions{Force: true}); err != nil {
		return started, err
	}
	var id string
	if err := poll(ctx, 20*time.Second, "another router runs", func() (bool, error) {
		id, err = l.containerIn(ctx, l.d, routerLabel)
		return err == nil, nil
	}); err != nil {
		return started, fmt.Errorf("%w\nthe daemon's log ends:\n%s", err, l.d.logEnd())
	}
	found, err := l.engine.ContainerInspect(ctx, id)
	if err != nil {
		return started, err
	}
	return time.Parse(time.RFC3339Nano, found.State.StartedAt)
}

// killDaemon kills the daemon while the client asks a service, the name server and the API, and has
// it come again after a while.
func (l *lab) killDaemon(ctx context.Context, service string, again func() error) ([]row, error) {
	api, err := l.kube.CoreV1().Services(namespace).Get(ctx, "kubernetes", metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	loads := map[string][]string{
		"keep-alive": {"http", "-keepalive", "-to", at(service, httpPort), "-workers", "4", "-pause", "5ms"},
		"single":     {"http", "-to", at(service, httpPort), "-workers", "4", "-pause", "5ms"},
		"DNS":        {"dns", "-name", "server.default.svc.cluster.local", "-workers", "4", "-pause", "5ms", "-timeout", "2s"},
		"API":        {"watch-https", "-to", at(api.Spec.ClusterIP, 443), "-every", "100ms", "-timeout", "1s"},
	}
	running := map[string]*loading{}
	for name, args := range loads {
		if running[name], err = l.begin(ctx, l.client, args...); err != nil {
			return nil, err
		}
	}
	if err := wait(ctx, settle); err != nil {
		return nil, err
	}
	if err := l.d.cmd.Process.Kill(); err != nil {
		return nil, err
	}
	_ = l.d.cmd.Wait() // it was killed
	killed := time.Now()
	if err := wait(ctx, away); err != nil {
		return nil, err
	}
	if err := again(); err != nil {
		return nil, err
	}
	if err := wait(ctx, away); err != nil {
		return nil, err
	}
	failed, done := map[string]float64{}, 0
	var answered time.Duration
	for name, r := range running {
		out, err := r.stop(ctx)
		if err != nil {
			return nil, fmt.Errorf("load %s: %w", name, err)
		}
		if name == "API" {
			first, err := firstAnswer(out.Attempts, killed.Add(away/2), "")
			if err != nil {
				return nil, fmt.Errorf("the API from a pod: %w", err)
			}
			answered = max(0, first.Sub(l.d.ready))
			continue
		}
		complain(name+", daemon killed", out)
		failed[name], done = float64(out.Failed), done+out.Done
	}
	exec, err := l.execTime(ctx)
	if err != nil {
		return nil, err
	}
	answers := atMost("  the new daemon's readiness to its API answering a pod, beside one docker exec", ms(answered), 150, "ms")
	answers.Raw = ms(exec)
	return []row{
		atMost("daemon killed: failed requests, keep-alive", failed["keep-alive"], 0, ""),
		atMost("  failed requests, a connection each", failed["single"], 0, ""),
		atMost("  failed DNS queries", failed["DNS"], 0, ""),
		info("  of all", float64(done), ""),
		answers,
	}, nil
}

// execTime is how long the engine takes to run a program in a container, which is the only way in
// which a daemon reaches its router.
func (l *lab) execTime(ctx context.Context) (time.Duration, error) {
	var took []time.Duration
	for range l.rounds {
		began := time.Now()
		if _, err := l.run(ctx, "dns", "-name", "kubernetes.default.svc.cluster.local", "-for", "1ms"); err != nil {
			return 0, err
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}

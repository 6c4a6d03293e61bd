package main

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/integration/bench/netload/report"
)

// askers is how many of the client's sockets ask at a time.
const askers = "8"

// networkDNS measures what a pod gets of its resolver: how soon and how often it is answered, and
// how soon a new service's name has an address.
func networkDNS(ctx context.Context, b *bench) (rows []row, err error) {
	l, err := b.newLab(ctx, b.main, "server")
	if err != nil {
		return nil, err
	}
	defer func() { err = joinClose(ctx, err, l) }()
	if _, err := l.service(ctx, "server", "server", corev1.ServiceTypeClusterIP); err != nil {
		return nil, err
	}
	name := "server.default.svc.cluster.local"
	load := func(workers string, value func(report.Report) float64) func() (float64, error) {
		return func() (float64, error) {
			r, err := l.run(ctx, "dns", "-name", name, "-for", loadTime.String(), "-workers", workers)
			if err == nil && r.Failed > 0 {
				complain("DNS", r)
				err = fmt.Errorf("%d queries for %s failed", r.Failed, name)
			}
			return value(r), err
		}
	}
	alone, rate, err := inTurn(b.rounds, load("1", p50), load(askers, perSecond))
	if err != nil {
		return nil, err
	}
	fresh, err := l.freshNames(ctx, 2*b.rounds)
	if err != nil {
		return nil, err
	}
	return []row{
		atMost("DNS: a service's name from a pod, p50", middle(alone), 250, "µs"),
		atLeast("DNS: queries, "+askers+" at a time", middle(rate), 4000, "1/s"),
		atMost("DNS: service created to its name resolved", median(fresh), 50, "ms"),
	}, nil
}

// freshNames makes services whose names the client asks for already, one after another.
func (l *lab) freshNames(ctx context.Context, count int) (took []time.Duration, err error) {
	for i := range count {
		name := fmt.Sprintf("fresh-%d", i)
		w, err := l.begin(ctx, l.client, "watch-dns", "-name", name+".default.svc.cluster.local", "-every", "2ms", "-timeout", "1s")
		if err != nil {
			return nil, err
		}
		if err := wait(ctx, settle); err != nil {
			return nil, err
		}
		began := time.Now()
		s, err := l.service(ctx, name, "", corev1.ServiceTypeClusterIP)
		if err != nil {
			return nil, err
		}
		if err := wait(ctx, settle); err != nil {
			return nil, err
		}
		r, err := w.stop(ctx)
		if err != nil {
			return nil, err
		}
		seen, err := firstAnswer(r.Attempts, began, s.Spec.ClusterIP)
		if err != nil {
			return nil, fmt.Errorf("name of service %s: %w", name, err)
		}
		took = append(took, seen.Sub(began))
	}
	return took, nil
}

// settle is how long a watch is let run before and after what it is to see.
const settle = 500 * time.Millisecond

// firstAnswer is when an attempt that ended after a time first brought a text, any if it is empty.
func firstAnswer(attempts []report.Attempt, after time.Time, text string) (first time.Time, err error) {
	why := "there was no attempt"
	for _, a := range attempts {
		if a.Ended.Before(after) {
			continue
		}
		if a.Error != "" || text != "" && a.Text != text {
			why = a.Error + a.Text
			continue
		}
		if first.IsZero() || a.Ended.Before(first) {
			first = a.Ended
		}
	}
	if first.IsZero() {
		return first, fmt.Errorf("never saw %q, but %q", text, why)
	}
	return first, nil
}

package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/integration/bench/netload/report"
)

// A load lasts so long. Machines are seldom quiet for longer, so many short turns tell more than few
// long ones.
const loadTime = time.Second

// turns is how often each of two things is measured, for each round.
const turns = 2

// networkService measures a service beside the pod's own address: throughput, new connections, and
// the way of a few bytes there and back.
func networkService(ctx context.Context, b *bench) (rows []row, err error) {
	l, err := b.newLab(ctx, b.main, "server")
	if err != nil {
		return nil, err
	}
	defer func() { err = joinClose(ctx, err, l) }()
	s, err := l.service(ctx, "server", "server", corev1.ServiceTypeClusterIP)
	if err != nil {
		return nil, err
	}
	pod, service := l.ip("server"), s.Spec.ClusterIP
	for _, m := range []struct {
		name, load string
		port       int
		parallel   []int
		value      func(report.Report) float64
		row        func(ours, direct float64) row
	}{
		{"pod to pod by a service", "throughput", sinkPort, []int{1, 2, 4}, gbit,
			func(ours, direct float64) row {
				return reaching("service beside the pod's address: throughput", ours, direct, 0.85, "Gbit/s")
			}},
		{"new connections", "connections", greetPort, []int{2, 4, 8, 16}, perSecond,
			func(ours, direct float64) row {
				return reaching("service beside the pod's address: new connections", ours, direct, 0.75, "1/s")
			}},
		{"a few bytes there and back", "echo", echoPort, []int{1}, p50,
			func(ours, direct float64) row {
				return beyond("service beside the pod's address: echo p50", ours, direct, 8, "µs")
			}},
	} {
		load := func(host string, parallel int) func() (float64, error) {
			return func() (float64, error) {
				r, err := l.run(ctx, m.load, "-to", at(host, m.port), "-for", loadTime.String(), "-workers", strconv.Itoa(parallel))
				return m.value(r), err
			}
		}
		parallel, err := bestOf(m.parallel, func(n int) (float64, error) { return load(pod, n)() })
		if err != nil {
			return nil, err
		}
		direct, ours, err := inTurn(b.rounds, load(pod, parallel), load(service, parallel))
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(os.Stderr, "  %s, %d at a time: %.4g beside %.4g\n", m.name, parallel, ours, direct)
		rows = append(rows, m.row(middle(ours), middle(direct)))
	}
	return rows, nil
}

func gbit(r report.Report) float64      { return r.Gbit }
func perSecond(r report.Report) float64 { return r.PerSecond }
func p50(r report.Report) float64       { return float64(r.P50.Nanoseconds()) / 1000 }

// bestOf finds the way in which what skiff is compared with is at its best, as the sweep does for
// the engine. Where there is but one it is not tried.
func bestOf(ways []int, try func(int) (float64, error)) (best int, err error) {
	if len(ways) == 1 {
		return ways[0], nil
	}
	highest := 0.0
	for _, w := range ways {
		v, err := try(w)
		if err != nil {
			return 0, err
		}
		if v > highest {
			best, highest = w, v
		}
	}
	return best, nil
}

// inTurn measures two things in turn, so that whatever else the machine does hits them alike.
func inTurn(rounds int, a, b func() (float64, error)) (as, bs []float64, err error) {
	for range turns * rounds {
		v, err := a()
		if err != nil {
			return nil, nil, err
		}
		w, err := b()
		if err != nil {
			return nil, nil, err
		}
		as, bs = append(as, v), append(bs, w)
	}
	return as, bs, nil
}

// joinClose closes a lab that is done with.
func joinClose(ctx context.Context, err error, l *lab) error {
	if closed := l.close(context.WithoutCancel(ctx)); err == nil {
		return closed
	}
	return err
}

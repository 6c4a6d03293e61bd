package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"skiff/integration/bench/netload/report"
)

// warmUp is how long a stream may find its pace before its bytes count.
const warmUp = 200 * time.Millisecond

// throughput sends, or has the server send, over as many connections as there are workers.
func throughput(ctx context.Context, l load) (report.Report, error) {
	var total atomic.Int64
	var group sync.WaitGroup
	var open []net.Conn
	defer func() {
		for _, c := range open {
			_ = c.Close()
		}
		group.Wait()
	}()
	for range l.workers {
		c, err := net.DialTimeout("tcp", l.to, l.timeout)
		if err != nil {
			return report.Report{}, err
		}
		open = append(open, c)
		step := c.Write
		if l.down {
			step = c.Read
		}
		group.Go(func() {
			for buf := make([]byte, chunk); ; {
				n, err := step(buf)
				total.Add(int64(n))
				if err != nil {
					return
				}
			}
		})
	}
	<-time.After(warmUp)
	before, began := total.Load(), time.Now()
	<-ctx.Done()
	moved := total.Load() - before
	if moved == 0 {
		return report.Report{}, fmt.Errorf("nothing came through to %s", l.to)
	}
	return report.Report{Gbit: float64(moved) * 8 / 1e9 / time.Since(began).Seconds()}, nil
}

// connections opens one connection after another; each counts when the server has said something and
// closed it.
func connections(ctx context.Context, l load) (report.Report, error) {
	return work(ctx, l, func() (worker, error) {
		return worker{do: func() error {
			c, err := net.DialTimeout("tcp", l.to, l.timeout)
			if err != nil {
				return err
			}
			defer c.Close()
			if err := c.SetDeadline(time.Now().Add(l.timeout)); err != nil {
				return err
			}
			said, err := io.ReadAll(c)
			if err == nil && len(said) != 1 {
				err = fmt.Errorf("%d bytes came, want 1", len(said))
			}
			return err
		}}, nil
	})
}

// echoSize is about that of a small request.
const echoSize = 64

// echo sends a few bytes and waits for them to come back, over a connection for each worker. A
// connection that is lost is not made again.
func echo(ctx context.Context, l load) (report.Report, error) {
	return work(ctx, l, func() (worker, error) {
		c, err := net.DialTimeout("tcp", l.to, l.timeout)
		if err != nil {
			return worker{}, err
		}
		buf := make([]byte, echoSize)
		return worker{close: func() { _ = c.Close() }, do: func() error {
			if err := c.SetDeadline(time.Now().Add(l.timeout)); err != nil {
				return err
			}
			if _, err := c.Write(buf); err != nil {
				return err
			}
			_, err := io.ReadFull(c, buf)
			return err
		}}, nil
	})
}

// Command netload is both ends of the network's load: a server that runs in pods, and clients that
// measure. A client prints a report as JSON. It is linked statically and needs nothing beside it, so
// that it runs in an image FROM scratch.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"skiff/integration/bench/netload/report"
)

// load is how a client loads the network.
type load struct {
	to      string        // host:port
	lasting time.Duration // 0: until the standard input ends
	workers int
	pause   time.Duration // between two requests of a worker
	timeout time.Duration // of one request
	down    bool          // the server sends
	keep    bool          // a connection serves many requests
	every   time.Duration // between two attempts of a watch
	name    string        // that is asked for
}

var clients = map[string]func(context.Context, load) (report.Report, error){
	"throughput":  throughput,
	"connections": connections,
	"echo":        echo,
	"http":        requests,
	"dns":         queries,
	"watch-http":  watchHTTP,
	"watch-https": watchHTTPS,
	"watch-dns":   watchDNS,
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "netload:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("say what: serve, or a kind of load")
	}
	if args[0] == "serve" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
		defer stop()
		return serve(ctx)
	}
	client, ok := clients[args[0]]
	if !ok {
		return fmt.Errorf("%s is no kind of load", args[0])
	}
	var l load
	f := flag.NewFlagSet(args[0], flag.ExitOnError)
	f.StringVar(&l.to, "to", "", "`HOST:PORT` of the other end; DNS: of the pod's resolver unless set")
	f.DurationVar(&l.lasting, "for", 0, "how long; until the standard input ends unless set")
	f.IntVar(&l.workers, "workers", 1, "how many at a time")
	f.DurationVar(&l.pause, "pause", 0, "between two requests of a worker")
	f.DurationVar(&l.timeout, "timeout", 5*time.Second, "of one request")
	f.BoolVar(&l.down, "down", false, "have the server send")
	f.BoolVar(&l.keep, "keepalive", false, "many requests over one connection")
	f.DurationVar(&l.every, "every", 5*time.Millisecond, "between two attempts of a watch")
	f.StringVar(&l.name, "name", "", "a name to ask for, or the Host of requests")
	if err := f.Parse(args[1:]); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if l.lasting > 0 {
		ctx, cancel = context.WithTimeout(ctx, l.lasting)
		defer cancel()
	} else {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			cancel()
		}()
	}
	r, err := client(ctx, l)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// Command app is kubia, the little server of the tutorial: it says which pod was hit, and with
// -unhealthy-after=5 it answers 500 from the sixth request on, until somebody restarts it. With
// -batch it is the tutorial's batch job instead: it says that it starts, waits, and says that it is
// done.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	listen := flag.String("listen", ":8080", "address to serve on")
	limit := flag.Int64("unhealthy-after", 0, "answer 500 after so many requests; 0 is never")
	batch := flag.Duration("batch", 0, "run as a batch job for so long instead of serving")
	diary := flag.String("diary", "", "`file` in which to write down each start, and to read from how many there were")
	flag.Parse()
	var err error
	if *diary != "" {
		err = writeDown(os.Stdout, *diary)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "kubia:", err)
		os.Exit(1)
	}
	if *batch > 0 {
		err = runBatch(os.Stdout, *batch)
	} else {
		err = serve(*listen, *limit)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "kubia:", err)
		os.Exit(1)
	}
}

// writeDown adds a line to a file that outlives the pod, and says how many there are now.
func writeDown(out io.Writer, path string) error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	before, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	after := append(before, host+"\n"...)
	fmt.Fprintf(out, "start %d of %s\n", bytes.Count(after, []byte("\n")), host)
	return os.WriteFile(path, after, 0o644)
}

// serve never ends by SIGTERM, just as the tutorial's node process, being process 1, does not: that
// is why the tutorial shows exit code 137.
func serve(listen string, limit int64) error {
	signal.Ignore(syscall.SIGTERM)
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	fmt.Println("kubia server is starting...")
	return http.Serve(l, handler(os.Stdout, host, limit))
}

func handler(log io.Writer, host string, limit int64) http.Handler {
	var requests atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, _, err := net.SplitHostPort(r.RemoteAddr)
		if err != nil {
			from = r.RemoteAddr
		}
		fmt.Fprintln(log, "Received request from", from)
		if n := requests.Add(1); limit > 0 && n > limit {
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprint(w, "I'm not well. Please restart me!")
			return
		}
		fmt.Fprintf(w, "You've hit %s\n", host)
	})
}

// runBatch prints the tutorial's two lines, with date's format, a while apart.
func runBatch(out io.Writer, d time.Duration) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	fmt.Fprintln(out, time.Now().Format(time.UnixDate), "Batch job starting")
	<-ctx.Done()
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return errors.New("told to stop before the job was done")
	}
	fmt.Fprintln(out, time.Now().Format(time.UnixDate), "Finished succesfully")
	return nil
}

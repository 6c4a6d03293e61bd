// Command app is all of the shop: `app web` is the page, `app api` what the page is made from, `app
// store` keeps it, `app migrate` fills the store, and `app get URL` asks for something from within a
// pod. The parts know one another by the names of their Services alone.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// Where the parts listen, and where they look for one another unless told otherwise.
const (
	webListen   = ":8080"
	apiListen   = ":8080"
	storeListen = ":7000"

	apiURL   = "http://api"
	storeURL = "http://store:7000"
	dataDir  = "/data"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("say which part this is: web, api, store, migrate or get")
	}
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	store := client{cmp.Or(os.Getenv("STORE_URL"), storeURL)}
	switch args[0] {
	case "web":
		return serve(ctx, webListen, web{host: host, api: client{cmp.Or(os.Getenv("API_URL"), apiURL)}}.handler())
	case "api":
		return serve(ctx, apiListen, api{host: host, store: store}.handler())
	case "store":
		s, err := openStore(cmp.Or(os.Getenv("DATA_DIR"), dataDir))
		if err != nil {
			return err
		}
		return serve(ctx, storeListen, s.handler())
	case "migrate":
		return migrate(ctx, os.Stdout, store)
	case "get":
		if len(args) != 2 {
			return errors.New("get wants one URL")
		}
		return get(ctx, os.Stdout, args[1])
	}
	return fmt.Errorf("there is no part %q", args[0])
}

// grace is how long requests may take that are under way when the part is told to end.
const grace = 5 * time.Second

// serve answers until ctx ends, and then until the requests that are under way are answered.
func serve(ctx context.Context, listen string, h http.Handler) error {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- s.Serve(l) }()
	fmt.Println("listening on", l.Addr())
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	fmt.Println("told to end")
	err = s.Shutdown(ending)
	if served := <-failed; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// well is the liveness of every part: it answers.
func well(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "well") }

// get prints what a URL answers.
func get(ctx context.Context, out io.Writer, url string) error {
	body, err := client{}.do(ctx, http.MethodGet, url, "")
	if err == nil {
		_, err = fmt.Fprintln(out, strings.TrimRight(string(body), "\n"))
	}
	return err
}

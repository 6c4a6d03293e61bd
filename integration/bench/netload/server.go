package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"
)

// Ports of the server.
const (
	sinkPort   = 5001 // reads all
	sourcePort = 5002 // writes for ever
	echoPort   = 5003
	greetPort  = 5004 // says one byte and closes
	httpPort   = 8080
)

// chunk is how much is read or written at a time.
const chunk = 256 << 10

// lameDuck is how long a server that is to end goes on serving, and closes each connection with the
// answer on it: a client that keeps connections then never finds one closed under its request.
const lameDuck = 500 * time.Millisecond

// serve serves until ctx ends, and a while longer.
func serve(ctx context.Context) error {
	for port, handle := range map[int]func(net.Conn) error{
		sinkPort: sink, sourcePort: source, echoPort: back, greetPort: greet,
	} {
		l, err := net.Listen("tcp", ":"+strconv.Itoa(port))
		if err != nil {
			return err
		}
		defer l.Close()
		go accept(l, handle)
	}
	return serveHTTP(ctx)
}

func accept(l net.Listener, handle func(net.Conn) error) {
	for {
		c, err := l.Accept()
		if err != nil {
			return // the program ends
		}
		go func() {
			defer c.Close()
			_ = handle(c) // a client that has enough closes its end
		}()
	}
}

func sink(c net.Conn) error {
	for buf := make([]byte, chunk); ; {
		if _, err := c.Read(buf); err != nil {
			return err
		}
	}
}

func source(c net.Conn) error {
	for buf := make([]byte, chunk); ; {
		if _, err := c.Write(buf); err != nil {
			return err
		}
	}
}

func back(c net.Conn) error {
	buf := make([]byte, 4<<10)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return err
		}
		if _, err := c.Write(buf[:n]); err != nil {
			return err
		}
	}
}

// greet closes first, so that it is the server's port that has to wait, of which there are many: a
// client would soon be out of ports.
func greet(c net.Conn) error {
	_, err := c.Write([]byte{'!'})
	return err
}

// serveHTTP answers every request with the host's name.
func serveHTTP(ctx context.Context) error {
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	var ending atomic.Bool
	s := http.Server{Addr: ":" + strconv.Itoa(httpPort), Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if ending.Load() {
			w.Header().Set("Connection", "close")
		}
		_, _ = io.WriteString(w, name)
	})}
	done := make(chan error, 1)
	go func() {
		<-ctx.Done()
		ending.Store(true)
		<-time.After(lameDuck)
		done <- s.Shutdown(context.WithoutCancel(ctx))
	}()
	if err := s.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving HTTP: %w", err)
	}
	return <-done
}

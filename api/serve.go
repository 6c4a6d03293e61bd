package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// headerTimeout is how long a client has for sending a request's header.
	headerTimeout = 32 * time.Second
	// idleTimeout is how long a connection without a request is kept.
	idleTimeout = 3 * time.Minute
	// lingering is how long connections stay open after the last request.
	lingering = 50 * time.Millisecond
	// streamsPerConnection is how many requests one HTTP/2 connection may carry at a time. A client
	// has one connection, and a watch for every kind it cares for.
	streamsPerConnection = 1000
)

// Serve answers requests on the listeners until ctx ends; then it ends watches, logs and streams,
// lets other requests under way finish within the grace, and returns. Without a TLS configuration
// it speaks plain HTTP, which is for tests. Serve can be called once.
func (s *Server) Serve(ctx context.Context, config *tls.Config, listeners ...net.Listener) error {
	stopping, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	base := context.WithValue(context.WithoutCancel(ctx), stoppingKey{}, stopping)
	server := &http.Server{
		Handler:           s,
		BaseContext:       func(net.Listener) context.Context { return base },
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: streamsPerConnection},
		ErrorLog:          slog.NewLogLogger(s.options.Logger.Handler(), slog.LevelDebug),
	}
	if config != nil {
		config = config.Clone()
		config.NextProtos = []string{"h2", "http/1.1"}
		server.TLSConfig = config
	}
	g, serving := errgroup.WithContext(ctx)
	serve := server.Serve
	if config != nil {
		serve = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
	}
	for _, listener := range listeners {
		g.Go(func() error {
			if err := serve(listener); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serving the API on %s: %w", listener.Addr(), err)
			}
			return nil
		})
	}
	g.Go(func() error {
		<-serving.Done()
		s.down.Store(true)
		stop()
		return s.shutDown(base, server)
	})
	return g.Wait()
}

// shutDown takes no more requests, waits for those under way, for as long as the grace, and closes
// all connections. (The whole of http.Server.Shutdown would wait a second for each HTTP/2 client to
// take its leave.)
func (s *Server) shutDown(ctx context.Context, server *http.Server) error {
	noWait, cancel := context.WithCancel(ctx)
	cancel()
	if err := server.Shutdown(noWait); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("stopping the API: %w", err)
	}
	drained := s.underWay.drain()
	grace, cancel := context.WithTimeout(ctx, s.options.ShutdownGrace)
	defer cancel()
	select {
	case <-drained:
		linger(ctx)
	case <-grace.Done():
		s.options.Logger.Warn("requests did not end in time, closing their connections", "grace", s.options.ShutdownGrace)
	}
	if err := server.Close(); err != nil {
		return fmt.Errorf("stopping the API: %w", err)
	}
	<-drained
	return nil
}

// linger gives the last answers time to be sent.
func linger(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lingering)
	defer cancel()
	<-ctx.Done()
}

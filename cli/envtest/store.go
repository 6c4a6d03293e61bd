package envtest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"skiff/cli/command"
	"skiff/cli/daemon"
	"skiff/daemon/config"
	"skiff/daemon/datadir"
)

// directoryPath is where the store's stand-in says in which directory the API's is to keep its state.
const directoryPath = "/skiff/data-dir"

// cleaning is how long the removal of what a test environment has left may take; envtest waits 20 s.
const cleaning = 15 * time.Second

// newStore returns what stands in for etcd. skiff stores in its own data directory: all that is left to
// do is to answer health checks, to name that directory, and to remove everything in the end.
func newStore(flags *flag.FlagSet, env *command.Env, server daemon.Server) func(context.Context) error {
	client := flags.String("listen-client-urls", "", "`URL` at which to listen")
	dir := flags.String("data-dir", "", "`DIRECTORY` of the state")
	without(flags, map[string]string{
		"advertise-client-urls": "there is one client", "listen-peer-urls": "there are no peers",
	})
	flags.Bool("unsafe-no-fsync", false, "has no effect: writes share their fsync")
	return func(ctx context.Context) error {
		at, err := url.Parse(*client)
		if err != nil || at.Scheme != "http" || at.Host == "" {
			return fmt.Errorf("--listen-client-urls has to be the one http URL at which to listen, not %q", *client)
		}
		if *dir == "" {
			return errors.New("--data-dir has to name a directory")
		}
		root, err := filepath.Abs(*dir)
		if err != nil {
			return fmt.Errorf("finding %s: %w", *dir, err)
		}
		data := datadir.Dir(filepath.Join(root, "skiff"))
		served := serveStore(ctx, at.Host, data)
		return errors.Join(served, clean(context.WithoutCancel(ctx), data, env, server))
	}
}

func serveStore(ctx context.Context, address string, data datadir.Dir) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listening for clients: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"health":"true"}`) })
	mux.HandleFunc("GET "+directoryPath, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, string(data)) })
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("answering clients: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		return server.Close()
	})
	return group.Wait()
}

// clean removes what the API's stand-in has left, on the engine above all. Its process has ended by then,
// or is asked to.
func clean(ctx context.Context, data datadir.Dir, env *command.Env, server daemon.Server) error {
	if !data.IsInstance() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, cleaning)
	defer cancel()
	if _, err := daemon.Stop(ctx, data); err != nil {
		return err
	}
	engine, err := os.ReadFile(engineFile(data))
	if err != nil {
		return fmt.Errorf("reading which engine pods have run on: %w", err)
	}
	_, err = server.Reset(ctx, config.Config{Dir: data, EngineHost: string(engine)}, true, slog.New(slog.NewTextHandler(env.Err, nil)))
	return errors.Join(err, os.Remove(engineFile(data)))
}

// engineFile, beside the data directory, says which engine its pods run on.
func engineFile(data datadir.Dir) string { return string(data) + ".engine" }

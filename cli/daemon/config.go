// Package daemon is skiff's one long-lived process: it wires store, API, controllers and node agent together, and starts,
// stops and finds the process that runs them. It is the only part of the command line that knows the server's packages.
package daemon

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// DefaultListen is the address of the API unless --listen or SKIFF_LISTEN names another.
const DefaultListen = "127.0.0.1:7443"

// Config says where a daemon keeps its state and how it is reached. Each data directory is one instance of skiff:
// several run side by side on one engine without touching each other's containers.
type Config struct {
	// DataDir holds everything that outlives the process: database, credentials, volumes and the log.
	DataDir string
	// Listen is host:port of the API; port 0 picks a free one.
	Listen string
	// NodeName is the name of the node; empty means the one it had before, or, the first time, the host's.
	NodeName string
	// EngineHost is the engine's address; empty means DOCKER_HOST, then the current Docker context.
	EngineHost string
	// StartLimit and the periods of the back-off are 0 for their defaults.
	StartLimit               int
	CrashBackoff, MaxBackoff time.Duration
	LogLevel                 slog.Level
	LogJSON                  bool
	DefaultTolerationSeconds int64
	// NodeGracePeriod is 0 and NodeEvictionRate (nodes a second) nil for their defaults, upstream's.
	NodeGracePeriod  time.Duration
	NodeEvictionRate *float64
}

// DefaultDataDir is the directory that SKIFF_DATA_DIR names or, without it, skiff's place in the XDG state home.
func DefaultDataDir() (string, error) {
	if dir := os.Getenv("SKIFF_DATA_DIR"); dir != "" {
		return filepath.Abs(dir)
	}
	if state := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, "skiff"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("finding a place for skiff's state (name one with --data-dir or SKIFF_DATA_DIR): %w", err)
	}
	return filepath.Join(home, ".local", "state", "skiff"), nil
}

// The files of a data directory.
func (c Config) database() string    { return filepath.Join(c.DataDir, "skiff.db") }
func (c Config) kubeconfig() string  { return filepath.Join(c.DataDir, "kubeconfig") }
func (c Config) credentials() string { return filepath.Join(c.DataDir, "credentials") }
func (c Config) volumes() string     { return filepath.Join(c.DataDir, "volumes") }
func (c Config) virtualNodes() string {
	return filepath.Join(c.DataDir, "nodes")
}
func (c Config) logFile() string  { return filepath.Join(c.DataDir, "daemon.log") }
func (c Config) lockFile() string { return filepath.Join(c.DataDir, "daemon.lock") }
func (c Config) instanceFile() string {
	return filepath.Join(c.DataDir, "instance")
}
func (c Config) namespaceFile() string { return filepath.Join(c.DataDir, "namespace") }
func (c Config) nodeFile() string      { return filepath.Join(c.DataDir, "node") }

// prepare makes the data directory, readable by its owner alone: it holds the key to the API, and so to the engine.
func (c Config) prepare() error {
	if c.DataDir == "" {
		return errors.New("no data directory: name one with --data-dir or SKIFF_DATA_DIR")
	}
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return fmt.Errorf("making the data directory: %w", err)
	}
	return nil
}

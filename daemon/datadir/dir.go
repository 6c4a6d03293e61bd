// Package datadir is the directory of one instance of skiff: what lies where in it, who holds it,
// and how its API is reached. The daemon writes it; the commands that start, stop and ask the
// daemon read it.
package datadir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// EnvVar is the environment variable that names the data directory.
const EnvVar = "SKIFF_DATA_DIR"

// Dir is the path of a data directory. It holds everything that outlives the daemon's process. Each
// one is an instance of skiff: several run side by side on one engine without touching each other's
// containers.
type Dir string

// Find returns the directory named by the user or, when that is empty, by SKIFF_DATA_DIR, as an
// absolute path; without either, skiff's place in the XDG state home. lookup reads the environment.
func Find(named string, lookup func(string) (string, bool)) (Dir, error) {
	getenv := func(name string) string { v, _ := lookup(name); return v }
	if named == "" {
		named = getenv(EnvVar)
	}
	if named != "" {
		path, err := filepath.Abs(named)
		return Dir(path), err
	}
	if state := getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return Dir(filepath.Join(state, "skiff")), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("finding a place for skiff's state (name one with --data-dir or %s): %w", EnvVar, err)
	}
	return Dir(filepath.Join(home, ".local", "state", "skiff")), nil
}

func (d Dir) path(name string) string { return filepath.Join(string(d), name) }

// Database is the store's SQLite file.
func (d Dir) Database() string { return d.path("skiff.db") }

// Kubeconfig is the file that clients reach the API with. It is there while the daemon serves.
func (d Dir) Kubeconfig() string { return d.path("kubeconfig") }

// Credentials is the directory of the API's certificates and keys.
func (d Dir) Credentials() string { return d.path("credentials") }

// Volumes is the directory of the pods' volumes.
func (d Dir) Volumes() string { return d.path("volumes") }

// VirtualNodes is the directory of what virtual nodes keep.
func (d Dir) VirtualNodes() string { return d.path("nodes") }

// JobLogs is the directory of what is kept of the logs of jobs' pods.
func (d Dir) JobLogs() string { return d.path("joblogs") }

// LogFile is the log of a daemon in the background.
func (d Dir) LogFile() string { return d.path("daemon.log") }

// AuditLog is where requests are recorded, unless another file is named.
func (d Dir) AuditLog() string { return d.path("audit.log") }

// NodeFile holds the name of the machine's node.
func (d Dir) NodeFile() string { return d.path("node") }

// AuthorityFile is where `skiff trust` puts the authority's certificate, for others to read.
func (d Dir) AuthorityFile() string { return d.path("ca.crt") }

func (d Dir) lockFile() string     { return d.path("daemon.lock") }
func (d Dir) instanceFile() string { return d.path("instance") }
func (d Dir) addressFile() string  { return d.path("address") }
func (d Dir) doorFile() string     { return d.path("front-door") }

// lastKubeconfig is the kubeconfig of the daemon before.
func (d Dir) lastKubeconfig() string { return d.path("kubeconfig.last") }

// Files are all that skiff keeps in the directory.
func (d Dir) Files() []string {
	return []string{
		d.Database(), d.Database() + "-wal", d.Database() + "-shm", d.Kubeconfig(), d.Credentials(), d.Volumes(), d.VirtualNodes(), d.JobLogs(),
		d.LogFile(), d.oldLogFile(), d.instanceFile(), d.NodeFile(), d.lastKubeconfig(), d.addressFile(), d.doorFile(), d.lockFile(),
		d.AuthorityFile(), d.keptFile(),
		d.path("namespace"), // of earlier versions
	}
}

// Prepare makes the directory, readable by its owner alone: it holds the key to the API, and so to
// the engine.
func (d Dir) Prepare() error {
	if d == "" {
		return fmt.Errorf("no data directory: name one with --data-dir or %s", EnvVar)
	}
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return fmt.Errorf("making the data directory: %w", err)
	}
	return nil
}

// IsInstance reports whether a daemon has ever used the directory.
func (d Dir) IsInstance() bool {
	_, err := os.Stat(d.instanceFile())
	return !errors.Is(err, os.ErrNotExist)
}

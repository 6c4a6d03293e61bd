// Package envtest stands in for the programs that the envtest package of controller-runtime starts: a
// controller's tests run against skiff as they are. One program, skiff itself, does it all; it knows by
// the name that it was called by which one it is to be.
package envtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/urfave/cli/v2"

	"skiff/cli/command"
)

// The names of the stand-ins. kubectl is the command line as it is.
const (
	apiServer = "kube-apiserver"
	etcd      = "etcd"
	kubectl   = "kubectl"
)

const description = `Lay programs named kube-apiserver, etcd and kubectl in a directory, for tests of controllers that use the
envtest package of controller-runtime. They are links to skiff: the API is up in a fraction of a second,
controllers and garbage collection work, and pods run, on the Docker Engine if there is one, else in memory
(SKIFF_ENGINE=none chooses that). Everything is removed when a test environment stops.`

// Command is skiff envtest-assets.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "envtest-assets", Usage: "Lay stand-ins for kube-apiserver, etcd and kubectl in a directory, for controllers' tests",
		ArgsUsage: "DIRECTORY", Description: description,
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return errors.New("name the one directory for the programs: skiff envtest-assets DIRECTORY")
			}
			return layAssets(env, c.Args().First())
		},
	}, "skiff envtest-assets bin/envtest && KUBEBUILDER_ASSETS=$PWD/bin/envtest go test ./...")
}

func layAssets(env *command.Env, dir string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding skiff's own program: %w", err)
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return fmt.Errorf("finding %s: %w", dir, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making the directory for the programs: %w", err)
	}
	for _, name := range []string{apiServer, etcd, kubectl} {
		if err := link(self, filepath.Join(dir, name+suffix())); err != nil {
			return err
		}
	}
	fmt.Fprintf(env.Out, "export KUBEBUILDER_ASSETS=%s\n", dir)
	return nil
}

// suffix is what programs' names end with on this system.
func suffix() string {
	if runtime.GOOS == "windows" {
		return ".exe"
	}
	return ""
}

// link replaces only what is a link to a program of skiff's: another program of that name stays.
func link(self, path string) error {
	switch info, err := os.Lstat(path); {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return fmt.Errorf("looking at %s: %w", path, err)
	case info.Mode()&os.ModeSymlink == 0:
		return fmt.Errorf("%s is there already, and is no link: remove it, or name another directory", path)
	default:
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("replacing %s: %w", path, err)
		}
	}
	if err := os.Symlink(self, path); err != nil {
		return fmt.Errorf("linking %s: %w", path, err)
	}
	return nil
}

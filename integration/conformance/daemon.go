package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// daemon is a skiff daemon with a data directory of its own.
type daemon struct {
	skiff, dir string
	cmd        *exec.Cmd
}

// startDaemon runs a daemon, built from root unless there is a binary, and returns when its API
// answers. Its log goes to out.
func startDaemon(ctx context.Context, root, skiff, out string) (d *daemon, err error) {
	d = &daemon{skiff: skiff}
	if d.dir, err = os.MkdirTemp("", "skiff-conformance-"); err != nil {
		return nil, err
	}
	if d.skiff == "" {
		d.skiff = filepath.Join(d.dir, "skiff")
		say("building skiff")
		if err := buildSkiff(ctx, root, d.skiff); err != nil {
			return nil, errors.Join(err, os.RemoveAll(d.dir))
		}
	}
	log, err := os.Create(filepath.Join(out, "daemon.log"))
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(d.dir))
	}
	defer log.Close()
	ready, tell, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(d.dir))
	}
	defer ready.Close()
	d.cmd = exec.Command(d.skiff, "daemon", "run", "--data-dir", d.data(), "--listen", "127.0.0.1:0", "--node-name", "conformance")
	d.cmd.Stdout, d.cmd.Stderr, d.cmd.ExtraFiles = log, log, []*os.File{tell}
	d.cmd.Env = append(os.Environ(), "SKIFF_READY_FD=3")
	// An interrupt at the terminal is ours to act on; the daemon ends with this process whatever
	// happens.
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	err = d.cmd.Start()
	tell.Close()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(d.dir))
	}
	var said [256]byte
	n, _ := ready.Read(said[:])
	if string(said[:n]) != "ready\n" {
		return nil, errors.Join(fmt.Errorf("the daemon did not become ready: %q; see %s", said[:n], log.Name()), d.reset(ctx))
	}
	if err := d.addNode(ctx, "conformance-2"); err != nil {
		return nil, errors.Join(err, d.reset(ctx))
	}
	say("the daemon runs; its log: %s", log.Name())
	return d, nil
}

// addNode adds a virtual node: some specs want two. The suite waits until all nodes are ready.
func (d *daemon) addNode(ctx context.Context, name string) error {
	_, err := output(exec.CommandContext(ctx, d.skiff, "node", "add", name, "--data-dir", d.data()))
	return err
}

func (d *daemon) data() string       { return filepath.Join(d.dir, "data") }
func (d *daemon) kubeconfig() string { return filepath.Join(d.data(), "kubeconfig") }

// reset stops the daemon and removes all that it made.
func (d *daemon) reset(ctx context.Context) error {
	d.cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it may have ended by itself
	err := d.cmd.Wait()
	if err != nil {
		err = fmt.Errorf("stopping the daemon: %w", err)
	}
	_, resetErr := output(exec.CommandContext(ctx, d.skiff, "daemon", "reset", "--yes", "--data-dir", d.data()))
	return errors.Join(err, resetErr, os.RemoveAll(d.dir))
}

// buildSkiff builds skiff as it is released, though not as one static file.
func buildSkiff(ctx context.Context, root, to string) error {
	cmd := exec.CommandContext(ctx, "go", "generate", "./network/...")
	cmd.Dir = root
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building the router: %w\n%s", err, text)
	}
	release := exec.CommandContext(ctx, "go", "run", "./release")
	release.Dir = root
	modfile, err := output(release)
	if err != nil {
		return fmt.Errorf("preparing the release's go.mod: %w", err)
	}
	return goBuild(ctx, root, to, "-modfile", modfile, "-tags", "netgo,osusergo,sqlite_omit_load_extension,grpcnotrace,urfave_cli_no_docs,kustomize_disable_go_plugin_support")
}

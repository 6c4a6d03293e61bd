package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/docker/docker/client"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"skiff/examples/kubia/images"
)

// bench holds what the scenarios share: the engine, the binary, and one daemon that runs
// throughout.
type bench struct {
	engine *client.Client
	rounds int
	// rollouts is how many the scenario of that name does.
	rollouts int
	// soak is how long the scenario of that name lasts.
	soak  time.Duration
	skiff string
	dir   string
	made  []string // images that were not there before
	// netload is the program that loads the network, on this machine; empty until it is needed.
	netload string
	main    *daemon
	// best is the fastest way for raw Engine calls, and bestOwn the fastest on a user-defined
	// network.
	best, bestOwn rawWay
	kube          kubernetes.Interface
}

func (b *bench) setUp(ctx context.Context) (err error) {
	b.made = images.Missing(ctx, b.engine)
	if err := images.Build(ctx, b.engine, images.Kubia); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "skiff-bench-"); err != nil {
		return err
	}
	built := b.skiff
	if built == "" {
		built = filepath.Join(b.dir, "built")
		if out, err := exec.CommandContext(ctx, "go", "generate", "skiff/network/program").CombinedOutput(); err != nil {
			return fmt.Errorf("building the router: %w\n%s", err, out)
		}
		modfile, err := exec.CommandContext(ctx, "go", "run", "skiff/release").Output()
		if err != nil {
			return fmt.Errorf("preparing the release's go.mod: %w", err)
		}
		cmd := exec.CommandContext(ctx, "go", "build", "-modfile", strings.TrimSpace(string(modfile)), "-tags", "netgo,osusergo,sqlite_omit_load_extension,grpcnotrace,urfave_cli_no_docs,kustomize_disable_go_plugin_support",
			"-ldflags", "-s -w -linkmode external -extldflags -static", "-o", built, "skiff")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("building skiff: %w\n%s", err, out)
		}
	}
	b.skiff = filepath.Join(b.dir, "skiff")
	if err := install(built, b.skiff); err != nil {
		return err
	}
	if b.main, err = b.start("main"); err != nil {
		return err
	}
	b.kube, err = b.main.client()
	return err
}

// install puts the binary in place as a download or an unpacked archive does, in small pieces. That
// matters to the resident memory: since Linux 6.18 a program is charged with all of a folio of the
// page cache when it touches a page of it, and what a linker has written at one go lies in folios
// of 2 MiB.
func install(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	// The struct hides ReadFrom, by which the kernel would copy all at once.
	_, err = io.CopyBuffer(struct{ io.Writer }{out}, in, make([]byte, 32<<10))
	return errors.Join(err, out.Close())
}

func (b *bench) tearDown(ctx context.Context) error {
	var err error
	if b.main != nil {
		err = b.main.reset(ctx)
	}
	return errors.Join(err, images.Remove(ctx, b.engine, b.made), os.RemoveAll(b.dir))
}

// daemon is a skiff daemon with a data directory of its own.
type daemon struct {
	skiff, dir string
	cmd        *exec.Cmd
	execed     time.Time
	ready      time.Time
}

// logEnd is what the daemon has logged of late.
func (d *daemon) logEnd() string {
	text, err := os.ReadFile(d.dir + ".log")
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-4<<10):])
}

// start runs a daemon and returns when it says that its API answers.
func (b *bench) start(name string, args ...string) (*daemon, error) {
	d := &daemon{skiff: b.skiff, dir: filepath.Join(b.dir, name)}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	log, err := os.Create(filepath.Join(b.dir, name+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	d.cmd = exec.Command(b.skiff, append([]string{"daemon", "run", "--data-dir", d.dir, "--listen", "127.0.0.1:0"}, args...)...)
	d.cmd.Stdout, d.cmd.Stderr, d.cmd.ExtraFiles = log, log, []*os.File{w}
	d.cmd.Env = append(os.Environ(), "SKIFF_READY_FD=3")
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	d.execed = time.Now()
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	w.Close()
	var said [256]byte
	n, _ := r.Read(said[:])
	d.ready = time.Now()
	if string(said[:n]) != "ready\n" {
		return nil, fmt.Errorf("the daemon did not become ready: %q", said[:n])
	}
	return d, nil
}

func (d *daemon) config() (*rest.Config, error) {
	cfg, err := clientcmd.BuildConfigFromFlags("", filepath.Join(d.dir, "kubeconfig"))
	if err == nil {
		cfg.QPS = -1
	}
	return cfg, err
}

func (d *daemon) client() (kubernetes.Interface, error) {
	cfg, err := d.config()
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(cfg)
}

func (d *daemon) instance() (string, error) {
	raw, err := os.ReadFile(filepath.Join(d.dir, "instance"))
	return strings.TrimSpace(string(raw)), err
}

// reset stops the daemon and removes all that it made.
func (d *daemon) reset(ctx context.Context) error {
	d.cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it may have ended by itself
	err := d.cmd.Wait()
	out, resetErr := exec.CommandContext(ctx, d.skiff, "daemon", "reset", "--yes", "--data-dir", d.dir).CombinedOutput()
	if resetErr != nil {
		resetErr = fmt.Errorf("resetting the daemon: %w\n%s", resetErr, out)
	}
	return errors.Join(err, resetErr)
}

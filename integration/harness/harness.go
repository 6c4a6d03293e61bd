// Package harness runs skiff as its users do, for the tests on a real engine: it builds the binary,
// starts daemons with data directories of their own, calls the two command lines, and leaves the
// engine as it was.
package harness

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"

	"skiff/examples/kubia/images"
)

// Binaries are the programs under test, built once a test run.
type Binaries struct{ Skiff, Kubectl string }

var build struct {
	once sync.Once
	bins Binaries
	err  error
}

// example reports whether the example's images have been made.
var example struct {
	once sync.Once
	err  error
}

// atOnce is how many parallel tests run at a time unless -parallel says otherwise: they mostly
// wait, for grace periods and for probes, so there may be more of them than the machine has cores.
const atOnce = 4

// Main is the TestMain of a package that uses the harness: it removes what was built, images
// included.
func Main(m *testing.M) {
	flag.Parse()
	if p := flag.Lookup("test.parallel"); p.Value.String() == p.DefValue && runtime.GOMAXPROCS(0) < atOnce {
		p.Value.Set(strconv.Itoa(atOnce)) //nolint:errcheck // it is a number
	}
	engine, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	ctx := context.Background()
	missing := images.Missing(ctx, engine)
	code := m.Run()
	if _, err := engine.Ping(ctx); err == nil {
		if err := errors.Join(strays.check(ctx, engine), images.Remove(ctx, engine, missing), removeRouters(ctx, engine)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	if dir := filepath.Dir(build.bins.Skiff); build.bins.Skiff != "" {
		os.RemoveAll(dir) //nolint:errcheck // a leftover in the temporary directory harms nobody
	}
	os.Exit(code)
}

// removeRouters removes the images of routers that no container is made of: daemons that were killed
// have left them.
func removeRouters(ctx context.Context, engine *client.Client) error {
	list, err := engine.ImageList(ctx, image.ListOptions{Filters: filters.NewArgs(filters.Arg("label", routerLabel))})
	if err != nil {
		return err
	}
	for _, i := range list {
		if _, err := engine.ImageRemove(ctx, i.ID, image.RemoveOptions{PruneChildren: true}); err != nil && !cerrdefs.IsConflict(err) && !cerrdefs.IsNotFound(err) {
			return err
		}
	}
	return nil
}

// Engine connects to the engine, or skips the test where there is none. With CI=true that is a
// failure.
func Engine(t testing.TB) *client.Client {
	t.Helper()
	engine, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err == nil {
		_, err = engine.Ping(t.Context())
	}
	switch {
	case err == nil:
		t.Cleanup(func() { engine.Close() })
	case os.Getenv("CI") == "true":
		t.Fatalf("no Docker Engine, and CI=true: %v", err)
	default:
		t.Skipf("no Docker Engine: %v", err)
	}
	if testing.Short() {
		t.Skip("-short leaves out the tests on a real engine")
	}
	return engine
}

// Build compiles skiff, and kubectl from its module. With SKIFF_RACE=1 skiff runs under the race
// detector, and what it finds fails the test.
func Build(t testing.TB) Binaries {
	t.Helper()
	build.once.Do(func() {
		dir, err := os.MkdirTemp("", "skiff-integration-")
		if err != nil {
			build.err = err
			return
		}
		build.bins = Binaries{Skiff: filepath.Join(dir, "skiff"), Kubectl: filepath.Join(dir, "kubectl")}
		args := []string{"-tags", "netgo,osusergo,sqlite_omit_load_extension,grpcnotrace,urfave_cli_no_docs,kustomize_disable_go_plugin_support"}
		if os.Getenv("SKIFF_RACE") == "1" {
			args = append(args, "-race")
		}
		build.err = errors.Join(
			goRun(Root(), "generate", "./network/..."), // the router's program, which is a part of skiff
			goBuild(Root(), build.bins.Skiff, args...),
			goBuild(filepath.Join(Root(), "integration", "kubectl"), build.bins.Kubectl))
	})
	if build.err != nil {
		t.Fatal(build.err)
	}
	return build.bins
}

func goBuild(dir, out string, args ...string) error {
	if err := goRun(dir, append(append([]string{"build", "-o", out}, args...), ".")...); err != nil {
		return fmt.Errorf("building %s: %w", filepath.Base(out), err)
	}
	return nil
}

func goRun(dir string, args ...string) error {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	if msg, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", args[0], err, msg)
	}
	return nil
}

// Program builds a package of the skiff module, for images that hold nothing else, and returns its
// executable.
func Program(t testing.TB, pkg string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "program")
	cmd := exec.Command("go", "build", "-ldflags", "-s -w", "-o", out, pkg)
	cmd.Dir, cmd.Env = Root(), append(os.Environ(), "CGO_ENABLED=0")
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", pkg, err, msg)
	}
	raw, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Root is the top folder of the skiff module.
func Root() string {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "skiff").Output()
	if err != nil {
		panic(fmt.Sprintf("finding the skiff module: %v", err))
	}
	return strings.TrimSpace(string(out))
}

// Daemon is a skiff daemon of the test's own.
type Daemon struct {
	Binaries
	DataDir string
	Engine  *client.Client

	// Env is added to the daemon's environment, NAME=value pairs.
	Env []string

	t    testing.TB
	args []string
	user *syscall.Credential // nil for the test's own
	log  *bytes.Buffer
	cmd  *exec.Cmd
	done chan struct{}
}

// Start builds what is needed, makes the example's images and runs a daemon in the foreground until
// the test ends. The arguments go to `skiff daemon run`.
func Start(t testing.TB, args ...string) *Daemon {
	t.Helper()
	return StartIn(t, t.TempDir(), args...)
}

// StartIn is Start with a data directory of the caller's choice.
func StartIn(t testing.TB, dir string, args ...string) *Daemon {
	t.Helper()
	return StartWith(t, dir, nil, args...)
}

// StartWith is StartIn with an addition to the daemon's environment, NAME=value pairs.
func StartWith(t testing.TB, dir string, env []string, args ...string) *Daemon {
	t.Helper()
	return start(t, &Daemon{DataDir: dir, Env: env, args: args})
}

// StartAsNobody is Start for a daemon whose user may use the engine and nothing else. The test has to run as
// root, or is skipped.
func StartAsNobody(t testing.TB, args ...string) *Daemon {
	t.Helper()
	var socket syscall.Stat_t
	path, isFile := strings.CutPrefix(Engine(t).DaemonHost(), "unix://")
	if os.Getuid() != 0 || !isFile {
		t.Skip("only root can start a daemon as another user, who may use the engine's socket")
	}
	if err := syscall.Stat(path, &socket); err != nil {
		t.Fatal(err)
	}
	const nobody = 65534
	dir := t.TempDir()
	err := errors.Join(os.Chown(dir, nobody, nobody), os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(filepath.Dir(Build(t).Skiff), 0o755))
	if err != nil {
		t.Fatal(err)
	}
	return start(t, &Daemon{DataDir: dir, Env: []string{"HOME=" + dir}, args: args, user: &syscall.Credential{Uid: nobody, Gid: nobody, Groups: []uint32{socket.Gid}}})
}

func start(t testing.TB, d *Daemon) *Daemon {
	t.Helper()
	engine := Engine(t)
	d.Binaries, d.Engine, d.t = Build(t), engine, t
	// Once, for tests that start at the same time would take the name from each other's images.
	example.once.Do(func() { example.err = images.Build(context.WithoutCancel(t.Context()), engine, images.Kubia) })
	if example.err != nil {
		t.Fatal(example.err)
	}
	t.Cleanup(d.cleanUp)
	d.Run()
	strays.watch(t.Name(), d.Instance())
	return d
}

// Run starts the daemon, again if it ran before, and returns when its API answers.
func (d *Daemon) Run() {
	d.t.Helper()
	if err := d.TryRun(); err != nil {
		d.t.Fatal(err)
	}
}

// TryRun is Run for callers outside the test's goroutine.
func (d *Daemon) TryRun() error {
	d.log = &bytes.Buffer{}
	d.cmd = exec.Command(d.Skiff, append([]string{"daemon", "run", "--data-dir", d.DataDir, "--listen", "127.0.0.1:0"}, d.args...)...)
	ready, tell, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ready.Close()
	logs, err := os.OpenFile(d.LogFile(), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer logs.Close()
	d.cmd.Stdout, d.cmd.Stderr = logs, logs
	d.cmd.ExtraFiles = []*os.File{tell}
	d.cmd.Env = append(append(os.Environ(), "SKIFF_READY_FD=3"), d.Env...)
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Credential: d.user}
	if err := d.cmd.Start(); err != nil {
		return err
	}
	tell.Close()
	cmd, done := d.cmd, make(chan struct{})
	d.done = done
	go func() { defer close(done); cmd.Wait() }() //nolint:errcheck // it is killed on purpose, so it ends with an error
	var said [256]byte
	n, _ := ready.Read(said[:])
	if string(said[:n]) != "ready\n" {
		return fmt.Errorf("the daemon did not become ready: %q\n%s", said[:n], d.Log())
	}
	return nil
}

// LogFile is where the daemon's log goes.
func (d *Daemon) LogFile() string { return filepath.Join(d.DataDir, "test.log") }

// Log is what the daemon has logged.
func (d *Daemon) Log() string {
	raw, err := os.ReadFile(d.LogFile())
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

// Kill ends the daemon without warning, as kill -9 does.
func (d *Daemon) Kill() { d.signal(syscall.SIGKILL) }

// Stop asks the daemon to end and waits until it has.
func (d *Daemon) Stop() { d.signal(syscall.SIGTERM) }

func (d *Daemon) signal(s syscall.Signal) {
	if d.cmd == nil {
		return
	}
	d.cmd.Process.Signal(s) //nolint:errcheck // it may have ended by itself
	<-d.done
	d.cmd = nil
}

// Pid is the daemon's process ID.
func (d *Daemon) Pid() int { return d.cmd.Process.Pid }

// Kubeconfig is the daemon's own file.
func (d *Daemon) Kubeconfig() string { return filepath.Join(d.DataDir, "kubeconfig") }

// Instance is the value of the label skiff/instance on the daemon's containers.
func (d *Daemon) Instance() string {
	raw, err := os.ReadFile(filepath.Join(d.DataDir, "instance"))
	if err != nil {
		d.t.Fatal(err)
	}
	return strings.TrimSpace(string(raw))
}

// routerLabel is on the daemon's router, which is no pod's.
const routerLabel = "skiff/router"

// Containers lists the containers of the daemon's pods on the engine, dead ones as well, filtered
// further by labels.
func (d *Daemon) Containers(labels ...string) []container.Summary {
	d.t.Helper()
	return slices.DeleteFunc(d.list(labels...), func(c container.Summary) bool { return c.Labels[routerLabel] != "" })
}

// Router is the daemon's router; ok is false if there is none.
func (d *Daemon) Router() (router container.Summary, ok bool) {
	d.t.Helper()
	list := d.list(routerLabel)
	if len(list) == 0 {
		return router, false
	}
	return list[0], true
}

func (d *Daemon) list(labels ...string) []container.Summary {
	d.t.Helper()
	f := filters.NewArgs(filters.Arg("label", "skiff/instance="+d.Instance()))
	for _, l := range labels {
		f.Add("label", l)
	}
	list, err := d.Engine.ContainerList(context.WithoutCancel(d.t.Context()), container.ListOptions{All: true, Filters: f})
	if err != nil {
		d.t.Fatal(err)
	}
	return list
}

// Exec runs a command in a container by way of the engine, without the daemon, and returns what it
// prints, its standard error too.
func (d *Daemon) Exec(id string, cmd ...string) string {
	d.t.Helper()
	ctx := d.t.Context()
	made, err := d.Engine.ContainerExecCreate(ctx, id, container.ExecOptions{Cmd: cmd, AttachStdout: true, AttachStderr: true})
	if err != nil {
		d.t.Fatal(err)
	}
	answer, err := d.Engine.ContainerExecAttach(ctx, made.ID, container.ExecAttachOptions{})
	if err != nil {
		d.t.Fatal(err)
	}
	defer answer.Close()
	var out bytes.Buffer
	if _, err := stdcopy.StdCopy(&out, &out, answer.Reader); err != nil {
		d.t.Fatal(err)
	}
	return out.String()
}

// cleanUp ends the daemon and removes all that it made on the engine. What the daemon logged is
// shown when the test failed.
func (d *Daemon) cleanUp() {
	d.Kill()
	if strings.Contains(d.Log(), "DATA RACE") {
		d.t.Error("the race detector has found something in the daemon, see its log")
	}
	if d.t.Failed() {
		d.t.Logf("the daemon's log:\n%s", tail(d.Log(), 80))
	}
	ctx := context.WithoutCancel(d.t.Context())
	d.removeContainers(ctx)
	if err := os.RemoveAll("/dev/shm/skiff-" + d.Instance()); err != nil {
		d.t.Error(err)
	}
	f := filters.NewArgs(filters.Arg("label", "skiff/instance="+d.Instance()))
	volumes, err := d.Engine.VolumeList(ctx, volume.ListOptions{Filters: f})
	if err != nil {
		d.t.Error(err)
	}
	for _, v := range volumes.Volumes {
		// A container that is being removed has it for a moment, and one that came late until it is removed.
		Until(d.t, time.Minute, "volume "+v.Name+" is removed", func() bool {
			if d.Engine.VolumeRemove(ctx, v.Name, true) == nil {
				return true
			}
			d.removeContainers(ctx)
			return false
		})
	}
	networks, err := d.Engine.NetworkList(ctx, network.ListOptions{Filters: f})
	if err != nil {
		d.t.Error(err)
	}
	for _, n := range networks {
		d.removeNetwork(ctx, n)
	}
	d.removeContainers(ctx)
}

// removeContainers removes all of the daemon's containers. It may have been killed while the engine was
// removing one, or making one, which then comes late.
func (d *Daemon) removeContainers(ctx context.Context) {
	Until(d.t, time.Minute, "the containers are gone", func() bool {
		list := d.list()
		for _, c := range list {
			err := d.Engine.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
			if err != nil && !cerrdefs.IsNotFound(err) && !cerrdefs.IsConflict(err) {
				d.t.Errorf("removing container %s: %v", c.Names, err)
			}
		}
		return len(list) == 0
	})
}

// removeNetwork is patient: the endpoints of containers that are gone may stay for a moment. An
// engine that has lost count of them (docker.ErrEndpointsLost) keeps the network until it is
// restarted, which is not what a test is about.
func (d *Daemon) removeNetwork(ctx context.Context, n network.Summary) {
	deadline := time.Now().Add(10 * time.Second)
	var err error
	for time.Now().Before(deadline) {
		if err = d.Engine.NetworkRemove(ctx, n.ID); err == nil {
			return
		}
		d.removeContainers(ctx)
		time.Sleep(50 * time.Millisecond)
	}
	if found, inspectErr := d.Engine.NetworkInspect(ctx, n.ID, network.InspectOptions{}); inspectErr == nil && len(found.Containers) == 0 {
		d.t.Logf("network %s is left behind, the engine has lost count of its endpoints: %v", n.Name, err)
		return
	}
	d.t.Errorf("removing network %s: %v", n.Name, err)
}

func tail(text string, lines int) string {
	all := strings.Split(text, "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// Result is what a command printed and how it ended.
type Result struct {
	Out, Err string
	Code     int
}

// CLI calls one of the two command lines against the daemon.
type CLI struct {
	Name string
	d    *Daemon
	path string
	env  []string // beside the test's own
}

// CLIs are both command lines; a scenario that is to work with either runs once with each.
func (d *Daemon) CLIs() []CLI {
	return []CLI{d.KubectlCLI(), d.SkiffCLI()}
}

// SkiffCLI is skiff's own.
func (d *Daemon) SkiffCLI() CLI { return CLI{"skiff", d, d.Skiff, nil} }

// KubectlCLI is the real kubectl.
func (d *Daemon) KubectlCLI() CLI { return CLI{"kubectl", d, d.Kubectl, nil} }

// Command prepares a call; the caller may set its input before running it. At the test's end it is
// interrupted, as by Ctrl-C, and killed if that does not help.
func (c CLI) Command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(c.d.t.Context(), c.path, args...)
	cmd.Cancel, cmd.WaitDelay = func() error { return cmd.Process.Signal(os.Interrupt) }, time.Minute
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.d.Kubeconfig(), "SKIFF_DATA_DIR="+c.d.DataDir, "NO_COLOR=1")
	cmd.Env = append(cmd.Env, c.env...)
	return cmd
}

// Try runs a command and returns what came of it.
func (c CLI) Try(stdin string, args ...string) Result {
	cmd := c.Command(args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	err := cmd.Run()
	r := Result{Out: out.String(), Err: errs.String()}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		r.Code = exit.ExitCode()
	case err != nil:
		r.Code, r.Err = -1, r.Err+err.Error()
	}
	return r
}

// Do runs a command that must succeed and returns its standard output.
func (c CLI) Do(args ...string) string { c.d.t.Helper(); return c.DoIn("", args...) }

// DoIn is Do with an input.
func (c CLI) DoIn(stdin string, args ...string) string {
	c.d.t.Helper()
	r := c.Try(stdin, args...)
	if r.Code != 0 {
		c.d.t.Fatalf("%s %s: exit %d\n%s%s", c.Name, strings.Join(args, " "), r.Code, r.Out, r.Err)
	}
	return r.Out
}

// Until asks again and again, until ok is true or the time is up.
func Until(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	end := time.After(limit)
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("not within %s: %s", limit, what)
		}
	}
}

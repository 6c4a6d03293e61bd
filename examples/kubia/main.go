// Command kubia is the main job in one command, from a bare clone: it builds skiff and the example's images, and then shows
// three kubia pods coming up as plain containers, a sick one being killed and restarted, and a deleted one being replaced.
// At the end it takes everything away again; with -keep it leaves the daemon running for you to play with.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/docker/docker/client"

	"skiff/examples/kubia/images"
)

func main() {
	keep := flag.Bool("keep", false, "leave the daemon and the pods running")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *keep); err != nil {
		fmt.Fprintln(os.Stderr, "kubia:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, keep bool) (err error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "skiff").Output()
	if err != nil {
		return fmt.Errorf("finding the skiff module (run this inside the clone): %w", err)
	}
	engine, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return err
	}
	defer engine.Close()
	if _, err := engine.Ping(ctx); err != nil {
		return fmt.Errorf("reaching the Docker Engine (is it running, and may you use it?): %w", err)
	}
	s := &session{ctx: ctx, root: strings.TrimSpace(string(root)), engine: engine, made: images.Missing(ctx, engine)}
	if err := s.build(); err != nil {
		return err
	}
	if s.data, err = os.MkdirTemp("", "skiff-kubia-"); err != nil {
		return err
	}
	if !keep {
		defer func() { err = errors.Join(err, s.cleanUp()) }()
	}
	if err := s.show(); err != nil {
		return err
	}
	if keep {
		fmt.Printf("\nThe daemon runs on. In this clone:\n  export SKIFF_DATA_DIR=%s\n  bin/skiff get pods\n  bin/skiff daemon reset --yes    # takes it all away\n", s.data)
	}
	return nil
}

// session runs commands before the reader's eyes.
type session struct {
	ctx        context.Context
	root, data string
	engine     *client.Client
	// made are the images that were not there before.
	made []string
}

func (s *session) build() error {
	fmt.Println("# building bin/skiff (the first time takes some minutes) and the images of kubia")
	build := exec.CommandContext(s.ctx, "go", "build", "-tags", "netgo,osusergo,sqlite_omit_load_extension,grpcnotrace,urfave_cli_no_docs", "-o", "bin/skiff", ".")
	build.Dir, build.Stderr = s.root, os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("building skiff: %w", err)
	}
	return images.Build(s.ctx, s.engine, images.Kubia)
}

// show is the story: up, sick and restarted, deleted and replaced.
func (s *session) show() error {
	if err := s.skiff("up", "-d", "-f", "examples/kubia/manifests/kubia-demo.yaml"); err != nil {
		return err
	}
	if err := s.skiff("get", "pods", "-o", "wide"); err != nil {
		return err
	}
	if _, err := exec.LookPath("docker"); err == nil {
		fmt.Println("\n# they are plain containers")
		if err := s.visible("docker", "ps", "--filter", "label=app=kubia", "--format", "table {{.Names}}\t{{.Image}}\t{{.Status}}"); err != nil {
			return err
		}
	}
	fmt.Println("\n# kubia-liveness answers 500 from its sixth request on: three bad probes, and it is killed and restarted")
	if err := s.until(time.Minute, "1 true", "get", "pod", "kubia-liveness", "-o", "jsonpath={.status.containerStatuses[0].restartCount} {.status.containerStatuses[0].ready}"); err != nil {
		return err
	}
	if err := s.skiff("describe", "pod", "kubia-liveness"); err != nil {
		return err
	}
	victim, err := s.output("get", "pods", "-l", "app=kubia", "-o", "jsonpath={.items[0].metadata.name}")
	if err != nil {
		return err
	}
	fmt.Println("\n# a deleted pod is replaced")
	if err := s.skiff("delete", "pod", victim); err != nil {
		return err
	}
	if err := s.until(time.Minute, "3", "get", "rc", "kubia", "-o", "jsonpath={.status.readyReplicas}"); err != nil {
		return err
	}
	if err := s.skiff("get", "pods"); err != nil {
		return err
	}
	return s.skiff("describe", "rc", "kubia")
}

func (s *session) skiff(args ...string) error {
	return s.visible("skiff", args...)
}

// visible prints the command as a reader would type it, and what it prints.
func (s *session) visible(name string, args ...string) error {
	fmt.Printf("\n$ %s %s\n", name, quote(args))
	cmd := s.command(name, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", name, args[0], err)
	}
	return nil
}

func (s *session) command(name string, args ...string) *exec.Cmd {
	if name == "skiff" {
		name = filepath.Join(s.root, "bin", "skiff")
	}
	cmd := exec.CommandContext(s.ctx, name, args...)
	cmd.Dir = s.root
	cmd.Env = append(os.Environ(), "SKIFF_DATA_DIR="+s.data, "SKIFF_LISTEN=127.0.0.1:0", "KUBECONFIG=")
	return cmd
}

func (s *session) output(args ...string) (string, error) {
	cmd := s.command("skiff", args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("skiff %s: %w", args[0], err)
	}
	return string(out), nil
}

// until asks until the answer is want.
func (s *session) until(limit time.Duration, want string, args ...string) error {
	ctx, cancel := context.WithTimeout(s.ctx, limit)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		got, err := s.output(args...)
		if err != nil || got == want {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s to print %q: %w", quote(args), want, ctx.Err())
		}
	}
}

// cleanUp removes the containers, the daemon and its data. It has its own context: Ctrl-C is a reason to clean up.
func (s *session) cleanUp() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), time.Minute)
	defer cancel()
	s.ctx = ctx
	fmt.Println("\n# taking it all away again")
	return errors.Join(s.skiff("daemon", "reset", "--yes"), images.Remove(ctx, s.engine, s.made), os.RemoveAll(s.data))
}

func quote(args []string) string {
	shown := make([]string, len(args))
	for i, a := range args {
		if strings.ContainsAny(a, " {}\t'$") {
			a = "'" + a + "'"
		}
		shown[i] = a
	}
	return strings.Join(shown, " ")
}

// Package gobuild runs go build and shows how it gets on. It imports the standard library alone, so
// that a program that builds another is itself built in a moment.
package gobuild

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// How often the progress is shown: on a terminal, where it stays on its line, and elsewhere.
const (
	liveInterval  = time.Second
	plainInterval = 10 * time.Second
)

// Generate builds what is a part of skiff and not in its repository: the router's program.
func Generate(ctx context.Context, dir string) error {
	cmd := exec.CommandContext(ctx, "go", "generate", "./network/...")
	cmd.Dir = dir
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go generate: %w\n%s", err, text)
	}
	return nil
}

// Run runs go build with the arguments in dir, and shows on out how many packages it has compiled.
// What the compiler complains of goes to out too.
func Run(ctx context.Context, dir string, out *os.File, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-v"}, args...)...)
	cmd.Dir = dir
	lines, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	p := &progress{out: out, began: time.Now(), live: isTerminal(out)}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("go build: %w", err)
	}
	interval := plainInterval
	if p.live {
		interval = liveInterval
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	p.follow(lines, ticker.C)
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("go build: %w", err)
	}
	return nil
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// progress is how far a build has come.
type progress struct {
	out   io.Writer
	began time.Time
	live  bool

	mu       sync.Mutex
	compiled int
	shown    bool
}

// follow reads what go build -v writes until it ends, and shows the progress at each tick.
func (p *progress) follow(lines io.Reader, tick <-chan time.Time) {
	done := make(chan struct{})
	var showing sync.WaitGroup
	showing.Go(func() {
		for {
			select {
			case now := <-tick:
				p.show(now)
			case <-done:
				return
			}
		}
	})
	scanner := bufio.NewScanner(lines)
	for scanner.Scan() {
		p.line(scanner.Text())
	}
	close(done)
	showing.Wait()
	p.clear()
}

// line takes a line of go build -v: a package's path, or a complaint.
func (p *progress) line(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if text != "" && !strings.ContainsAny(text, " \t:#") {
		p.compiled++
		return
	}
	p.wipe()
	fmt.Fprintln(p.out, text)
}

func (p *progress) show(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wipe()
	fmt.Fprintf(p.out, "  %d packages compiled in %s", p.compiled, now.Sub(p.began).Round(time.Second))
	if p.live {
		p.shown = true
		return
	}
	fmt.Fprintln(p.out)
}

func (p *progress) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wipe()
}

// wipe removes the line that is shown on a terminal.
func (p *progress) wipe() {
	if p.shown {
		fmt.Fprint(p.out, "\r\x1b[K")
		p.shown = false
	}
}

// Become builds the command in a folder of the skiff module as bin/NAME, and becomes it, with the
// clone's directory as -root and this process' own arguments. It returns only if it fails.
func Become(ctx context.Context, name, folder string) error {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "skiff").Output()
	if err != nil {
		return fmt.Errorf("finding the skiff module (run this inside the clone): %w", err)
	}
	dir := strings.TrimSpace(string(root))
	command := filepath.Join(dir, "bin", name)
	fmt.Println("# building the demonstration")
	if err := Run(ctx, dir, os.Stdout, "-o", command, folder); err != nil {
		return err
	}
	return syscall.Exec(command, append([]string{command, "-root=" + dir}, os.Args[1:]...), os.Environ())
}

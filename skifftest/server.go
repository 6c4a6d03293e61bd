package skifftest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	// patience is how long a daemon may take to be ready, and to end.
	patience = 30 * time.Second
	// ready is what the daemon says on the descriptor of readyFD once its API answers; anything else is why
	// it does not.
	ready   = "ready"
	readyFD = "SKIFF_READY_FD"
)

// server is a daemon, as a child process.
type server struct {
	options options
	dir     string
	log     *log
	process *exec.Cmd
	ended   chan struct{}
	err     error // of the process, once ended is closed
}

// log is what the daemon has written.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// start starts a daemon, with a data directory of its own, and returns when its API answers.
func start(o options) (*server, error) {
	dir, err := os.MkdirTemp("", "skifftest-")
	if err != nil {
		return nil, fmt.Errorf("making a data directory: %w", err)
	}
	s := &server{options: o, dir: dir, log: &log{}, ended: make(chan struct{})}
	if err := s.start(); err != nil {
		return nil, errors.Join(fmt.Errorf("starting skiff (%s; the variable SKIFF names another program): %w", o.program, err), os.RemoveAll(dir))
	}
	return s, nil
}

func (s *server) start() error {
	said, tell, err := os.Pipe()
	if err != nil {
		return err
	}
	defer said.Close()
	args := []string{"daemon", "run", "--data-dir", s.dir, "--listen", "127.0.0.1:0", "--front-door", "0"}
	if s.options.engine != "" {
		args = append(args, "--engine", s.options.engine)
	}
	s.process = exec.Command(s.options.program, append(args, s.options.args...)...)
	s.process.Env = append(os.Environ(), readyFD+"=3") // the first after the standard streams
	s.process.ExtraFiles = []*os.File{tell}
	s.process.Stdout, s.process.Stderr = s.log, s.log
	err = s.process.Start()
	tell.Close()
	if err != nil {
		return err
	}
	go func() {
		s.err = s.process.Wait()
		close(s.ended)
	}()
	if err := awaitReady(said); err != nil {
		_ = s.process.Process.Kill()
		<-s.ended
		return fmt.Errorf("%w; it says:\n%s", err, s.log)
	}
	return nil
}

// awaitReady reads what the daemon says of its start.
func awaitReady(said *os.File) error {
	if err := said.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	line, err := bufio.NewReader(said).ReadString('\n')
	switch line = strings.TrimSpace(line); {
	case line == ready:
		return nil
	case line != "":
		return errors.New(line)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("it was not ready in %s", patience)
	}
	return errors.New("it ended before it was ready")
}

func (s *server) kubeconfig() string { return filepath.Join(s.dir, "kubeconfig") }

// stop ends the daemon and removes what it has made.
func (s *server) stop() error {
	_ = s.process.Process.Signal(os.Interrupt) // it fails for a process that has ended, which is found out next
	select {
	case <-s.ended:
	case <-time.After(patience):
		_ = s.process.Process.Kill()
		<-s.ended
		s.err = fmt.Errorf("it did not end in %s, and was killed", patience)
	}
	err := s.err
	if err != nil {
		err = fmt.Errorf("ending skiff: %w; it says:\n%s", err, s.log)
	}
	if s.options.engine != noEngine {
		err = errors.Join(err, s.reset())
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

// reset removes what is on the engine.
func (s *server) reset() error {
	args := []string{"daemon", "reset", "--yes", "--data-dir", s.dir}
	if s.options.engine != "" {
		args = append(args, "--engine", s.options.engine)
	}
	if out, err := exec.Command(s.options.program, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("removing what is on the engine: %w\n%s", err, out)
	}
	return nil
}

// dump writes what there is to the test's artifact directory: objects, events, logs of pods and the daemon's.
func (s *server) dump(t testing.TB) {
	dir := t.ArtifactDir()
	if err := os.WriteFile(filepath.Join(dir, "skiff.log"), []byte(s.log.String()), 0o600); err != nil {
		t.Logf("keeping skiff's log: %v", err)
	}
	dump := exec.Command(s.options.program, "--kubeconfig", s.kubeconfig(), "cluster-info", "dump", "--all-namespaces", "--output-directory", dir)
	if out, err := dump.CombinedOutput(); err != nil {
		t.Logf("keeping what there was: %v\n%s", err, out)
		return
	}
	t.Logf("what there was: %s (go test -artifacts keeps it)", dir)
}

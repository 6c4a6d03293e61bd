package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// runOptions say what is run against which cluster.
type runOptions struct {
	specs               []spec
	kubeconfig, kubectl string
	out                 string
	procs, attempts     int
	timeout             time.Duration
}

// specs lists the conformance specs, without running them.
func (s *suite) specs(ctx context.Context) ([]spec, error) {
	dir, err := os.MkdirTemp("", "conformance-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a leftover in the temporary directory harms nobody
	file := filepath.Join(dir, "list.json")
	cmd := exec.CommandContext(ctx, s.bin("e2e.test"), "--ginkgo.dry-run", "--ginkgo.label-filter=Conformance", "--ginkgo.json-report="+file)
	if _, err := output(cmd); err != nil {
		return nil, fmt.Errorf("listing the specs: %w", err)
	}
	listed, err := readReport(file)
	if err != nil {
		return nil, err
	}
	return listed.specs(), nil
}

// run runs specs and returns what came of them. That some fail is no error.
func (s *suite) run(ctx context.Context, o runOptions) (results, error) {
	report, log := filepath.Join(o.out, "report.json"), filepath.Join(o.out, "e2e.log")
	if err := os.Remove(report); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	file, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var names []string
	for _, sp := range o.specs {
		names = append(names, regexp.QuoteMeta(sp.name))
	}
	cmd := exec.CommandContext(ctx, s.bin("ginkgo"), "--procs="+strconv.Itoa(o.procs), "--flake-attempts="+strconv.Itoa(o.attempts), "--no-color", "--timeout="+o.timeout.String(),
		"--label-filter=Conformance", "--focus="+strings.Join(names, "|"), "--output-dir="+o.out, "--json-report=report.json",
		s.bin("e2e.test"), "--",
		"--kubeconfig="+o.kubeconfig, "--kubectl-path="+o.kubectl, "--provider=skeleton", "--report-dir="+o.out,
		"--allowed-not-ready-nodes=0", "--delete-namespace=true", "--disable-log-dump")
	// Ginkgo writes its report when it is interrupted, but not when it is killed.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 2 * time.Minute
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out := io.MultiWriter(file, &progress{of: len(o.specs), every: 10 * time.Second})
	cmd.Stdout, cmd.Stderr = out, out
	say("running %d specs, %d at once; the log: %s", len(o.specs), o.procs, log)
	start := time.Now()
	ended := cmd.Run()
	say("ended after %s", time.Since(start).Round(time.Second))
	read, err := readReport(report)
	if err != nil {
		return nil, fmt.Errorf("the suite wrote no report: %w", errors.Join(ended, err))
	}
	return read.results(), nil
}

// progress counts the specs that have ended in ginkgo's output, where each is a bullet, and says so
// now and then.
type progress struct {
	of, done, failed int
	every            time.Duration
	said             time.Time
}

// Write implements io.Writer.
func (p *progress) Write(b []byte) (int, error) {
	done := bytes.Count(b, []byte("•"))
	p.failed += bytes.Count(b, []byte("• [FAILED]"))
	if p.done += done; done > 0 && time.Since(p.said) >= p.every {
		p.said = time.Now()
		say("%d of %d, %d failed", p.done, p.of, p.failed)
	}
	return len(b), nil
}

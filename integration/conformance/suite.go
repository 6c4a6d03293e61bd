package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// suite is the e2e suite of one Kubernetes version, built once and kept in the cache.
type suite struct {
	version string
	cache   string // $XDG_CACHE_HOME/skiff-conformance
	sources string // of k8s.io/kubernetes, in the module cache
}

// newSuite finds the suite in the cache, or builds it.
func newSuite(ctx context.Context, version string) (*suite, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("finding the cache directory: %w", err)
	}
	s := &suite{version: version, cache: filepath.Join(dir, "skiff-conformance")}
	if s.sources, err = downloadSources(ctx, version); err != nil {
		return nil, err
	}
	if s.isBuilt(ctx) {
		say("the suite of %s is in the cache", version)
		return s, nil
	}
	return s, s.build(ctx)
}

func (s *suite) bin(name string) string { return filepath.Join(s.cache, "bin", name) }
func (s *suite) module() string         { return filepath.Join(s.cache, "module-"+s.version) }

// isBuilt asks the binary for its version: a cache filled by another version of this program must not pass for ours.
func (s *suite) isBuilt(ctx context.Context) bool {
	if _, err := os.Stat(s.bin("ginkgo")); err != nil {
		return false
	}
	out, err := exec.CommandContext(ctx, s.bin("e2e.test"), "--version").Output()
	return err == nil && strings.TrimSpace(string(out)) == s.version
}

// build compiles the suite as upstream's release does: one static test binary, with the version in it, that embeds its data.
func (s *suite) build(ctx context.Context) error {
	start := time.Now()
	say("building the e2e suite of %s into %s; ten minutes on two cores, once", s.version, s.cache)
	if err := s.prepareModule(ctx); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(s.cache, "bin"), 0o755); err != nil {
		return err
	}
	number := strings.SplitN(strings.TrimPrefix(s.version, "v"), ".", 3)
	if len(number) != 3 {
		return fmt.Errorf("%q is not a version such as v1.34.4", s.version)
	}
	var flags strings.Builder
	flags.WriteString("-s -w")
	for _, pkg := range []string{"k8s.io/client-go/pkg/version", "k8s.io/component-base/version"} {
		fmt.Fprintf(&flags, " -X %[1]s.gitVersion=%[2]s -X %[1]s.gitMajor=%[3]s -X %[1]s.gitMinor=%[4]s -X %[1]s.gitTreeState=clean",
			pkg, s.version, number[0], number[1])
	}
	if err := s.goTool(ctx, "test", "-c", "-ldflags", flags.String(), "-o", s.bin("e2e.test"), "k8s.io/kubernetes/test/e2e"); err != nil {
		return err
	}
	if err := s.goTool(ctx, "build", "-ldflags", "-s -w", "-o", s.bin("ginkgo"), "github.com/onsi/ginkgo/v2/ginkgo"); err != nil {
		return err
	}
	say("built in %s", time.Since(start).Round(time.Second))
	return nil
}

// goTool runs the go command in the suite's module.
func (s *suite) goTool(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = s.module()
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=mod -buildvcs=false", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", args[len(args)-1], err, out)
	}
	return nil
}

// goBuild builds the program in dir.
func goBuild(ctx context.Context, dir, out string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", append(append([]string{"build", "-o", out}, args...), ".")...)
	cmd.Dir = dir
	if msg, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", filepath.Base(out), err, msg)
	}
	return nil
}

// output runs a command and returns what it printed, or an error that says what it complained of.
func output(cmd *exec.Cmd) (string, error) {
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args[:min(3, len(cmd.Args))], " "), err, complaints.Bytes())
	}
	return strings.TrimSpace(string(out)), nil
}

// say tells the person who waits what goes on.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s  %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
}

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
	return s, s.build(ctx)
}

func (s *suite) bin(name string) string { return filepath.Join(s.cache, "bin", name) }
func (s *suite) module() string         { return filepath.Join(s.cache, "module-"+s.version) }

// kubectl is of the suite's version: specs look for words in what it prints.
func (s *suite) kubectl() string { return s.bin("kubectl-" + s.version) }

// hasSuite asks the binary for its version: a cache filled by another version of this program must
// not pass for ours.
func (s *suite) hasSuite(ctx context.Context) bool {
	out, err := exec.CommandContext(ctx, s.bin("e2e.test"), "--version").Output()
	return err == nil && strings.TrimSpace(string(out)) == s.version
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// build compiles what the cache lacks, as upstream's release does: static binaries with the version
// in them.
func (s *suite) build(ctx context.Context) error {
	flags, err := s.versionFlags()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(s.cache, "bin"), 0o755); err != nil {
		return err
	}
	start := time.Now()
	for _, b := range []struct {
		there bool
		what  string
		args  []string
	}{
		{s.hasSuite(ctx), "the e2e suite, ten minutes on two cores", []string{"test", "-c", "-vet=off", "-ldflags", flags, "-o", s.bin("e2e.test"), kubernetes + "/test/e2e"}},
		{exists(s.bin("ginkgo")), "ginkgo", []string{"build", "-ldflags", "-s -w", "-o", s.bin("ginkgo"), "github.com/onsi/ginkgo/v2/ginkgo"}},
		{exists(s.kubectl()), "kubectl", []string{"build", "-ldflags", flags, "-o", s.kubectl(), kubernetes + "/cmd/kubectl"}},
	} {
		if b.there {
			continue
		}
		say("building, once, into %s: %s", s.cache, b.what)
		if err := s.prepareModule(ctx); err != nil {
			return err
		}
		if err := s.goTool(ctx, b.args...); err != nil {
			return err
		}
	}
	say("the suite of %s is in the cache (%s)", s.version, time.Since(start).Round(time.Second))
	return nil
}

// versionFlags are the linker's flags that write the version into the programs.
func (s *suite) versionFlags() (string, error) {
	number := strings.SplitN(strings.TrimPrefix(s.version, "v"), ".", 3)
	if len(number) != 3 {
		return "", fmt.Errorf("%q is not a version such as v1.34.4", s.version)
	}
	flags := "-s -w"
	for _, pkg := range []string{"k8s.io/client-go/pkg/version", "k8s.io/component-base/version"} {
		flags += fmt.Sprintf(" -X %[1]s.gitVersion=%[2]s -X %[1]s.gitMajor=%[3]s -X %[1]s.gitMinor=%[4]s -X %[1]s.gitTreeState=clean",
			pkg, s.version, number[0], number[1])
	}
	return flags, nil
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

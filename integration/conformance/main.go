// Command conformance runs the official Kubernetes conformance specs against skiff: it builds the
// e2e suite out of the Go module k8s.io/kubernetes, makes the images that the specs name on the
// local engine, starts a daemon with a data directory of its own, runs specs and says how many
// passed, by group. Nothing is pulled from a registry.
//
//	go run . -list passing.txt
//	go run . -group sig-node -procs 4
//	go run . -focus 'ConfigMap should update' -out /tmp/out
//
// It is a module of its own, so that nothing of it reaches skiff's go.mod or `go test ./...`.
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
	"syscall"
	"time"
)

func main() {
	var o options
	flag.StringVar(&o.version, "version", "v1.34.4", "the Kubernetes `version` whose suite is run")
	flag.StringVar(&o.group, "group", "", "only the specs of this `sig`, as sig-apps")
	flag.StringVar(&o.focus, "focus", "", "only the specs whose name matches this `regexp`")
	flag.StringVar(&o.skip, "skip", "", "not the specs whose name matches this `regexp`")
	flag.StringVar(&o.list, "list", "", "only the specs named in this `file`, one a line")
	flag.BoolVar(&o.untried, "untried", false, "only the specs that are neither in passing.txt nor in failing.txt")
	flag.StringVar(&o.out, "out", "", "write the log, the report and the results to this `directory` (default: out in the cache)")
	flag.StringVar(&o.kubeconfig, "kubeconfig", "", "test the cluster of this `file`, and start no daemon")
	flag.StringVar(&o.skiff, "skiff", "", "the `binary` to test (default: built from this repository)")
	flag.IntVar(&o.procs, "procs", 2, "specs that run at once; those marked [Serial] run alone, at the end")
	flag.DurationVar(&o.timeout, "timeout", 3*time.Hour, "what is not done by then counts as failed, or as not tried")
	flag.IntVar(&o.attempts, "attempts", 1, "how often a spec may be tried until it passes; what did not pass at once is named")
	flag.BoolVar(&o.keepImages, "keep-images", false, "leave the images on the engine")
	flag.BoolVar(&o.update, "update", false, "write what passed and failed to passing.txt and failing.txt")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

type options struct {
	version                  string
	group, focus, skip, list string
	out, kubeconfig, skiff   string
	procs, attempts          int
	timeout                  time.Duration
	untried                  bool
	keepImages, update       bool
}

// errFellBack means that a spec of passing.txt did not pass.
var errFellBack = errors.New("specs that used to pass did not")

func run(ctx context.Context, o options) (err error) {
	root, err := repository(ctx)
	if err != nil {
		return err
	}
	here := filepath.Join(root, "integration", "conformance")
	suite, err := newSuite(ctx, o.version)
	if err != nil {
		return err
	}
	specs, err := suite.specs(ctx)
	if err != nil {
		return err
	}
	candidates := specs
	if o.untried {
		if candidates, err = unlisted(here, specs); err != nil {
			return err
		}
	}
	chosen, err := choose(candidates, o)
	if err != nil {
		return err
	}
	if o.out == "" {
		o.out = filepath.Join(suite.cache, "out")
	}
	if o.out, err = filepath.Abs(o.out); err != nil {
		return err
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	// What is set up is taken down again also after an interrupt.
	after := context.WithoutCancel(ctx)
	made, err := makeImages(ctx, suite, filepath.Join(here, "webserver"))
	if !o.keepImages {
		defer func() { err = errors.Join(err, removeImages(after, made)) }()
	}
	if err != nil {
		return err
	}
	if o.kubeconfig == "" {
		d, err := startDaemon(ctx, root, o.skiff, o.out)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, d.reset(after)) }()
		o.kubeconfig = d.kubeconfig()
	}
	report, err := suite.run(ctx, runOptions{specs: chosen, kubeconfig: o.kubeconfig, kubectl: suite.kubectl(), out: o.out, procs: o.procs, attempts: o.attempts, timeout: o.timeout})
	if err != nil {
		return err
	}
	return conclude(here, o, specs, report)
}

// conclude writes what came of a run, and judges it: a spec that is not in passing.txt may fail.
func conclude(here string, o options, specs []spec, r results) error {
	if err := writeResults(o.out, specs, r); err != nil {
		return err
	}
	printTable(os.Stdout, specs, r)
	fmt.Printf("\nresults, report and log: %s\n", o.out)
	passing, err := readList(filepath.Join(here, passingFile))
	if err != nil {
		return err
	}
	for _, name := range r.unsteady() {
		fmt.Printf("passed at try %d only: %s\n", r[name].attempts, name)
	}
	fallen := r.fallen(passing)
	for _, name := range fallen {
		fmt.Printf("fell back: %s\n    %s\n", name, r[name].message)
	}
	if o.update {
		return updateLists(here, specs, r)
	}
	if len(fallen) > 0 {
		return errFellBack
	}
	return nil
}

// repository is the top folder of skiff's sources, two above this module.
func repository(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("finding this module: %w", err)
	}
	mod := filepath.Dir(string(out))
	if filepath.Base(mod) != "conformance" {
		return "", fmt.Errorf("run this in integration/conformance, not in %s", mod)
	}
	return filepath.Dir(filepath.Dir(mod)), nil
}

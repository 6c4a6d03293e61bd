package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// threePods is what up -d --wait brings up.
const threePods = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: three}
spec:
  replicas: 3
  selector: {matchLabels: {app: three}}
  template:
    metadata: {labels: {app: three}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: app, image: ` + rawImage + `, imagePullPolicy: Never}]
`

// upWaits measures up -d --wait of three pods on a machine where no daemon runs yet, from the command to its
// end, beside raw starts of as many containers.
func upWaits(ctx context.Context, b *bench) ([]row, error) {
	file := filepath.Join(b.dir, "three.yaml")
	if err := os.WriteFile(file, []byte(threePods), 0o644); err != nil {
		return nil, err
	}
	var ours, raw []time.Duration
	for i := range b.rounds {
		r, err := b.rawReplicas(ctx, b.best, 3)
		if err != nil {
			return nil, err
		}
		dir := filepath.Join(b.dir, fmt.Sprintf("up-%d", i))
		skiff := b.tool(b.skiff, "--data-dir", dir)
		o, err := skiff(ctx, b.dir, "up -d --wait --settle=0 --listen=127.0.0.1:0 -f three.yaml")
		_, resetErr := skiff(context.WithoutCancel(ctx), b.dir, "daemon reset --yes")
		if err := errors.Join(err, resetErr); err != nil {
			return nil, err
		}
		raw, ours = append(raw, r), append(ours, o)
	}
	return []row{beyond("up -d --wait of three pods, the daemon's start included", median(ours), median(raw), 300, "ms")}, nil
}

// getPods measures get pods, the program's start included.
func getPods(ctx context.Context, b *bench) ([]row, error) {
	get := b.tool(b.skiff, "--data-dir", b.main.dir)
	var took []time.Duration
	for range 4 * b.rounds {
		d, err := get(ctx, b.dir, "get pods")
		if err != nil {
			return nil, err
		}
		took = append(took, d)
	}
	return []row{atMost("get pods", median(took), 40, "ms")}, nil
}

// trueJob is what skiff test runs.
const trueJob = `
apiVersion: batch/v1
kind: Job
metadata: {name: "true"}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: app, image: ` + rawImage + `, imagePullPolicy: Never, args: ["-batch=1ms"]}]
`

// testJob measures skiff test of a Job that does nothing, from the command to its end: a daemon of its own is
// started, and removed with all that it made.
func testJob(ctx context.Context, b *bench) ([]row, error) {
	if err := os.WriteFile(filepath.Join(b.dir, "true.yaml"), []byte(trueJob), 0o644); err != nil {
		return nil, err
	}
	test := b.tool(b.skiff)
	var took []time.Duration
	for range b.rounds {
		d, err := test(ctx, b.dir, "test -f true.yaml")
		if err != nil {
			return nil, err
		}
		took = append(took, d)
	}
	return []row{atMost("test of a Job of true", median(took), 1200, "ms")}, nil
}

// What logs -f reads: so many pods write so many lines each, numbered, as fast as they can.
const talkers, talkLines = 50, 4000

const talking = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: talkers}
spec:
  replicas: %d
  selector: {matchLabels: {app: talkers}}
  template:
    metadata: {labels: {app: talkers}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: app, image: ` + toolbox + `, imagePullPolicy: Never, command: [sh, -c, "i=0; while [ $i -lt %d ]; do i=$((i+1)); echo line $i; done; exec sleep 1000000"]}]
`

// followLogs measures how fast logs -f passes on what many pods have written, and fails if a line is lost or
// comes out of order within its pod.
func followLogs(ctx context.Context, b *bench) (rows []row, err error) {
	remove, err := b.makeToolbox(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	if err := os.WriteFile(filepath.Join(b.dir, "talkers.yaml"), fmt.Appendf(nil, talking, talkers, talkLines), 0o644); err != nil {
		return nil, err
	}
	skiff := b.tool(b.skiff, "--data-dir", b.main.dir)
	if _, err := skiff(ctx, b.dir, "up -d -f talkers.yaml"); err != nil {
		return nil, err
	}
	defer func() {
		_, downErr := skiff(context.WithoutCancel(ctx), b.dir, "down -f talkers.yaml")
		err = errors.Join(err, downErr)
	}()
	if err := b.untilAllTalked(ctx); err != nil {
		return nil, err
	}
	var ours, raw []float64
	for range b.rounds {
		r, err := b.rawLogs(ctx)
		if err != nil {
			return nil, err
		}
		o, err := b.followOnce(ctx)
		if err != nil {
			return nil, err
		}
		raw, ours = append(raw, talkers*talkLines/r.Seconds()), append(ours, talkers*talkLines/o.Seconds())
	}
	name := fmt.Sprintf("logs -f of %d pods", talkers)
	return []row{
		atLeast(name, medianOf(ours), 100000, "lines/s"),
		reaching(name+" beside the engine's own logs of their containers", medianOf(ours), medianOf(raw), 0.85, "lines/s"),
	}, nil
}

// rawLogs is how long the engine takes to hand out the same lines, all containers at once.
func (b *bench) rawLogs(ctx context.Context) (time.Duration, error) {
	instance, err := b.main.instance()
	if err != nil {
		return 0, err
	}
	list, err := b.engine.ContainerList(ctx, container.ListOptions{Filters: filters.NewArgs(filters.Arg("label", "skiff/instance="+instance), filters.Arg("label", "app=talkers"))})
	if err != nil {
		return 0, err
	}
	began := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for _, c := range list {
		group.Go(func() error {
			logs, err := b.engine.ContainerLogs(ctx, c.ID, container.LogsOptions{ShowStdout: true, ShowStderr: true})
			if err != nil {
				return err
			}
			defer logs.Close()
			_, err = io.Copy(io.Discard, logs)
			return err
		})
	}
	err = group.Wait()
	return time.Since(began), err
}

// untilAllTalked waits until the engine has the last line of every pod.
func (b *bench) untilAllTalked(ctx context.Context) error {
	list, err := b.kube.CoreV1().Pods("default").List(ctx, metav1.ListOptions{LabelSelector: "app=talkers"})
	if err != nil {
		return err
	}
	for _, p := range list.Items {
		for {
			last, err := exec.CommandContext(ctx, b.skiff, "--data-dir", b.main.dir, "logs", "--tail=1", p.Name).Output()
			if err != nil {
				return fmt.Errorf("the last line of %s: %w", p.Name, err)
			}
			if strings.HasSuffix(string(last), fmt.Sprintf("line %d\n", talkLines)) {
				break
			}
			if err := wait(ctx, 50*time.Millisecond); err != nil {
				return err
			}
		}
	}
	return nil
}

// followOnce reads all lines of all pods once.
func (b *bench) followOnce(ctx context.Context) (time.Duration, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	cmd := exec.CommandContext(ctx, b.skiff, "--data-dir", b.main.dir, "logs", "-f", "--prefix", "-l", "app=talkers", "--tail=-1", "--max-log-requests", strconv.Itoa(talkers))
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	cmd.Stderr = os.Stderr
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer cmd.Wait() //nolint:errcheck // it is killed
	defer stop()
	seen, total := map[string]int{}, 0
	for lines := bufio.NewScanner(out); total < talkers*talkLines; total++ {
		if !lines.Scan() {
			return 0, fmt.Errorf("the output ended after %d lines: %w", total, lines.Err())
		}
		prefix, number, _ := strings.Cut(lines.Text(), " line ")
		if n, err := strconv.Atoi(number); err != nil || n != seen[prefix]+1 {
			return 0, fmt.Errorf("after line %d of %s comes %q", seen[prefix], prefix, lines.Text())
		}
		seen[prefix]++
	}
	return time.Since(began), nil
}

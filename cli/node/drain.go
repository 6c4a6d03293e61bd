package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/pods"
	"skiff/cli/resource"
)

// Drain is skiff drain.
func Drain(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "drain", Usage: "Drain node in preparation for maintenance", ArgsUsage: "NODE",
		Description: `The node is cordoned, and its pods are evicted as far as disruption budgets allow; the command returns when they are
gone. Pods of DaemonSets stay, for their controller would only make them again. Pods that no controller would make again,
and those that would lose an emptyDir, are not touched unless a flag says so.`,
		Flags: command.Flags(command.SelectorFlag(), command.DryRunFlag(), command.ChunkFlag(),
			&cli.BoolFlag{Name: "ignore-daemonsets", Usage: "proceed despite pods of DaemonSets, which stay"},
			&cli.BoolFlag{Name: "delete-emptydir-data", Usage: "proceed despite pods with an emptyDir, whose data is lost"},
			&cli.BoolFlag{Name: "force", Usage: "proceed despite pods that no controller will replace"},
			&cli.IntFlag{Name: "grace-period", Value: -1, Usage: "`SECONDS` each pod has to terminate; negative for its own"},
			&cli.DurationFlag{Name: "timeout", Usage: "how long to wait before giving up; 0 for no limit"},
			&cli.StringFlag{Name: "pod-selector", Usage: "only the node's pods with these `LABELS`"},
			&cli.BoolFlag{Name: "disable-eviction", Usage: "delete pods instead of evicting them: disruption budgets are bypassed"},
			&cli.IntFlag{Name: "skip-wait-for-delete-timeout", Usage: "do not wait for pods that have been terminating for longer than `SECONDS`"}),
		Action: func(c *cli.Context) error { return runDrain(c, env) },
	},
		"skiff drain worker-1 --ignore-daemonsets",
		"skiff drain worker-1 --force --grace-period=0 --timeout=1m",
		"skiff uncordon worker-1   # afterwards")
}

// drainer empties nodes.
type drainer struct {
	env    *command.Env
	client *client.Client
	dryRun command.DryRun

	ignoreDaemonSets, deleteLocal, force, disableEviction bool
	grace                                                 int64 // seconds, negative for the pods' own
	timeout                                               time.Duration
	selector                                              string
	skipAfter                                             int // seconds
	chunk                                                 int64
	out, err                                              io.Writer
}

// shared is a stream that several goroutines write to, a line at a time.
type shared struct {
	mu *sync.Mutex
	io.Writer
}

func (s shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Writer.Write(p)
}

func readDrain(c *cli.Context, env *command.Env) (*drainer, error) {
	mu := &sync.Mutex{}
	d := &drainer{
		env: env, ignoreDaemonSets: c.Bool("ignore-daemonsets"), deleteLocal: c.Bool("delete-emptydir-data"), force: c.Bool("force"),
		disableEviction: c.Bool("disable-eviction"), grace: int64(c.Int("grace-period")), timeout: c.Duration("timeout"),
		selector: c.String("pod-selector"), skipAfter: c.Int("skip-wait-for-delete-timeout"), chunk: c.Int64("chunk-size"),
		out: shared{mu, env.Out}, err: shared{mu, env.Err},
	}
	if _, err := labels.Parse(d.selector); err != nil {
		return nil, errors.New("--pod-selector=<pod_selector> must be a valid label selector")
	}
	var err error
	if d.dryRun, err = env.ReadDryRun(c); err != nil {
		return nil, err
	}
	d.client, err = env.Connect(c)
	return d, err
}

func runDrain(c *cli.Context, env *command.Env) error {
	switch {
	case !c.Args().Present() && c.String("selector") == "":
		return command.UsageErrorf("drain", "USAGE: drain NODE [flags]")
	case c.Args().Present() && c.String("selector") != "":
		return command.UsageErrorf("drain", "error: cannot specify both a node name and a --selector option")
	}
	d, err := readDrain(c, env)
	if err != nil {
		return err
	}
	var names []string
	if err := each(c, env, d.client, c.Args().Slice(), func(o resource.Object, n *corev1.Node) error {
		names = append(names, n.Name)
		return setUnschedulable(c.Context, env, d.client, o, n, "cordon", true, d.dryRun)
	}); err != nil {
		return err
	}
	var failed []string
	var errs []error
	for _, name := range names {
		if err := d.drain(c.Context, name); err != nil {
			fmt.Fprintf(d.err, "error: unable to drain node %q due to error: %s, continuing command...\n", name, err)
			failed, errs = append(failed, name), append(errs, err)
			continue
		}
		fmt.Fprintf(d.out, "node/%s drained%s\n", name, d.dryRun.Suffix())
	}
	if len(failed) == 0 {
		return nil
	}
	fmt.Fprintf(d.err, "There are pending nodes to be drained:\n %s\n", strings.Join(failed, "\n "))
	return verbatim(errs)
}

// verbatim prints each error on a line of its own, as kubectl does here.
func verbatim(errs []error) error {
	var lines []string
	for _, err := range utilerrors.Flatten(utilerrors.NewAggregate(errs)).Errors() {
		lines = append(lines, err.Error())
	}
	return command.Verbatim{Message: strings.Join(lines, "\n")}
}

// drain empties one node.
func (d *drainer) drain(ctx context.Context, node string) error {
	all, err := d.podsOf(ctx, node)
	if err != nil {
		return err
	}
	chosen := d.choose(ctx, all)
	if err := chosen.err(); err != nil {
		return err
	}
	if warnings := chosen.warnings(); warnings != "" {
		fmt.Fprintf(d.err, "Warning: %s\n", warnings)
	}
	if d.dryRun == command.DryRunClient {
		for _, p := range chosen.evict {
			fmt.Fprintf(d.out, "evicting pod %s/%s (dry run)\n", p.Namespace, p.Name)
		}
		return nil
	}
	err = d.evictAll(ctx, chosen.evict)
	if err != nil {
		d.tellPending(ctx, node, err)
	}
	return err
}

func (d *drainer) podsOf(ctx context.Context, node string) ([]corev1.Pod, error) {
	ref, err := pods.Ref(d.client, "", "")
	if err != nil {
		return nil, err
	}
	return client.ListOf[corev1.Pod](ctx, d.client, ref, client.ListOptions{Labels: d.selector, Fields: "spec.nodeName=" + node, Chunk: d.chunk})
}

// tellPending names the pods that are still there.
func (d *drainer) tellPending(ctx context.Context, node string, cause error) {
	all, err := d.podsOf(ctx, node)
	if err != nil {
		return // what matters has been said
	}
	left := d.choose(ctx, all).evict
	if len(left) == 0 {
		return
	}
	fmt.Fprintf(d.err, "There are pending pods in node %q when an error occurred: %v\n", node, cause)
	for _, p := range left {
		fmt.Fprintf(d.err, "pod/%s\n", p.Name)
	}
}

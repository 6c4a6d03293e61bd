// Package up runs an application as docker compose does: up applies its manifests, shows it come up and follows its
// logs; down takes it away again. It works on any Kubernetes cluster; skiff's own daemon is started when needed.
package up

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"

	"skiff/cli/apply"
	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/pods"
	"skiff/cli/resource"
)

// Command is skiff up.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "up", Usage: "Start an application: apply its manifests, show it come up, follow its logs", ArgsUsage: "[-f FILE…]",
		Description: "Without -f, skiff.yaml or the directory manifests/ is used. The daemon is started if none runs, unless --context or --kubeconfig\n" +
			"names another cluster. Ctrl-C deletes what was started; a second one does not wait. The exit code is not 0 when something\ncannot come up, and stderr says why.",
		Flags: command.Flags(command.FileFlags("start"),
			&cli.BoolFlag{Name: "detach", Aliases: []string{"d"}, Usage: "leave it running when it is up"},
			&cli.BoolFlag{Name: "wait", Usage: "leave it running when it is up and its jobs have completed"},
			&cli.DurationFlag{Name: "timeout", Value: 5 * time.Minute, Usage: "give up when it is not up after this time; 0 for as long as it takes"},
			&cli.BoolFlag{Name: "no-logs", Usage: "do not follow the logs"}),
		Action: func(c *cli.Context) error { return run(c, env) },
	},
		"skiff up -f kubia.yaml",
		"skiff up -f manifests/ -d --timeout=1m",
		"skiff up -f job.yaml --wait                # in CI: until its jobs have completed",
		"skiff --context prod up -f kubia.yaml -d   # the same files on a real cluster")
}

// options are the flags.
type options struct {
	detach   bool
	complete bool
	timeout  time.Duration
	noLogs   bool
}

// runner is one run of up.
type runner struct {
	options
	env     *command.Env
	client  *client.Client
	targets []resource.Target
	// created are the targets this run brought into being: what an interrupt takes away again.
	created []resource.Target
	start   time.Time
	mirror  *mirror
}

func run(c *cli.Context, env *command.Env) error {
	stop := watchInterrupts(c.Context, env)
	defer stop.end()
	r := &runner{env: env, start: env.Now(), options: options{detach: c.Bool("detach") || c.Bool("wait"), complete: c.Bool("wait"), timeout: c.Duration("timeout"), noLogs: c.Bool("no-logs")}}
	if err := r.prepare(stop.first, c); err != nil {
		return err
	}
	err := r.up(stop.first)
	if stop.first.Err() != nil {
		return r.interrupted(stop)
	}
	return err
}

// prepare reads the manifests, sees to the daemon and its engine, and finds where everything belongs. Nothing is changed yet.
func (r *runner) prepare(ctx context.Context, c *cli.Context) error {
	manifests, err := read(ctx, c, r.env)
	if err != nil {
		return err
	}
	own := r.env.OwnCluster(c) && r.env.EnsureDaemon != nil
	if own {
		if err := r.ensureDaemon(ctx, c); err != nil {
			return err
		}
	}
	if r.client, err = r.env.Connect(c); err != nil {
		return err
	}
	// Another cluster's nodes are others' business, and may be made when pods wait for them.
	if own {
		if why := notReady(ctx, r.client); why != "" {
			return fmt.Errorf("nothing was started, for no pod can run: %s", why)
		}
	}
	r.targets, err = place(resource.Finder{Client: r.client, In: r.env.In}, manifests)
	return err
}

func (r *runner) ensureDaemon(ctx context.Context, c *cli.Context) error {
	dir, err := r.env.DataDir(c)
	if err != nil {
		return err
	}
	_, started, err := r.env.EnsureDaemon(ctx, dir)
	if err != nil {
		return fmt.Errorf("starting the skiff daemon: %w", err)
	}
	if started {
		fmt.Fprintln(r.env.Err, "skiff daemon started")
	}
	return nil
}

func (r *runner) up(ctx context.Context) error {
	if err := r.apply(ctx); err != nil {
		return err
	}
	var workloads []client.Ref
	for _, t := range r.targets {
		if isWorkload(t.Ref) {
			workloads = append(workloads, t.Ref)
		}
	}
	if len(workloads) == 0 {
		return nil
	}
	r.mirror = newMirror(r.client, r.env.Clock, workloads)
	ctx, cancel := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return r.mirror.Run(ctx) })
	err := r.watch(ctx, group)
	cancel()
	return command.Join(err, group.Wait())
}

// apply brings the objects about, in order. It stops at the first one that is refused, and says what there is by then.
func (r *runner) apply(ctx context.Context) error {
	applier := apply.NewApplier(r.client, func(format string, a ...any) { fmt.Fprintf(r.env.Err, format, a...) })
	for _, t := range r.targets {
		_, outcome, err := applier.Apply(ctx, t)
		if err != nil {
			if len(r.created) > 0 && ctx.Err() == nil {
				fmt.Fprintf(r.env.Err, "Created before that, and left: %s\n", names(r.created))
			}
			return err
		}
		if outcome == apply.Created {
			r.created = append(r.created, t)
		}
		fmt.Fprintf(r.env.Err, "%s %s\n", t.Ref, outcome)
	}
	return nil
}

func names(targets []resource.Target) string {
	out := make([]string, len(targets))
	for i, t := range targets {
		out[i] = t.Ref.String()
	}
	return strings.Join(out, ", ")
}

// watch shows everything come up, and then follows the logs unless told not to.
func (r *runner) watch(ctx context.Context, group *errgroup.Group) error {
	v := newView(r.env.Streams, r.start)
	err := r.untilUp(ctx, v)
	v.close()
	if err != nil || r.detach {
		return err
	}
	return r.untilDone(ctx, group)
}

// How often the view is drawn anew: a live one moves, a plain one only looks whether a state has lasted too long.
const (
	liveInterval  = 100 * time.Millisecond
	plainInterval = time.Second
)

func (r *runner) untilUp(ctx context.Context, v view) error {
	var timeout <-chan time.Time
	if r.timeout > 0 {
		t := r.env.Clock.NewTimer(r.timeout)
		defer t.Stop()
		timeout = t.C()
	}
	interval := plainInterval
	if r.env.Terminal.Err {
		interval = liveInterval
	}
	ticker := r.env.Clock.NewTicker(interval)
	defer ticker.Stop()
	for {
		s, broken := r.mirror.snapshot()
		now := r.env.Now()
		p := look(s, now, r.complete)
		v.show(p, now)
		switch {
		case p.failure != nil:
			v.close()
			return command.Verbatim{Message: explain(ctx, r.client, *p.failure) + r.nodes(ctx)}
		case p.up:
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timeout:
			return r.timedOut(ctx, s, p, broken)
		case <-r.mirror.changed:
		case <-ticker.C():
		}
	}
}

// timedOut says what was not up in time, and the last warning about a pod that was not.
func (r *runner) timedOut(ctx context.Context, s snapshot, p picture, broken error) error {
	var late []string
	for _, l := range p.lines {
		if l.phase == pending {
			late = append(late, l.name+" ("+l.text+")")
		}
	}
	text := fmt.Sprintf("error: timed out after %s waiting for %s\n", r.timeout, strings.Join(late, ", "))
	if broken != nil {
		text += fmt.Sprintf("  the server could last not be asked: %v\n", broken)
	}
	for _, w := range s.workloads {
		for _, pod := range s.podsOf(w) {
			if reason, message := lastWarning(ctx, r.client, pod); !pods.Ready(pod) && message != "" {
				return command.Verbatim{Message: text + "  event: " + joinReason(reason, message) + "\n" + r.nodes(ctx)}
			}
		}
	}
	return command.Verbatim{Message: text + r.nodes(ctx)}
}

// nodes is a line that says why no node is ready, when none is: then that is the cause of whatever else went wrong.
func (r *runner) nodes(ctx context.Context) string {
	if why := notReady(ctx, r.client); why != "" {
		return "  " + why + "\n"
	}
	return ""
}

// untilDone follows the logs until everything has ended or ctx does. What fails now fails the run when all has ended.
func (r *runner) untilDone(ctx context.Context, group *errgroup.Group) error {
	f := newFollower(r.client, r.env.Streams, group)
	if r.env.Terminal.Err {
		fmt.Fprintln(r.env.Err, "Ctrl-C stops what was started.")
	}
	for {
		s, _ := r.mirror.snapshot()
		if !r.noLogs {
			for _, w := range s.workloads {
				f.update(ctx, s.podsOf(w))
			}
		}
		if p := look(s, r.env.Now(), true); p.done {
			f.drain()
			if p.failure != nil {
				return command.Verbatim{Message: explain(ctx, r.client, *p.failure)}
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-r.mirror.changed:
		}
	}
}

// interrupted takes away what this run created, unless it was to be left running.
func (r *runner) interrupted(stop *interrupts) error {
	if r.client == nil || len(r.created) == 0 {
		return command.Exit{Code: 130}
	}
	fmt.Fprintln(r.env.Err, "\nStopping what was started; Ctrl-C once more does not wait.")
	d := &deleter{client: r.client, env: r.env, grace: -1}
	err := d.delete(stop.second, r.created)
	if stop.second.Err() != nil {
		err = d.force(context.WithoutCancel(stop.second), r.created)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return command.Exit{Code: 130}
}

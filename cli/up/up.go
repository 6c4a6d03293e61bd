// Package up runs an application as docker compose does: up applies its manifests, shows it come up
// and follows its logs; down takes it away again. It works on any Kubernetes cluster, and starts
// skiff's own daemon when needed.
package up

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/types"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/compose"
	"skiff/cli/diagnosis"
	"skiff/cli/node"
	"skiff/cli/resource"
	"skiff/daemon/config"
)

// Command is skiff up.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "up", Usage: "Start an application: apply its manifests, show it come up, follow its logs", ArgsUsage: "[-f FILE…]",
		Description: "Without -f, skiff.yaml, the directory manifests/ or the folder's compose.yaml, kustomization.yaml or Chart.yaml is used. The daemon is\n" +
			"started if none runs, unless --context or --kubeconfig names another cluster. Ctrl-C stops the application, as skiff stop does, and\n" +
			"deletes nothing but pods on their own; the next up or skiff start goes on. A second one does not wait. With --detach or --wait nothing\n" +
			"is stopped. The exit code is not 0 when something cannot come up, and stderr says why; with --exit-code-from and its like it is that of\n" +
			"a container.\n\n" +
			"--dry-run says what would be created, changed, left, started again and pruned, and asks the daemon that runs; it starts none.\n\n" +
			"The objects are recorded as those of one project, the way kubectl apply --prune --applyset=configmaps/applyset-PROJECT does: the next\n" +
			"up names what is no longer in the manifests, and down deletes it too. The project's name is that of the folder and the file, shop-web\n" +
			"for shop/web.yaml, or of the folder alone for skiff.yaml and manifests/; nothing is recorded from standard input without --project.\n\n" +
			"A compose file is converted as skiff convert does it. Its objects are in a namespace of the project's name, and services that depend on\n" +
			"others start when these have started, are healthy or have completed, as the file says.",
		Flags: command.Flags(ApplicationFlags("start"),
			&cli.BoolFlag{Name: "detach", Aliases: []string{"d"}, Usage: "leave it running once it is up"},
			&cli.BoolFlag{Name: "wait", Usage: "leave it running once it is up and its jobs have completed"},
			watchFlag(),
			&cli.DurationFlag{Name: "timeout", Value: 5 * time.Minute, Usage: "give up if it is not up after this time; 0 for no limit"},
			&cli.BoolFlag{Name: "no-roll", Usage: "leave pods as they are whose image was built anew under the same name"},
			&cli.BoolFlag{Name: "rerun", Usage: "run jobs, and pods on their own, again that have completed"},
			&cli.BoolFlag{Name: "replace", Usage: "delete and create again what cannot be changed in place"},
			&cli.BoolFlag{Name: "prune", Usage: "delete the project's objects that are no longer in the manifests"},
			command.ListenFlag(), modeFlags(),
			&cli.BoolFlag{Name: "no-logs", Usage: "do not follow the logs"}),
		Action: func(c *cli.Context) error {
			o, err := readOptions(c, env)
			if err != nil {
				return err
			}
			return run(c, env, o)
		},
	},
		"skiff up -f kubia.yaml",
		"skiff up -f manifests/ -d --timeout=1m",
		"skiff up -f job.yaml --wait                # in CI: until its jobs have completed",
		"skiff up --exit-code-from job/tests        # until the tests are over, with their exit code",
		"skiff up --scale web=3 --dry-run           # what would change",
		"skiff --context prod up -f kubia.yaml -d   # the same files on a real cluster")
}

// SourceFlags are those that say which application a command is about, as up has them. what says what is done with the
// objects in the files.
func SourceFlags(what string) []cli.Flag {
	return command.Flags(command.FileFlags(what), command.ChartFlags(), compose.Flags(), projectFlag())
}

// ApplicationFlags are those that say which application is brought up, and how: up and test have them. what
// says what is done with the objects in the files.
func ApplicationFlags(what string) []cli.Flag {
	return command.Flags(SourceFlags(what),
		&cli.DurationFlag{Name: "settle", Usage: "how long a container without a readiness probe must run to count as up; 0 for not at all (default 500ms, 1s with --wait)"},
		&cli.BoolFlag{Name: "build", Usage: "build images also where the engine has them"},
		&cli.BoolFlag{Name: "ignore-unknown", Usage: "skip objects whose kinds the server does not have, with a warning, and start the others"})
}

// Bring is up --wait on a daemon that is removed afterwards, for a command that has ApplicationFlags and
// --timeout.
func Bring(c *cli.Context, env *command.Env) error {
	o, err := readOptions(c, env)
	if err != nil {
		return err
	}
	o.detach, o.complete, o.passing = true, true, true
	if !c.IsSet("settle") {
		o.settle = longSettle
	}
	return run(c, env, o)
}

// options are the flags.
type options struct {
	watches  bool
	detach   bool
	complete bool
	timeout  time.Duration
	settle   time.Duration
	noLogs   bool
	replace  bool
	prune    bool
	noRoll   bool
	rerun    bool
	modes
	// passing means that whatever is created goes away soon: an interrupt need not say what to do with it.
	passing bool
}

// How long a container without a readiness probe must run to count as up, unless --settle says
// otherwise: without and with --wait.
const (
	shortSettle = 500 * time.Millisecond
	longSettle  = time.Second
)

func readOptions(c *cli.Context, env *command.Env) (options, error) {
	o := options{watches: c.Bool("watch"), detach: c.Bool("detach") || c.Bool("wait"), complete: c.Bool("wait"), timeout: c.Duration("timeout"), settle: shortSettle, noLogs: c.Bool("no-logs"), replace: c.Bool("replace"), prune: c.Bool("prune"), noRoll: c.Bool("no-roll"), rerun: c.Bool("rerun")}
	var err error
	if o.modes, err = readModes(c, env); err != nil {
		return o, err
	}
	o.reconcile(c)
	switch {
	case c.IsSet("settle"):
		o.settle = c.Duration("settle")
	case o.complete:
		o.settle = longSettle
	}
	if o.settle < 0 {
		return o, fmt.Errorf("--settle is 0 or more, not %s", o.settle)
	}
	return o, nil
}

// runner is one run of up.
type runner struct {
	options
	env    *command.Env
	client *client.Client
	// engine is that of skiff's own cluster; nil for another one. images is the same while it can be asked.
	engine, images config.Images
	targets        []resource.Target
	// created are the targets that this run has created: with --rm an interrupt deletes them.
	created     []resource.Target
	createdUIDs map[client.Ref]types.UID
	// replaced are those that it has deleted and created again.
	replaced map[client.Ref]bool
	set      *ownSet
	// appliedUIDs are the objects of the targets, and generations those as which they were applied.
	appliedUIDs map[types.UID]bool
	generations map[types.UID]int64
	// unchanged are the targets that were already as the manifests have them.
	unchanged map[client.Ref]bool
	// before is what each target waits for before it is applied.
	before map[client.Ref][]prerequisite
	// waiting is what the run waits for before it watches what it has applied.
	waiting string
	start   time.Time
	mirror  *mirror
	hints   hints
	// looked is when the state was last looked at.
	looked time.Time
	// incidents are what events say; told are the deaths that the user knows of.
	incidents *incidents
	told      map[string]bool
	// logs follows those of all containers; tails are the ends of those that the view shows.
	logs  *follower
	tails *tails
	// exitFrom is the workload whose end ends everything, and verdict the end that has.
	exitFrom client.Ref
	verdict  *verdict
	// ended are the failures of the pods of jobs.
	ended *diagnosis.Recorder
	// watching is what --watch is about.
	watching watching
}

func run(c *cli.Context, env *command.Env, o options) error {
	stop := watchInterrupts(c.Context, env)
	defer stop.end()
	r := &runner{env: env, start: env.Now(), options: o, hints: readHints(c), appliedUIDs: map[types.UID]bool{}, generations: map[types.UID]int64{},
		unchanged: map[client.Ref]bool{}, createdUIDs: map[client.Ref]types.UID{}, replaced: map[client.Ref]bool{}, told: map[string]bool{}}
	err := r.prepare(stop.first, c)
	defer r.closeImages() //nolint:errcheck // nothing was written to it
	if err != nil {
		return err
	}
	err = r.up(stop.first)
	switch {
	case stop.first.Err() != nil:
		return r.interrupted(stop)
	case err != nil && r.aborts():
		return r.abort(stop, err)
	}
	return err
}

// prepare reads the manifests, starts the daemon if need be, checks its node, and finds where
// everything belongs. Nothing is changed yet.
func (r *runner) prepare(ctx context.Context, c *cli.Context) error {
	app, err := read(ctx, c, r.env)
	if err != nil {
		return err
	}
	own, err := r.ensureDaemon(ctx, c)
	if err != nil {
		return err
	}
	if r.client, err = connect(c, r.env, app); err != nil {
		return err
	}
	// The nodes of another cluster are not ours to judge, and may be made when pods wait for them.
	if own {
		if why, err := node.Trouble(ctx, r.client); err == nil && why != "" {
			return fmt.Errorf("nothing was started, for no pod can run: %s", why)
		}
	}
	var strangers unknown
	finder := resource.Finder{Client: r.client, In: r.env.In}
	if err := finder.Define(app.manifests); err != nil {
		return err
	}
	if r.targets, strangers, err = place(finder, app.manifests); err != nil {
		return command.Join(err, strangers.refuse(""))
	}
	if err := strangers.admit(r.env, c.Bool("ignore-unknown"), len(r.targets)); err != nil {
		return err
	}
	if r.before, err = prerequisites(r.targets); err != nil {
		return err
	}
	if err := r.arrange(ctx); err != nil {
		return err
	}
	project, err := readProject(c, r.env, app)
	if err != nil {
		return err
	}
	if err := r.openImages(ctx, own); err != nil {
		return err
	}
	if err := r.build(ctx, c, app); err != nil {
		return err
	}
	if r.set, err = openSet(ctx, r.client, r.env, project, "objects that leave the manifests will not be noticed"); err != nil {
		return err
	}
	return r.set.label(r.targets)
}

// connect returns a client whose namespace is that of the application.
func connect(c *cli.Context, env *command.Env, app application) (*client.Client, error) {
	cl, err := env.Connect(c)
	if err == nil && app.compose != nil {
		cl.Namespace = app.compose.Namespace
	}
	return cl, err
}

// arrange makes the targets such as the flags want them.
func (r *runner) arrange(ctx context.Context) error {
	if err := command.Join(r.rescale(), r.chooseEnd()); err != nil || !r.noStart {
		return err
	}
	r.before = nil
	return r.holdBack(ctx)
}

func (r *runner) up(ctx context.Context) error {
	if r.simulates() {
		return r.simulate(ctx)
	}
	ctx, cancel := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	timely, stop := bounded(ctx, group, r.env.Clock, r.timeout)
	r.logs = newFollower(r.client, r.env.Streams, group)
	if len(r.before) > 0 {
		r.observe(ctx, group)
	}
	err := r.inTime(timely, r.apply(timely))
	if err == nil && !r.noStart && !r.recreate {
		err = r.inTime(timely, r.rollRebuilt(timely))
	}
	if err == nil {
		err = r.comeUp(ctx, timely, group)
	}
	stop()
	cancel()
	return command.Join(err, group.Wait())
}

// comeUp shows the workloads come up before timely ends, and follows them until ctx does.
func (r *runner) comeUp(ctx, timely context.Context, group *errgroup.Group) error {
	if r.noStart {
		fmt.Fprint(r.env.Err, r.unstartedNotice())
		return nil
	}
	if !slices.ContainsFunc(r.targets, func(t resource.Target) bool { return isWorkload(t.Ref) }) {
		r.showAddresses(ctx)
		return nil
	}
	r.observe(ctx, group)
	return r.watch(ctx, timely, group)
}

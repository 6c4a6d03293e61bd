// Package logs prints the logs of containers: skiff logs.
package logs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/compose"
	"skiff/cli/pods"
)

// Command is skiff logs.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "logs", Usage: "Print the logs for a container in a pod", ArgsUsage: "(POD | TYPE/NAME | -l LABELS) [-c CONTAINER]",
		Flags: command.Flags(command.SelectorFlag(),
			&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "follow the log as it grows"},
			&cli.BoolFlag{Name: "previous", Aliases: []string{"p"}, Usage: "show the log of the container's previous instance"},
			&cli.Int64Flag{Name: "tail", Value: -1, Usage: "show the last `LINES` only; -1 for all, 10 with a selector"},
			&cli.DurationFlag{Name: "since", Usage: "show what is newer than this, such as 5s, 2m, 3h"},
			&cli.StringFlag{Name: "since-time", Usage: "show what is newer than this `TIME` (RFC3339)"},
			&cli.BoolFlag{Name: "timestamps", Usage: "prefix each line with its time"},
			&cli.StringFlag{Name: "container", Aliases: []string{"c"}, Usage: "show this `CONTAINER`"},
			&cli.BoolFlag{Name: "all-containers", Usage: "show all containers of the pod"},
			&cli.BoolFlag{Name: "all-pods", Usage: "show all pods of a controller, each line with its source"},
			&cli.BoolFlag{Name: "prefix", Usage: "prefix each line with its source: pod and container"},
			&cli.Int64Flag{Name: "limit-bytes", Usage: "show at most this many `BYTES`"},
			&cli.BoolFlag{Name: "ignore-errors", Usage: "with --follow, go on even if a container's log fails"},
			&cli.BoolFlag{Name: "insecure-skip-tls-verify-backend", Usage: "do not verify the node's certificate; skiff's own daemon needs none"},
			&cli.IntFlag{Name: "max-log-requests", Value: 5, Usage: "follow at most this many `LOGS` at once"},
			&cli.DurationFlag{Name: "pod-running-timeout", Value: 20 * time.Second, Usage: "how long to wait for a controller's first pod, and with --follow for a container to start"},
		),
		Action: func(c *cli.Context) error { return run(c, env) },
	},
		"skiff logs kubia-dssvz",
		"skiff logs -f rc/kubia --all-pods          # all its pods, each in its colour",
		"skiff logs kubia-dssvz --previous --tail=20",
		"skiff logs -l app=kubia --since=5m --prefix",
		"skiff logs job/batch-job --timestamps")
}

// options are the flags.
type options struct {
	pod           corev1.PodLogOptions
	container     string
	allContainers bool
	allPods       bool
	selector      string
	prefix        bool
	ignoreErrors  bool
	max           int
	patience      time.Duration
}

// Source is one container's log.
type Source struct {
	Namespace, Pod, Container string
}

func run(c *cli.Context, env *command.Env) error {
	o, err := read(c)
	if err != nil {
		return err
	}
	cl, err := compose.Connect(c, env)
	if err != nil {
		return err
	}
	l := &lister{env: env, client: cl, options: o, finder: pods.Finder{Client: cl, Clock: env.Clock, Err: env.Err, Patience: o.patience}}
	sources, err := l.sources(c.Context, c.Args().Slice())
	if none := (*pods.NoPodsError)(nil); errors.As(err, &none) {
		return l.kept(c.Context, none)
	}
	if err != nil || len(sources) == 0 {
		return err
	}
	if o.pod.Follow && len(sources) > o.max {
		return fmt.Errorf("you are attempting to follow %d log streams, but maximum allowed concurrency is %d, use --max-log-requests to increase the limit", len(sources), o.max)
	}
	w := newWriter(env.Streams, o.prefix, len(sources) > 1)
	if !o.pod.Follow {
		return l.inTurn(c.Context, sources, w)
	}
	return command.Join(l.follow(c.Context, sources, w), c.Context.Err())
}

// usage is the error when nothing, or too much, was named.
const usage = "expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\nPOD or TYPE/NAME is a required argument for the logs command"

func read(c *cli.Context) (options, error) {
	o := options{container: c.String("container"), allContainers: c.Bool("all-containers"), allPods: c.Bool("all-pods"), selector: c.String("selector"),
		prefix: c.Bool("prefix") || c.Bool("all-pods"), ignoreErrors: c.Bool("ignore-errors"), max: c.Int("max-log-requests"), patience: c.Duration("pod-running-timeout")}
	o.pod = corev1.PodLogOptions{Follow: c.Bool("follow"), Previous: c.Bool("previous"), Timestamps: c.Bool("timestamps"),
		InsecureSkipTLSVerifyBackend: c.Bool("insecure-skip-tls-verify-backend")}
	switch {
	case o.selector == "" && c.NArg() == 0, c.NArg() > 2:
		return o, command.UsageErrorf("logs", usage)
	case o.selector != "" && c.NArg() > 0:
		return o, command.UsageErrorf("logs", "only a selector (-l) or a POD name is allowed")
	case c.NArg() == 2 && o.container != "":
		return o, errors.New("only one of -c or an inline [CONTAINER] arg is allowed")
	case o.allContainers && o.container != "":
		return o, fmt.Errorf("--all-containers=true should not be specified with container name %s", o.container)
	}
	if c.NArg() == 2 {
		o.container = c.Args().Get(1)
	}
	return o, o.readLimits(c)
}

func (o *options) readLimits(c *cli.Context) error {
	since, sinceTime, tail, limit := c.Duration("since"), c.String("since-time"), c.Int64("tail"), c.Int64("limit-bytes")
	switch {
	case since != 0 && sinceTime != "":
		return errors.New("at most one of `sinceTime` or `sinceSeconds` may be specified")
	case c.IsSet("since") && since <= 0:
		return errors.New("--since must be greater than 0")
	case tail < -1:
		return errors.New("--tail must be greater than or equal to -1")
	case c.IsSet("limit-bytes") && limit <= 0:
		return errors.New("--limit-bytes must be greater than 0")
	}
	if since > 0 {
		seconds := int64(since.Round(time.Second).Seconds())
		o.pod.SinceSeconds = &seconds
	}
	if sinceTime != "" {
		t, err := time.Parse(time.RFC3339, sinceTime)
		if err != nil {
			return err
		}
		o.pod.SinceTime = &metav1.Time{Time: t}
	}
	if o.selector != "" && !c.IsSet("tail") {
		tail = 10
	}
	if tail >= 0 {
		o.pod.TailLines = &tail
	}
	if limit > 0 {
		o.pod.LimitBytes = &limit
	}
	return nil
}

// lister finds out whose logs are meant.
type lister struct {
	options
	env    *command.Env
	client *client.Client
	finder pods.Finder
}

func (l *lister) sources(ctx context.Context, args []string) ([]Source, error) {
	all, err := l.pods(ctx, args)
	if err != nil {
		return nil, err
	}
	var out []Source
	for i := range all {
		names, err := l.containers(&all[i])
		if err != nil {
			return nil, err
		}
		for _, n := range names {
			out = append(out, Source{Namespace: all[i].Namespace, Pod: all[i].Name, Container: n})
		}
	}
	return out, nil
}

func (l *lister) pods(ctx context.Context, args []string) ([]corev1.Pod, error) {
	if l.selector != "" {
		selector, err := labels.Parse(l.selector)
		if err != nil {
			return nil, err
		}
		all, err := l.finder.List(ctx, l.client.Namespace, selector)
		if err == nil && len(all) == 0 {
			fmt.Fprintf(l.env.Err, "No resources found in %s namespace.\n", l.client.Namespace)
		}
		return all, err
	}
	o, err := pods.Named(ctx, l.client, args[0])
	if err != nil {
		return nil, err
	}
	if l.allPods {
		return l.finder.All(ctx, o)
	}
	pod, n, err := l.finder.One(ctx, o, pods.ForLogs)
	if err != nil {
		return nil, err
	}
	if n > 1 {
		fmt.Fprintf(l.env.Err, "Found %d pods, using pod/%s\n", n, pod.Name)
	}
	return []corev1.Pod{*pod}, nil
}

// containers are those of a pod whose logs are meant.
func (l *lister) containers(p *corev1.Pod) ([]string, error) {
	if l.allContainers {
		return pods.Containers(p), nil
	}
	name, note, err := pods.Container(p, l.container)
	fmt.Fprint(l.env.Err, note)
	return []string{name}, err
}

// inTurn prints one log after the other.
func (l *lister) inTurn(ctx context.Context, sources []Source, w *Writer) error {
	for _, s := range sources {
		err := stream(ctx, l.client, s, l.options.pod, w)
		if err == nil {
			continue
		}
		if !l.ignoreErrors {
			return err
		}
		l.say(err)
	}
	return nil
}

// Open begins one container's log.
func Open(ctx context.Context, c *client.Client, s Source, o corev1.PodLogOptions) (io.ReadCloser, error) {
	r, err := pods.Ref(c, s.Namespace, s.Pod)
	if err != nil {
		return nil, err
	}
	return openAt(ctx, c, r, s.Container, o)
}

// openAt opens the log of what has one.
func openAt(ctx context.Context, c *client.Client, r client.Ref, container string, o corev1.PodLogOptions) (io.ReadCloser, error) {
	req := c.Request("GET", r.WithSubresource("log")).Param("container", container)
	for _, p := range []struct {
		name string
		set  bool
	}{{"follow", o.Follow}, {"previous", o.Previous}, {"timestamps", o.Timestamps}, {"insecureSkipTLSVerifyBackend", o.InsecureSkipTLSVerifyBackend}} {
		if p.set {
			req.Param(p.name, "true")
		}
	}
	for name, n := range map[string]*int64{"sinceSeconds": o.SinceSeconds, "tailLines": o.TailLines, "limitBytes": o.LimitBytes} {
		if n != nil {
			req.Param(name, strconv.FormatInt(*n, 10))
		}
	}
	if o.SinceTime != nil {
		req.Param("sinceTime", o.SinceTime.UTC().Format(time.RFC3339))
	}
	return req.Stream(ctx)
}

// Tail returns the last lines of a container's log. It is for error messages, so its own failures
// are silent.
func Tail(ctx context.Context, c *client.Client, s Source, lines int64, previous bool) string {
	body, err := Open(ctx, c, s, corev1.PodLogOptions{TailLines: &lines, Previous: previous})
	if err != nil {
		return ""
	}
	defer body.Close()
	text, _ := io.ReadAll(io.LimitReader(body, 16<<10))
	return string(text)
}

// sorted orders sources, so that each keeps its colour from one run to the next.
func sorted(sources []Source) []Source {
	out := slices.Clone(sources)
	slices.SortStableFunc(out, func(a, b Source) int { return cmp.Compare(a.Pod, b.Pod) })
	return out
}

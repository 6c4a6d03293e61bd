// Package cp copies files into and out of containers: skiff cp. A daemon of skiff's copies them through
// the engine, without a program in the container; on other clusters tar runs there, as for kubectl.
package cp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	corev1 "k8s.io/api/core/v1"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/compose"
	"skiff/cli/pods"
)

// Command is skiff cp.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "cp", Usage: "Copy files and directories to and from containers", ArgsUsage: "SOURCE DESTINATION",
		Description: "One of the two is in a container: [NAMESPACE/]POD:PATH, or TYPE/NAME:PATH or NAME:PATH for a pod of a workload. The other is a path\n" +
			"here, or - for an archive in tar's format on standard input or output.\n" +
			"The image needs no tar where skiff's own daemon runs the pod, which then may have ended as well; elsewhere it does.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "container", Aliases: []string{"c"}, Usage: "the `CONTAINER` of the pod (default: its first)"},
			&cli.BoolFlag{Name: "no-preserve", Usage: "leave owners and permissions to the container, when copying into it"},
			&cli.IntFlag{Name: "retries", Usage: "how often to go on with a copy out of a container that broke off, by tar; negative for always"},
		},
		Action: func(c *cli.Context) error { return run(c, env) },
	},
		"skiff cp settings.ini kubia-dssvz:/etc/kubia/          # into the container",
		"skiff cp kubia-dssvz:/var/log ./log -c main            # a directory out of it",
		"skiff cp web:/etc/nginx/nginx.conf .                   # from a pod of the deployment web",
		"skiff cp kubia-dssvz:/data - | gzip > data.tar.gz")
}

// spec is a source or a destination.
type spec struct {
	// namespace, kind and name say which pod; they are empty for a path on this machine.
	namespace, kind, name string
	path                  string
}

func (s spec) remote() bool { return s.name != "" }

func (s spec) standard() bool { return !s.remote() && s.path == "-" }

// parse reads a source or destination. What stands before a pod's name is a type if the server has one
// of that name, a namespace otherwise.
func parse(arg string, isType func(string) bool) (spec, error) {
	pod, path, remote := strings.Cut(arg, ":")
	if !remote {
		return spec{path: arg}, nil
	}
	parts := strings.Split(pod, "/")
	s := spec{name: parts[len(parts)-1], path: path}
	switch {
	case s.name == "" || len(parts) > 3:
		return spec{}, errors.New("filespec must match the canonical format: [[namespace/]pod:]file/path")
	case len(parts) == 3:
		s.namespace, s.kind = parts[0], parts[1]
	case len(parts) == 2 && isType(parts[0]):
		s.kind = parts[0]
	case len(parts) == 2:
		s.namespace = parts[0]
	}
	return s, nil
}

func run(c *cli.Context, env *command.Env) error {
	if c.NArg() != 2 {
		return errors.New("source and destination are required")
	}
	cl, err := compose.Connect(c, env)
	if err != nil {
		return err
	}
	isType := func(name string) bool {
		catalog, err := cl.Catalog()
		if err != nil {
			return false
		}
		_, err = catalog.Resource(name)
		return err == nil
	}
	from, err := parse(c.Args().Get(0), isType)
	if err != nil {
		return err
	}
	to, err := parse(c.Args().Get(1), isType)
	if err != nil {
		return err
	}
	switch {
	case from.remote() && to.remote():
		return errors.New("one of src or dest must be a local file specification")
	case !from.remote() && !to.remote():
		return errors.New("one of src or dest must be a remote file specification")
	case from.path == "" || to.path == "":
		return errors.New("filepath can not be empty")
	}
	o := options{env: env, noPreserve: c.Bool("no-preserve"), retries: c.Int("retries")}
	if from.remote() {
		files, err := o.open(c.Context, cl, from, c.String("container"))
		if err != nil {
			return err
		}
		return o.download(c.Context, files, from, to)
	}
	return o.upload(c.Context, cl, from, to, c.String("container"))
}

// options are what all copies of one invocation share.
type options struct {
	env        *command.Env
	noPreserve bool
	retries    int
}

// patience is how long to wait for a workload's first pod.
const patience = time.Minute

// open finds the container that a spec means, and the way to its files.
func (o options) open(ctx context.Context, cl *client.Client, s spec, container string) (files, error) {
	if s.namespace != "" {
		in := *cl
		in.Namespace = s.namespace
		cl = &in
	}
	arg := s.name
	if s.kind != "" {
		arg = s.kind + "/" + s.name
	}
	found, err := pods.Named(ctx, cl, arg)
	if err != nil {
		return nil, err
	}
	pod, _, err := pods.Finder{Client: cl, Clock: o.env.Clock, Err: o.env.Err, Patience: patience}.One(ctx, found, pods.ForWork)
	if err != nil {
		return nil, err
	}
	name, note, err := pods.Container(pod, container)
	if err != nil {
		return nil, err
	}
	fmt.Fprint(o.env.Err, note)
	return o.filesOf(cl, pod, name)
}

// filesOf are a container's files: through the engine if the server can do that, else by tar.
func (o options) filesOf(cl *client.Client, pod *corev1.Pod, container string) (files, error) {
	r, err := pods.Ref(cl, pod.Namespace, pod.Name)
	if err != nil {
		return nil, err
	}
	inside := &byTar{client: cl, pod: pod, container: container, err: o.env.Err, noPreserve: o.noPreserve, retries: o.retries}
	catalog, err := cl.Catalog()
	if err != nil {
		return nil, err
	}
	if !catalog.Serves("v1", "pods/files") {
		return inside, nil
	}
	return &byEngine{client: cl, ref: r.WithSubresource("files"), container: container, otherwise: inside}, nil
}

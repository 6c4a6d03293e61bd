// Package debug puts containers with tools beside those that lack them: skiff debug.
package debug

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/distribution/reference"
	"github.com/urfave/cli/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/compose"
	"skiff/cli/exec"
	"skiff/cli/pods"
	"skiff/cli/resource"
)

// Command is skiff debug.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "debug", Usage: "Debug pods and nodes with containers made for it", ArgsUsage: "(POD | TYPE/NAME) [--image=IMAGE] [-- COMMAND…]",
		Description: "Adds an ephemeral container to a running pod; or, with --copy-to, runs a copy of the pod with another container, image or command; or, for\n" +
			"a node, runs a pod in the namespaces of its machine, whose files are at /host.",
		Flags: command.Flags(command.FileFlags("debug"), containerFlags(), copyFlags(),
			&cli.BoolFlag{Name: "attach", Usage: "wait until the container runs, and attach to it (default: with -i)"},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print only what the container prints"},
			&cli.StringFlag{Name: "profile", Value: legacy, Usage: "`PROFILE` of rights: legacy, general, baseline, netadmin, restricted or sysadmin"},
			&cli.StringFlag{Name: "custom", Usage: "JSON or YAML `FILE` with a part of a container to change what the profile makes"}),
		Action: func(c *cli.Context) error { return run(c, env) },
	},
		"skiff debug -it kubia-dssvz --image=busybox",
		"skiff debug -it kubia-dssvz --image=busybox --target=kubia       # sees the container's processes",
		"skiff debug -it kubia-dssvz --copy-to=kubia-debug --container=kubia -- sh",
		"skiff debug kubia-dssvz --copy-to=kubia-debug --set-image='*=kubia:debug'",
		"skiff debug -it node/vm --image=busybox")
}

func containerFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "image", Usage: "`IMAGE` of the debugging container"},
		&cli.StringFlag{Name: "image-pull-policy", Usage: "`WHEN` to pull it: Always, IfNotPresent or Never (default: the server's)"},
		&cli.StringFlag{Name: "container", Aliases: []string{"c"}, Usage: "`NAME` of the debugging container (default: a new one)"},
		&cli.StringFlag{Name: "target", Usage: "the `CONTAINER` whose processes an ephemeral container sees"},
		&cli.StringSliceFlag{Name: "env", Usage: "`NAME=VALUE` to set in the container; may be repeated, or joined by commas"},
		&cli.BoolFlag{Name: "arguments-only", Usage: "what follows -- are arguments of the image's own command"},
		&cli.BoolFlag{Name: "stdin", Aliases: []string{"i"}, Usage: "keep standard input of the container open, and attach to it"},
		&cli.BoolFlag{Name: "tty", Aliases: []string{"t"}, Usage: "give the container a terminal; requires -i"},
	}
}

func copyFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "copy-to", Usage: "run a copy of the pod with this `NAME`"},
		&cli.BoolFlag{Name: "replace", Usage: "with --copy-to, delete the original"},
		&cli.BoolFlag{Name: "same-node", Usage: "with --copy-to, run the copy on the same node"},
		&cli.StringSliceFlag{Name: "set-image", Usage: "with --copy-to, `CONTAINER=IMAGE` to change, * for all; may be repeated, or joined by commas"},
		&cli.BoolFlag{Name: "share-processes", Value: true, Usage: "with --copy-to, let containers see one another's processes"},
		&cli.BoolFlag{Name: "keep-labels", Usage: "with --copy-to, keep the labels"},
		&cli.BoolFlag{Name: "keep-annotations", Usage: "with --copy-to, keep the annotations"},
		&cli.BoolFlag{Name: "keep-liveness", Usage: "with --copy-to, keep the liveness probes"},
		&cli.BoolFlag{Name: "keep-readiness", Usage: "with --copy-to, keep the readiness probes"},
		&cli.BoolFlag{Name: "keep-startup", Usage: "with --copy-to, keep the startup probes"},
		&cli.BoolFlag{Name: "keep-init-containers", Value: true, Usage: "with --copy-to, keep the init containers"},
	}
}

// session is one run of debug.
type session struct {
	env    *command.Env
	client *client.Client
	wishes
	attach bool
}

func run(c *cli.Context, env *command.Env) error {
	names, words := split(c, env)
	w, err := readWishes(c, words)
	if err != nil {
		return err
	}
	s := &session{env: env, wishes: w, attach: c.Bool("attach") || w.stdin && !c.IsSet("attach")}
	if err := s.check(c, names); err != nil {
		return err
	}
	if s.client, err = compose.Connect(c, env); err != nil {
		return err
	}
	if s.target != "" {
		s.say("Targeting container %q. If you don't see processes from this container it may be because the container runtime doesn't support this feature.\n", s.target)
	}
	if s.profile == legacy {
		fmt.Fprintln(env.Err, `--profile=legacy is deprecated and will be removed in the future. It is recommended to explicitly specify a profile, for example "--profile=general".`)
	}
	if files := command.Files(c); len(files.Names) > 0 {
		return resource.Finder{Client: s.client, In: env.In}.Find(c.Context, resource.Query{Files: files}, func(o resource.Object) error {
			return s.one(c.Context, o)
		})
	}
	for _, name := range names {
		o, err := pods.Named(c.Context, s.client, name)
		if err != nil {
			return err
		}
		if err := s.one(c.Context, o); err != nil {
			return err
		}
	}
	return nil
}

// split separates what is debugged from the command after "--".
func split(c *cli.Context, env *command.Env) (names, words []string) {
	all := c.Args().Slice()
	if env.Dash >= 0 && env.Dash < len(all) {
		return all[:env.Dash], all[env.Dash:]
	}
	return all, nil
}

func (s *session) check(c *cli.Context, names []string) error {
	switch {
	case c.Bool("attach") && s.image == "" && s.container == "":
		return errors.New("you must specify --container or create a new container using --image in order to attach.")
	case s.copyTo != "" && s.image == "" && len(s.images) == 0 && len(s.words) == 0:
		return errors.New("you must specify --image, --set-image or command arguments.")
	case s.copyTo != "" && len(s.words) > 0 && s.container == "" && s.image == "":
		return errors.New("you must specify an existing container or a new image when specifying args.")
	case s.copyTo == "" && s.replace:
		return errors.New("--replace may only be used with --copy-to.")
	case s.copyTo == "" && s.sameNode:
		return errors.New("--same-node may only be used with --copy-to.")
	case s.copyTo == "" && len(s.images) > 0:
		return errors.New("--set-image may only be used with --copy-to.")
	case s.copyTo == "" && s.image == "":
		return errors.New("you must specify --image when not using --copy-to.")
	case s.image != "" && !reference.ReferenceRegexp.MatchString(s.image):
		return fmt.Errorf("invalid image name %q: %w", s.image, reference.ErrReferenceInvalidFormat)
	case len(names) == 0 && len(command.Files(c).Names) == 0:
		return errors.New("NAME or filename is required for debug")
	case s.target != "" && s.copyTo != "":
		return errors.New("--target is incompatible with --copy-to. Use --share-processes instead.")
	case s.tty && !s.stdin:
		return errors.New("-i/--stdin is required for containers with -t/--tty=true")
	}
	return nil
}

func (s *session) say(format string, a ...any) {
	if !s.quiet {
		fmt.Fprintf(s.env.Out, format, a...)
	}
}

// one debugs a node or a pod; of a workload, one of its pods.
func (s *session) one(ctx context.Context, o resource.Object) error {
	if o.Mapping.GroupVersionKind.Kind == "Node" {
		return s.node(ctx, o)
	}
	pod, _, err := pods.Finder{Client: s.client, Clock: s.env.Clock, Err: s.env.Err}.One(ctx, o, pods.ForWork)
	if err != nil {
		return err
	}
	if s.copyTo != "" {
		return s.copy(ctx, pod)
	}
	return s.ephemeral(ctx, pod)
}

// node runs a pod in the namespaces of a node's machine.
func (s *session) node(ctx context.Context, o resource.Object) error {
	pod := s.nodePod(o.Name)
	s.say("Creating debugging pod %s with container %s on node %s.\n", pod.Name, pod.Spec.Containers[0].Name, o.Name)
	if err := s.applyProfile(pod, pod.Spec.Containers[0].Name, onNode); err != nil {
		return err
	}
	return s.runPod(ctx, pod, pod.Spec.Containers[0].Name)
}

// copy runs another pod like this one.
func (s *session) copy(ctx context.Context, pod *corev1.Pod) error {
	copied, container, err := s.copyOf(pod)
	if err != nil {
		return err
	}
	if err := s.runPod(ctx, copied, ""); err != nil {
		return err
	}
	if s.replace {
		if err := s.deleteNow(ctx, pod); err != nil {
			return err
		}
	}
	return s.follow(ctx, copied, container)
}

// runPod creates a pod, and attaches to the container if one is named.
func (s *session) runPod(ctx context.Context, pod *corev1.Pod, container string) error {
	if pod.Namespace == "" {
		pod.Namespace = s.client.Namespace
	}
	r, err := pods.Ref(s.client, pod.Namespace, pod.Name)
	if err != nil {
		return err
	}
	u, err := client.From(pod)
	if err != nil {
		return err
	}
	if _, err := s.client.Create(ctx, r, u, client.WriteOptions{}); err != nil {
		return err
	}
	return s.follow(ctx, pod, container)
}

// ephemeral adds a container to a pod that runs.
func (s *session) ephemeral(ctx context.Context, pod *corev1.Pod) error {
	changed, name, err := s.withEphemeral(pod)
	if err != nil {
		return err
	}
	before, err := json.Marshal(pod)
	if err != nil {
		return err
	}
	after, err := json.Marshal(changed)
	if err != nil {
		return err
	}
	patch, err := strategicpatch.CreateTwoWayMergePatch(before, after, pod)
	if err != nil {
		return fmt.Errorf("error creating patch to add debug container: %w", err)
	}
	r, err := pods.Ref(s.client, pod.Namespace, pod.Name)
	if err != nil {
		return err
	}
	if _, err := s.client.Patch(ctx, r.WithSubresource("ephemeralcontainers"), types.StrategicMergePatchType, patch, client.WriteOptions{}); err != nil {
		return err
	}
	return s.follow(ctx, pod, name)
}

// follow attaches to a container once it runs, if that is wanted.
func (s *session) follow(ctx context.Context, pod *corev1.Pod, container string) error {
	if !s.attach || container == "" {
		return nil
	}
	r, err := pods.Ref(s.client, pod.Namespace, pod.Name)
	if err != nil {
		return err
	}
	now := &corev1.Pod{}
	said := ""
	err = s.client.Until(ctx, r, func(u *unstructured.Unstructured) (bool, error) {
		if u == nil {
			return false, apierrors.NewNotFound(r.Mapping.Resource.GroupResource(), r.Name)
		}
		now = &corev1.Pod{}
		if err := client.Into(u, now); err != nil {
			return false, err
		}
		state := stateOf(now, container)
		if w := state.Waiting; w != nil && w.Message != "" && w.Message != said && !s.quiet {
			said = w.Message
			fmt.Fprintf(s.env.Err, "Warning: container %s: %s\n", container, w.Message)
		}
		return state.Running != nil || state.Terminated != nil, nil
	})
	if err != nil {
		return err
	}
	return exec.Terminal{Env: s.env, Client: s.client, Pod: now, Container: container, Stdin: s.stdin, TTY: s.tty, Quiet: s.quiet}.Attach(ctx)
}

// stateOf is a container's state, empty if the pod's status does not have it yet.
func stateOf(pod *corev1.Pod, container string) corev1.ContainerState {
	for _, list := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses, pod.Status.EphemeralContainerStatuses} {
		for i := range list {
			if list[i].Name == container {
				return list[i].State
			}
		}
	}
	return corev1.ContainerState{}
}

package stop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"
	corev1 "k8s.io/api/core/v1"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/compose"
	"skiff/cli/exec"
	"skiff/cli/pods"
	"skiff/cli/resource"
	"skiff/cli/up"
	"skiff/manifests/podfacts"
)

// Kill is skiff kill.
func Kill(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "kill", Usage: "Send a signal to the containers of pods and workloads", ArgsUsage: "[POD | NAME | TYPE/NAME…]",
		Description: whichOnes + "\n" +
			"The signal goes to each container's main process. Containers that end of it are started again where their pods say so: skiff stop ends a\n" +
			"workload for good.",
		Flags: command.Flags(up.SourceFlags("signal"),
			&cli.StringFlag{Name: "signal", Aliases: []string{"s"}, Value: "SIGKILL", Usage: "`SIGNAL` to send, by name or number"},
			&cli.StringFlag{Name: "container", Aliases: []string{"c"}, Usage: "the one `CONTAINER` of each pod to send it to (default: all)"}),
		Action: func(c *cli.Context) error { return kill(c, env) },
	}, "skiff kill web", "skiff kill -s SIGHUP deployment/web", "skiff kill kubia-dssvz -c main -s USR1")
}

func kill(c *cli.Context, env *command.Env) error {
	cl, found, err := killed(c, env)
	if err != nil {
		return err
	}
	k := killer{client: cl, out: env.Out, err: env.Err, signal: signalName(c.String("signal")), container: c.String("container")}
	f := pods.Finder{Client: cl, Clock: env.Clock, Err: env.Err}
	var errs []error
	for _, o := range found {
		all, err := f.All(c.Context, o)
		errs = append(errs, err)
		for i := range all {
			errs = append(errs, k.pod(c.Context, &all[i]))
		}
	}
	if err := command.Join(errs...); err != nil {
		return err
	}
	if k.sent == 0 {
		return errors.New("no container runs that the signal could be sent to")
	}
	return nil
}

// killed are the pods and workloads that the arguments name, or the application's workloads.
func killed(c *cli.Context, env *command.Env) (*client.Client, []resource.Object, error) {
	var found []resource.Object
	if c.Args().Present() {
		cl, err := compose.Connect(c, env)
		if err != nil {
			return nil, nil, err
		}
		for _, arg := range c.Args().Slice() {
			o, err := pods.Named(c.Context, cl, arg)
			if err != nil {
				return nil, nil, err
			}
			found = append(found, o)
		}
		return cl, found, nil
	}
	cl, refs, err := up.Workloads(c, env)
	if err != nil {
		return nil, nil, err
	}
	for _, r := range refs {
		if r.Mapping.GroupVersionKind.Kind == "CronJob" {
			continue // its jobs have pods, it has none
		}
		value, err := cl.Get(c.Context, r)
		if err != nil {
			return nil, nil, err
		}
		found = append(found, resource.Object{Ref: r, Value: value})
	}
	return cl, found, nil
}

// signalName is a signal as the engine has it: a number, or a name that begins with SIG.
func signalName(text string) string {
	text = strings.ToUpper(text)
	if text == "" || strings.HasPrefix(text, "SIG") || strings.Trim(text, "0123456789") == "" {
		return text
	}
	return "SIG" + text
}

// killer sends one signal.
type killer struct {
	client            *client.Client
	out, err          io.Writer
	signal, container string
	// sent is how many containers have got it.
	sent int
}

func (k *killer) pod(ctx context.Context, pod *corev1.Pod) error {
	if podfacts.Terminal(pod) {
		return nil
	}
	var errs []error
	for _, s := range pod.Status.ContainerStatuses {
		if s.State.Running == nil || k.container != "" && s.Name != k.container {
			continue
		}
		err := k.one(ctx, pod, s.Name)
		if err == nil {
			k.sent++
			fmt.Fprintf(k.out, "pod/%s: %s sent to container %s\n", pod.Name, k.signal, s.Name)
		}
		errs = append(errs, err)
	}
	return command.Join(errs...)
}

// one has the daemon send the signal through the engine; other servers can only run a program beside the
// container's own.
func (k *killer) one(ctx context.Context, pod *corev1.Pod, container string) error {
	catalog, err := k.client.Catalog()
	if err != nil {
		return err
	}
	if catalog.Serves("v1", "pods/kill") {
		r, err := pods.Ref(k.client, pod.Namespace, pod.Name)
		if err != nil {
			return err
		}
		return k.client.Request("POST", r.WithSubresource("kill")).Param("container", container).Param("signal", k.signal).Do(ctx).Error()
	}
	if k.signal == "SIGKILL" || k.signal == "9" {
		return fmt.Errorf("pod %s: only skiff's own daemon can send %s to a container's main process, which no program beside it can kill; delete the pod, or name another signal with -s", pod.Name, k.signal)
	}
	return exec.Remote{Client: k.client, Pod: pod, Container: container, Command: []string{"kill", "-" + strings.TrimPrefix(k.signal, "SIG"), "1"}, Out: k.out, Err: k.err}.Run(ctx)
}

// Package ps lists the containers of an application in one table, as docker compose ps does.
package ps

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/cli-runtime/pkg/printers"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/pods"
	"skiff/cli/resource"
)

// Command is skiff ps.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "ps", Usage: "List containers, with their pods, states, restarts and ports", ArgsUsage: "[-f FILE] [-l LABELS]",
		Flags: command.Flags(command.FileFlags("list the containers of"), command.SelectorFlag(), command.AllNamespacesFlag(),
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print container IDs only"},
			&cli.BoolFlag{Name: "no-headers", Usage: "leave the headers out"}),
		Action: func(c *cli.Context) error { return run(c, env) },
	},
		"skiff ps",
		"skiff ps -f kubia.yaml      # of this application only",
		"skiff ps -A -l app=kubia")
}

func run(c *cli.Context, env *command.Env) error {
	cl, err := env.Connect(c)
	if err != nil {
		return err
	}
	all, err := find(c.Context, c, env, cl)
	if err != nil {
		return err
	}
	if c.Bool("quiet") {
		return printIDs(env.Out, all)
	}
	if len(all) == 0 {
		fmt.Fprintln(env.Err, "No containers found.")
		return nil
	}
	return table{namespaces: c.Bool("all-namespaces"), headers: !c.Bool("no-headers"), now: env.Now()}.print(env.Out, all)
}

// find returns the pods of the namespace, or of the objects the files name.
func find(ctx context.Context, c *cli.Context, env *command.Env, cl *client.Client) ([]corev1.Pod, error) {
	files := command.Files(c)
	if len(files.Names) == 0 {
		r, err := pods.Ref(cl, cl.Namespace, "")
		if err != nil {
			return nil, err
		}
		if c.Bool("all-namespaces") {
			r.Namespace = ""
		}
		return client.ListOf[corev1.Pod](ctx, cl, r, client.ListOptions{Labels: c.String("selector")})
	}
	finder := pods.Finder{Client: cl, Clock: env.Clock, Err: env.Err}
	var out []corev1.Pod
	err := resource.Finder{Client: cl, In: env.In}.Find(ctx, resource.Query{Files: files, Labels: c.String("selector")}, func(o resource.Object) error {
		if o.Mapping.GroupVersionKind.Kind == "Service" {
			return nil
		}
		own, err := finder.All(ctx, o)
		if err != nil {
			return nil //nolint:nilerr // objects that have no pods, a config map for one
		}
		out = append(out, own...)
		return nil
	})
	return out, resource.IgnoreNotFound(err)
}

func printIDs(out io.Writer, all []corev1.Pod) error {
	for i := range all {
		for _, s := range all[i].Status.ContainerStatuses {
			_, id, _ := strings.Cut(s.ContainerID, "://")
			if id == "" {
				continue
			}
			if _, err := fmt.Fprintln(out, id); err != nil {
				return err
			}
		}
	}
	return nil
}

// table prints one row a container.
type table struct {
	namespaces, headers bool
	now                 time.Time
}

func (t table) print(out io.Writer, all []corev1.Pod) error {
	w := printers.GetNewTabWriter(out)
	if t.headers {
		t.row(w, "NAMESPACE", "POD", "CONTAINER", "IMAGE", "STATE", "RESTARTS", "AGE", "PORTS")
	}
	for i := range all {
		p := &all[i]
		for _, c := range p.Spec.Containers {
			t.row(w, p.Namespace, p.Name, c.Name, c.Image, state(p, c.Name), fmt.Sprint(restarts(p, c.Name)),
				duration.HumanDuration(t.now.Sub(p.CreationTimestamp.Time)), ports(p, c))
		}
	}
	return w.Flush()
}

func (t table) row(w io.Writer, namespace string, cells ...string) {
	if t.namespaces {
		cells = append([]string{namespace}, cells...)
	}
	fmt.Fprintln(w, strings.Join(cells, "\t"))
}

func status(p *corev1.Pod, name string) *corev1.ContainerStatus {
	i := slices.IndexFunc(p.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return &p.Status.ContainerStatuses[i]
}

// state is a container's state in a few words: "running (healthy)" is a container that is probed and ready.
func state(p *corev1.Pod, name string) string {
	s := status(p, name)
	switch {
	case p.DeletionTimestamp != nil:
		return "terminating"
	case s == nil:
		return strings.ToLower(pods.Status(p))
	case s.State.Terminated != nil:
		return fmt.Sprintf("exited (%d)", s.State.Terminated.ExitCode)
	case s.State.Waiting != nil:
		return s.State.Waiting.Reason
	case s.State.Running != nil && s.Ready:
		return "running" + health(p, name, "healthy")
	case s.State.Running != nil:
		return "running" + health(p, name, "not ready")
	}
	return strings.ToLower(string(p.Status.Phase))
}

// health says how a container is whose health anybody asks for.
func health(p *corev1.Pod, name, word string) string {
	for _, c := range p.Spec.Containers {
		if c.Name == name && (c.LivenessProbe != nil || c.ReadinessProbe != nil || c.StartupProbe != nil) {
			return " (" + word + ")"
		}
	}
	return ""
}

func restarts(p *corev1.Pod, name string) int32 {
	if s := status(p, name); s != nil {
		return s.RestartCount
	}
	return 0
}

// ports are a container's ports, with those of the host that lead to them.
func ports(p *corev1.Pod, c corev1.Container) string {
	var out []string
	for _, port := range c.Ports {
		text := fmt.Sprintf("%d/%s", port.ContainerPort, strings.ToLower(string(port.Protocol)))
		if port.HostPort != 0 {
			host := port.HostIP
			if host == "" {
				host = "0.0.0.0"
			}
			text = fmt.Sprintf("%s:%d->%s", host, port.HostPort, text)
		} else if p.Status.PodIP != "" {
			text = p.Status.PodIP + ":" + text
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

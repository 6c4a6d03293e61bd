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

	"skiff/cli/addresses"
	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/compose"
	"skiff/cli/pods"
	"skiff/cli/resource"
	"skiff/manifests/podfacts"
)

// Command is skiff ps.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "ps", Usage: "List containers, with their pods, states, restarts and ports, and where services are reached", ArgsUsage: "[-f FILE] [-l LABELS]",
		Flags: command.Flags(command.FileFlags("list the containers of"), command.SelectorFlag(), command.AllNamespacesFlag(),
			&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "list init and ephemeral containers too"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "`FORMAT` of the output: wide, json (an object a line)"},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print container IDs only"},
			&cli.BoolFlag{Name: "no-headers", Usage: "do not print headers"}),
		Action: func(c *cli.Context) error { return run(c, env) },
	},
		"skiff ps",
		"skiff ps -f kubia.yaml      # of this application only",
		"skiff ps -A -l app=kubia")
}

func run(c *cli.Context, env *command.Env) error {
	switch o := c.String("output"); o {
	case "", "wide", "json":
	default:
		return fmt.Errorf("unable to match a printer suitable for the output format %q, allowed formats are: wide,json", o)
	}
	cl, err := compose.Connect(c, env)
	if err != nil {
		return err
	}
	all, refs, err := find(c.Context, c, env, cl)
	if err != nil {
		return err
	}
	if c.Bool("quiet") {
		return printIDs(env.Out, all)
	}
	if c.String("output") == "json" {
		return printJSON(env.Out, all, c.Bool("all"))
	}
	if len(all) == 0 {
		fmt.Fprintln(env.Err, "No containers found.")
		return nil
	}
	t := table{all: c.Bool("all"), wide: c.String("output") == "wide", namespaces: c.Bool("all-namespaces"), headers: !c.Bool("no-headers"), now: env.Now()}
	if err := t.print(env.Out, all); err != nil {
		return err
	}
	reached, err := reach(c, cl, refs)
	if reached = addresses.Certain(reached); err != nil || len(reached) == 0 {
		return err
	}
	fmt.Fprintln(env.Out)
	return addresses.Table{Namespaces: t.namespaces, Headers: t.headers}.Print(env.Out, reached)
}

// reach finds where the services and Ingresses of the namespace are reached, or those of the files.
func reach(c *cli.Context, cl *client.Client, refs []client.Ref) ([]addresses.Address, error) {
	f, namespace := addresses.Finder{Client: cl}, cl.Namespace
	if len(command.Files(c).Names) > 0 {
		return f.Of(c.Context, refs)
	}
	if c.Bool("all-namespaces") {
		namespace = ""
	}
	return f.In(c.Context, namespace, c.String("selector"))
}

// find returns the pods of the namespace, or of the objects the files name, and those objects.
func find(ctx context.Context, c *cli.Context, env *command.Env, cl *client.Client) ([]corev1.Pod, []client.Ref, error) {
	files := command.Files(c)
	if len(files.Names) == 0 {
		r, err := pods.Ref(cl, cl.Namespace, "")
		if err != nil {
			return nil, nil, err
		}
		if c.Bool("all-namespaces") {
			r.Namespace = ""
		}
		all, err := client.ListOf[corev1.Pod](ctx, cl, r, client.ListOptions{Labels: c.String("selector")})
		return all, nil, err
	}
	finder := pods.Finder{Client: cl, Clock: env.Clock, Err: env.Err}
	var out []corev1.Pod
	var refs []client.Ref
	err := resource.Finder{Client: cl, In: env.In}.Find(ctx, resource.Query{Files: files, Labels: c.String("selector")}, func(o resource.Object) error {
		refs = append(refs, o.Ref)
		if o.Mapping.GroupVersionKind.Kind == "Service" {
			return nil
		}
		own, err := finder.All(ctx, o)
		if err != nil {
			return nil //nolint:nilerr // objects that have no pods, a config map for one
		}
		for _, p := range own {
			if !slices.ContainsFunc(out, func(has corev1.Pod) bool { return has.UID == p.UID }) {
				out = append(out, p)
			}
		}
		return nil
	})
	return out, refs, resource.IgnoreNotFound(err)
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
	all, wide, namespaces, headers bool
	now                            time.Time
}

func (t table) print(out io.Writer, all []corev1.Pod) error {
	w := printers.GetNewTabWriter(out)
	if t.headers {
		t.row(w, "NAMESPACE", t.cells("POD", "CONTAINER", "IMAGE", "STATE", "RESTARTS", "AGE", "PORTS", "NODE", "IP", "ID")...)
	}
	for i := range all {
		p := &all[i]
		for _, c := range containers(p, t.all) {
			t.row(w, p.Namespace, t.cells(p.Name, c.Name, c.Image, state(p, c.Name), fmt.Sprint(restarts(p, c.Name)),
				duration.HumanDuration(t.now.Sub(p.CreationTimestamp.Time)), ports(p, c), p.Spec.NodeName, p.Status.PodIP, shortID(p, c.Name))...)
		}
	}
	return w.Flush()
}

// narrow is how many columns there are without -o wide.
const narrow = 7

func (t table) cells(all ...string) []string {
	if t.wide {
		return all
	}
	return all[:narrow]
}

func (t table) row(w io.Writer, namespace string, cells ...string) {
	if t.namespaces {
		cells = append([]string{namespace}, cells...)
	}
	fmt.Fprintln(w, strings.Join(cells, "\t"))
}

// containers are a pod's, with all also those that run before the others and those made for debugging.
func containers(p *corev1.Pod, all bool) []corev1.Container {
	if !all {
		return p.Spec.Containers
	}
	out := slices.Concat(p.Spec.InitContainers, p.Spec.Containers)
	for i := range p.Spec.EphemeralContainers {
		out = append(out, corev1.Container(p.Spec.EphemeralContainers[i].EphemeralContainerCommon))
	}
	return out
}

func status(p *corev1.Pod, name string) *corev1.ContainerStatus {
	for _, list := range [][]corev1.ContainerStatus{p.Status.ContainerStatuses, p.Status.InitContainerStatuses, p.Status.EphemeralContainerStatuses} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	return nil
}

// state is a container's state in a few words: "running (healthy)" is a container that is probed
// and ready.
func state(p *corev1.Pod, name string) string {
	s := status(p, name)
	switch {
	case podfacts.Terminating(p):
		return "terminating"
	case s == nil:
		return strings.ToLower(podfacts.Summarize(p).Status)
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

// health is the state of a container that has probes.
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

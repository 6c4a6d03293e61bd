package clusterinfo

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/urfave/cli/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/printers"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/output"
)

func dumpCommand(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "dump", Usage: "Write down objects and logs, to find out what is wrong",
		Flags: command.Flags(command.OutputFlags("json, yaml, jsonpath=…"), command.AllNamespacesFlag(),
			&cli.StringFlag{Name: "output-directory", Usage: "`DIRECTORY` for a file each, - for standard output (default: standard output)"},
			&cli.StringSliceFlag{Name: "namespaces", Usage: "the `NAMESPACES` to dump, joined by commas (default: kube-system and the present one)"},
			&cli.DurationFlag{Name: "pod-running-timeout", Hidden: true, Usage: "kubectl's; logs are read as far as there are any"}),
		Action: func(c *cli.Context) error { return dump(c, env) },
	}, "skiff cluster-info dump", "skiff cluster-info dump -A --output-directory=state")
}

// dumped are the kinds that are written down of each namespace, in kubectl's order and under its names.
var dumped = []struct {
	file string
	kind schema.GroupVersionKind
}{
	{"events", schema.GroupVersionKind{Version: "v1", Kind: "Event"}},
	{"replication-controllers", schema.GroupVersionKind{Version: "v1", Kind: "ReplicationController"}},
	{"services", schema.GroupVersionKind{Version: "v1", Kind: "Service"}},
	{"daemonsets", schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "DaemonSet"}},
	{"deployments", schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}},
	{"replicasets", schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "ReplicaSet"}},
	{"pods", schema.GroupVersionKind{Version: "v1", Kind: "Pod"}},
}

// dumper writes objects down, into files or one after another.
type dumper struct {
	env       *command.Env
	client    *client.Client
	printer   printers.ResourcePrinter
	dir       string
	extension string
}

func dump(c *cli.Context, env *command.Env) error {
	d := &dumper{env: env, dir: c.String("output-directory"), extension: ".txt"}
	o := output.Read(c)
	if o.Format == "" {
		o.Format = "json"
	}
	if o.Format == "json" || o.Format == "yaml" {
		d.extension = "." + o.Format
	}
	if d.dir == "-" {
		d.dir = ""
	}
	var err error
	if d.printer, err = output.New(o); err != nil {
		return err
	}
	if d.client, err = env.Connect(c); err != nil {
		return err
	}
	if _, err := d.list(c.Context, "nodes", schema.GroupVersionKind{Version: "v1", Kind: "Node"}, ""); err != nil {
		return err
	}
	namespaces, err := d.namespaces(c)
	if err != nil {
		return err
	}
	for _, namespace := range namespaces {
		if err := d.namespace(c.Context, namespace); err != nil {
			return err
		}
	}
	if d.dir != "" {
		fmt.Fprintf(env.Out, "Cluster info dumped to %s\n", d.dir)
	}
	return nil
}

// namespaces are those that are meant.
func (d *dumper) namespaces(c *cli.Context) ([]string, error) {
	named := command.List(c, "namespaces")
	switch {
	case c.Bool("all-namespaces"):
		r, err := d.place(schema.GroupVersionKind{Version: "v1", Kind: "Namespace"}, "")
		if err != nil {
			return nil, err
		}
		all, _, err := d.client.List(c.Context, r, client.ListOptions{})
		named = nil
		for i := range all {
			named = append(named, all[i].GetName())
		}
		return named, err
	case len(named) == 0:
		named = slices.Compact([]string{"kube-system", d.client.Namespace})
	}
	return named, nil
}

func (d *dumper) place(kind schema.GroupVersionKind, namespace string) (client.Ref, error) {
	catalog, err := d.client.Catalog()
	if err != nil {
		return client.Ref{}, err
	}
	m, err := catalog.Kind(kind)
	return client.Ref{Mapping: m, Namespace: namespace}, err
}

// list writes a collection down.
func (d *dumper) list(ctx context.Context, file string, kind schema.GroupVersionKind, namespace string) ([]unstructured.Unstructured, error) {
	r, err := d.place(kind, namespace)
	if err != nil {
		return nil, err
	}
	items, version, err := d.client.List(ctx, r, client.ListOptions{})
	if err != nil {
		return nil, err
	}
	list := &unstructured.UnstructuredList{Items: items}
	list.SetAPIVersion(kind.GroupVersion().String())
	list.SetKind(kind.Kind + "List")
	list.SetResourceVersion(version)
	return items, d.into(filepath.Join(namespace, file)+d.extension, func(w io.Writer) error { return d.printer.PrintObj(list, w) })
}

// into has write write a file, or to standard output.
func (d *dumper) into(file string, write func(io.Writer) error) error {
	if d.dir == "" {
		return write(d.env.Out)
	}
	file = filepath.Join(d.dir, file)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		_ = f.Close() // the first error says more
		return err
	}
	return f.Close()
}

func (d *dumper) namespace(ctx context.Context, namespace string) error {
	for _, kind := range dumped {
		items, err := d.list(ctx, kind.file, kind.kind, namespace)
		if err != nil {
			return err
		}
		if kind.kind.Kind != "Pod" {
			continue
		}
		for i := range items {
			pod := &corev1.Pod{}
			if err := client.Into(&items[i], pod); err != nil {
				return err
			}
			err := d.into(filepath.Join(namespace, pod.Name, "logs.txt"), func(w io.Writer) error { d.logs(ctx, w, pod); return nil })
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// logs writes down what a pod's containers have written. A log that cannot be read is not worth the dump.
func (d *dumper) logs(ctx context.Context, w io.Writer, pod *corev1.Pod) {
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for _, c := range list {
			fmt.Fprintf(w, "==== START logs for container %s of pod %s/%s ====\n", c.Name, pod.Namespace, pod.Name)
			if err := d.log(ctx, w, pod, c.Name); err != nil {
				fmt.Fprintf(w, "Request log error: %s\n", err)
			}
			fmt.Fprintf(w, "==== END logs for container %s of pod %s/%s ====\n", c.Name, pod.Namespace, pod.Name)
		}
	}
}

func (d *dumper) log(ctx context.Context, w io.Writer, pod *corev1.Pod, container string) error {
	r, err := d.place(schema.GroupVersionKind{Version: "v1", Kind: "Pod"}, pod.Namespace)
	if err != nil {
		return err
	}
	r.Name = pod.Name
	text, err := d.client.Request("GET", r.WithSubresource("log")).Param("container", container).Stream(ctx)
	if err != nil {
		return err
	}
	defer text.Close()
	_, err = io.Copy(w, text)
	return err
}

// Package events lists events, oldest first: skiff events.
package events

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/liggitt/tabwriter"
	"github.com/urfave/cli/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/cli-runtime/pkg/printers"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/compose"
	"skiff/cli/output"
	"skiff/cli/resource"
)

// Command is skiff events.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "events", Usage: "List events",
		Flags: command.Flags(command.AllNamespacesFlag(), command.ChunkFlag(), command.OutputFlags("json, yaml, jsonpath=…"),
			&cli.BoolFlag{Name: "watch", Aliases: []string{"w"}, Usage: "after listing, watch for new events"},
			&cli.StringFlag{Name: "for", Usage: "events about this object only: `TYPE/NAME`"},
			&cli.StringSliceFlag{Name: "types", Usage: "events of these `TYPES` only, joined by commas: Normal, Warning"},
			&cli.BoolFlag{Name: "no-headers", Usage: "do not print headers"}),
		Action: func(c *cli.Context) error { return run(c, env) },
	},
		"skiff events",
		"skiff events --for pod/kubia-dssvz --watch",
		"skiff events -A --types=Warning")
}

type lister struct {
	env       *command.Env
	client    *client.Client
	ref       client.Ref
	options   client.ListOptions
	types     []string
	all       bool
	noHeaders bool
	w         *tabwriter.Writer
}

func run(c *cli.Context, env *command.Env) error {
	l := &lister{env: env, types: command.List(c, "types"), all: c.Bool("all-namespaces"), noHeaders: c.Bool("no-headers"), w: printers.GetNewTabWriter(env.Out)}
	for _, t := range l.types {
		if !strings.EqualFold(t, corev1.EventTypeNormal) && !strings.EqualFold(t, corev1.EventTypeWarning) {
			return errors.New("valid --types are Normal or Warning")
		}
	}
	var err error
	if l.client, err = compose.Connect(c, env); err != nil {
		return err
	}
	if err := l.resolve(c); err != nil {
		return err
	}
	items, version, err := l.client.List(c.Context, l.ref, l.options)
	if err != nil {
		return err
	}
	if o := output.Read(c); o.Format != "" {
		return l.objects(o, items)
	}
	found, err := l.show(items)
	if err != nil || !c.Bool("watch") {
		if err == nil && found == 0 {
			l.nothing()
		}
		return err
	}
	return l.follow(c.Context, version)
}

// resolve finds where events are served, and which are meant.
func (l *lister) resolve(c *cli.Context) error {
	catalog, err := l.client.Catalog()
	if err != nil {
		return err
	}
	m, err := catalog.Kind(corev1.SchemeGroupVersion.WithKind("Event"))
	if err != nil {
		return err
	}
	l.ref = client.Ref{Mapping: m, Namespace: l.client.Namespace}
	if l.all {
		l.ref.Namespace = ""
	}
	l.options = client.ListOptions{Chunk: c.Int64("chunk-size")}
	about := c.String("for")
	if about == "" {
		return nil
	}
	targets, err := resource.Finder{Client: l.client}.Targets(c.Context, resource.Query{Args: []string{about}})
	if err != nil {
		return err
	}
	if len(targets) != 1 {
		return errors.New("--for must be in resource/name form")
	}
	l.options.Fields = fields.Set{"involvedObject.kind": targets[0].Mapping.GroupVersionKind.Kind, "involvedObject.name": targets[0].Name}.AsSelector().String()
	return nil
}

func (l *lister) nothing() {
	if l.all {
		fmt.Fprintln(l.env.Err, "No events found.")
		return
	}
	fmt.Fprintf(l.env.Err, "No events found in %s namespace.\n", l.client.Namespace)
}

func (l *lister) wanted(t string) bool {
	return len(l.types) == 0 || slices.ContainsFunc(l.types, func(w string) bool { return strings.EqualFold(w, t) })
}

func (l *lister) objects(o output.Options, items []unstructured.Unstructured) error {
	p, err := output.New(o)
	if err != nil {
		return err
	}
	list := &unstructured.UnstructuredList{Object: map[string]any{"kind": "List", "apiVersion": "v1", "metadata": map[string]any{"resourceVersion": ""}}}
	for _, u := range items {
		if t, _, _ := unstructured.NestedString(u.Object, "type"); l.wanted(t) {
			list.Items = append(list.Items, u)
		}
	}
	return p.PrintObj(list, l.env.Out)
}

// show prints events, oldest first, and returns how many.
func (l *lister) show(items []unstructured.Unstructured) (int, error) {
	var all []corev1.Event
	for i := range items {
		e := corev1.Event{}
		if err := client.Into(&items[i], &e); err != nil {
			return 0, err
		}
		if l.wanted(e.Type) {
			all = append(all, e)
		}
	}
	slices.SortStableFunc(all, func(a, b corev1.Event) int { return Last(&a).Compare(Last(&b)) })
	if len(all) == 0 {
		return 0, nil
	}
	l.headers()
	for i := range all {
		l.row(l.w, &all[i])
	}
	return len(all), l.w.Flush()
}

func (l *lister) headers() {
	if l.noHeaders {
		return
	}
	l.noHeaders = true
	if l.all {
		fmt.Fprint(l.w, "NAMESPACE\t")
	}
	fmt.Fprintln(l.w, "LAST SEEN\tTYPE\tREASON\tOBJECT\tMESSAGE")
}

func (l *lister) row(w io.Writer, e *corev1.Event) {
	if l.all {
		fmt.Fprintf(w, "%s\t", e.Namespace)
	}
	cells := []string{Age(e, l.env.Now()), e.Type, e.Reason, e.InvolvedObject.Kind + "/" + e.InvolvedObject.Name, strings.TrimSpace(e.Message)}
	for i, c := range cells {
		cells[i] = printers.EscapeTerminal(c)
	}
	fmt.Fprintln(w, strings.Join(cells, "\t"))
}

// Last is when an event was last seen.
func Last(e *corev1.Event) time.Time {
	switch {
	case e.Series != nil:
		return e.Series.LastObservedTime.Time
	case !e.LastTimestamp.IsZero():
		return e.LastTimestamp.Time
	}
	return e.EventTime.Time
}

// Age says when an event happened, or how often and over what time: 85s (x9 over 5m5s).
func Age(e *corev1.Event, now time.Time) string {
	first := e.FirstTimestamp.Time
	if !e.EventTime.IsZero() {
		first = e.EventTime.Time
	}
	count := e.Count
	if e.Series != nil {
		count = e.Series.Count
	}
	if e.Series != nil || count > 1 {
		return fmt.Sprintf("%s (x%d over %s)", since(Last(e), now), count, since(first, now))
	}
	return since(first, now)
}

func since(t, now time.Time) string {
	if t.IsZero() {
		return "<unknown>"
	}
	return duration.HumanDuration(now.Sub(t))
}

func (l *lister) follow(ctx context.Context, version string) error {
	l.options.ResourceVersion = version
	w, err := l.client.Watch(ctx, l.ref, l.options)
	if err != nil {
		return err
	}
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return command.Exit{Code: 130}
		case e, ok := <-w.ResultChan():
			if !ok {
				return nil
			}
			if e.Type == watch.Error {
				return apierrors.FromObject(e.Object)
			}
			u, isObject := e.Object.(*unstructured.Unstructured)
			if !isObject || e.Type == watch.Deleted {
				continue
			}
			if _, err := l.show([]unstructured.Unstructured{*u}); err != nil {
				return err
			}
		}
	}
}

package get

import (
	"context"
	"fmt"
	"io"

	"github.com/liggitt/tabwriter"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/cli-runtime/pkg/printers"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/output"
	"skiff/cli/resource"
)

// follow prints what is there and then every change, until ctx ends or the server closes the watch.
func (g *getter) follow(ctx context.Context) error {
	switch {
	case g.sortBy != "" && g.watchOnly:
		fmt.Fprintln(g.env.Err, "warning: --watch-only requested, --sort-by will be ignored")
	case g.sortBy != "":
		fmt.Fprintln(g.env.Err, "warning: --watch requested, --sort-by will be ignored for watch events received")
	}
	target, err := g.watched(ctx)
	if err != nil {
		return err
	}
	p, err := g.watchPrinter(target)
	if err != nil {
		return err
	}
	version, err := g.printCurrent(ctx, target, p)
	if err != nil {
		if g.notFoundIsFine(err) {
			return nil
		}
		return err
	}
	o := client.ListOptions{Labels: target.Labels, Fields: target.Fields, ResourceVersion: version, Table: g.human()}
	w, err := g.client.Watch(ctx, target.Ref, o)
	if err != nil {
		return err
	}
	defer w.Stop()
	return g.printChanges(ctx, w, p)
}

// watched is the one type, or the one object, to watch.
func (g *getter) watched(ctx context.Context) (resource.Target, error) {
	targets, err := g.targets(ctx)
	if err != nil {
		return resource.Target{}, err
	}
	if severalTypes(targets) {
		return resource.Target{}, fmt.Errorf("you may only specify a single resource type")
	}
	if len(targets) != 1 {
		return resource.Target{}, fmt.Errorf("watch is only supported on individual resources and resource collections - %d resources were found", len(targets))
	}
	return targets[0], nil
}

// watchPrinter prints objects, or tables that keep their columns' widths from one change to the
// next.
func (g *getter) watchPrinter(target resource.Target) (*changes, error) {
	if !g.human() {
		p, err := output.New(g.output)
		return &changes{printer: p, out: g.env.Out}, err
	}
	w := printers.GetNewTabWriter(g.env.Out)
	return &changes{printer: g.options.printer(target, g.showKind), out: w, tab: w}, nil
}

type changes struct {
	printer printers.ResourcePrinter
	out     io.Writer
	tab     *tabwriter.Writer
}

// print shows obj; eventType "" leaves out what happened to it.
func (c *changes) print(obj runtime.Object, eventType string) error {
	if eventType != "" {
		obj = &metav1.WatchEvent{Type: eventType, Object: runtime.RawExtension{Object: obj}}
	}
	if err := c.printer.PrintObj(obj, c.out); err != nil {
		return err
	}
	if c.tab != nil {
		return c.tab.Flush()
	}
	return nil
}

// printCurrent prints what is there, unless only changes are wanted, and returns the version to
// watch from. A single object is requested as a list: the version of a list is current, whereas an
// object's own may be too old to watch from.
func (g *getter) printCurrent(ctx context.Context, t resource.Target, p *changes) (string, error) {
	var version string
	o := client.ListOptions{Labels: t.Labels, Fields: t.Fields, Chunk: g.query.Chunk, Table: g.human()}
	collection := t.Ref
	if collection.Name = ""; t.Name != "" {
		o.Fields = "metadata.name=" + t.Name
	}
	found := 0
	err := g.client.Pages(ctx, collection, o, func(page *unstructured.Unstructured) error {
		version, _, _ = unstructured.NestedString(page.Object, "metadata", "resourceVersion")
		for _, field := range []string{"items", "rows"} {
			members, _ := page.Object[field].([]any)
			found += len(members)
		}
		if g.watchOnly {
			return nil
		}
		return g.printPage(page, collection, p)
	})
	if err == nil && t.Name != "" && found == 0 {
		err = apierrors.NewNotFound(t.Mapping.Resource.GroupResource(), t.Name)
	}
	return version, err
}

func (g *getter) printPage(page *unstructured.Unstructured, r client.Ref, p *changes) error {
	objects, err := pageObjects(page, r)
	if err != nil {
		return err
	}
	for _, obj := range objects {
		if err := p.print(obj, g.eventType(watch.Added)); err != nil {
			return err
		}
	}
	return nil
}

// pageObjects is a table as a whole, or each object of a list.
func pageObjects(page *unstructured.Unstructured, r client.Ref) ([]runtime.Object, error) {
	if page.GetKind() == "Table" || !page.IsList() {
		obj, err := asTable(page)
		return []runtime.Object{obj}, err
	}
	items, err := client.Items(page, r)
	out := make([]runtime.Object, len(items))
	for i := range items {
		out[i] = &items[i]
	}
	return out, err
}

func (g *getter) eventType(t watch.EventType) string {
	if !g.watchEvents {
		return ""
	}
	return string(t)
}

func (g *getter) printChanges(ctx context.Context, w watch.Interface, p *changes) error {
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
			if err := g.printChange(e, p); err != nil {
				return err
			}
		}
	}
}

func (g *getter) printChange(e watch.Event, p *changes) error {
	u, ok := e.Object.(*unstructured.Unstructured)
	if !ok {
		return fmt.Errorf("the server sent %T in a watch", e.Object)
	}
	obj, err := asTable(u)
	if err != nil {
		return err
	}
	return p.print(obj, g.eventType(e.Type))
}

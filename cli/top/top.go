// Package top shows how much processor and memory pods and nodes use: skiff top.
package top

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/liggitt/tabwriter"
	"github.com/urfave/cli/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/printers"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"

	"skiff/cli/client"
	"skiff/cli/command"
)

// Command is skiff top.
func Command(env *command.Env) *cli.Command {
	shared := func() []cli.Flag {
		return []cli.Flag{
			command.SelectorFlag(),
			&cli.StringFlag{Name: "sort-by", Usage: "sort by a `FIELD`, the largest first: cpu or memory"},
			&cli.BoolFlag{Name: "no-headers", Usage: "do not print headers"},
			&cli.BoolFlag{Name: "use-protocol-buffers", Value: true, Hidden: true},
		}
	}
	pods := command.New(cli.Command{
		Name: "pod", Aliases: []string{"pods", "po"}, Usage: "Display resource (CPU/memory) usage of pods", ArgsUsage: "[NAME | -l LABELS]",
		Flags: command.Flags(shared(), command.FieldSelectorFlag(), command.AllNamespacesFlag(),
			&cli.BoolFlag{Name: "containers", Usage: "show each container of a pod"},
			&cli.BoolFlag{Name: "sum", Usage: "add a line with the sum"}),
		Action: func(c *cli.Context) error { return runPods(c, env) },
	},
		"skiff top pod",
		"skiff top pod kubia-dssvz --containers",
		"skiff top pods -A --sort-by=cpu")
	nodes := command.New(cli.Command{
		Name: "node", Aliases: []string{"nodes", "no"}, Usage: "Display resource (CPU/memory) usage of nodes", ArgsUsage: "[NAME | -l LABELS]",
		Flags: command.Flags(shared(),
			&cli.BoolFlag{Name: "show-capacity", Usage: "shares of nodes' capacity, not of what pods may have of it"}),
		Action: func(c *cli.Context) error { return runNodes(c, env) },
	},
		"skiff top node",
		"skiff top nodes --sort-by=memory")
	return command.New(cli.Command{
		Name: "top", Usage: "Display resource (CPU/memory) usage", Subcommands: []*cli.Command{nodes, pods},
	},
		"skiff top nodes",
		"skiff top pods --containers")
}

// metricsKind is a kind of metrics.k8s.io; the server says in which version.
func metricsKind(kind string) schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: metricsv1beta1.GroupName, Version: metricsv1beta1.SchemeGroupVersion.Version, Kind: kind}
}

// source finds where metrics of a kind are served.
func source(cl *client.Client, kind string) (client.Ref, error) {
	catalog, err := cl.Catalog()
	if err != nil {
		return client.Ref{}, err
	}
	m, err := catalog.Kind(metricsKind(kind))
	if meta.IsNoMatchError(err) {
		return client.Ref{}, errors.New("Metrics API not available")
	}
	return client.Ref{Mapping: m}, err
}

// checkSort checks --sort-by, and that no name stands beside a selector.
func checkSort(c *cli.Context, selectors string) error {
	if by := c.String("sort-by"); by != "" && by != "cpu" && by != "memory" {
		return errors.New("--sort-by accepts only cpu or memory")
	}
	if c.NArg() == 1 && (c.String("selector") != "" || c.String("field-selector") != "") {
		return fmt.Errorf("only one of NAME or %s can be provided", selectors)
	}
	return nil
}

// byUse orders what is measured, the largest first, or else by name.
func byUse[T any](by string, use func(T) corev1.ResourceList, name func(a, b T) int) func(a, b T) int {
	return func(a, b T) int {
		ofA, ofB := use(a), use(b)
		switch by {
		case "cpu":
			return cmp.Compare(ofB.Cpu().MilliValue(), ofA.Cpu().MilliValue())
		case "memory":
			return cmp.Compare(ofB.Memory().Value(), ofA.Memory().Value())
		}
		return name(a, b)
	}
}

// lines are what is printed.
type lines struct{ w *tabwriter.Writer }

func newLines(env *command.Env) lines { return lines{printers.GetNewTabWriter(env.Out)} }

// line prints values in columns. Each ends one, as kubectl has it.
func (l lines) line(values ...string) {
	fmt.Fprintln(l.w, strings.Join(values, "\t")+"\t")
}

func (l lines) end() error { return l.w.Flush() }

// measured are the columns of a use; each with its share of what is available, if that is known.
func measured(use, available corev1.ResourceList) []string {
	var out []string
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		q := use[name]
		if name == corev1.ResourceCPU {
			out = append(out, fmt.Sprintf("%dm", q.MilliValue()))
		} else {
			out = append(out, fmt.Sprintf("%dMi", q.Value()>>20))
		}
		of, ok := available[name]
		if !ok {
			continue
		}
		share := 0.0
		if !of.IsZero() {
			share = float64(q.MilliValue()) / float64(of.MilliValue()) * 100
		}
		out = append(out, fmt.Sprintf("%d%%", int64(share)))
	}
	return out
}

// sumOf is what containers use together.
func sumOf(containers []metricsv1beta1.ContainerMetrics) corev1.ResourceList {
	total := corev1.ResourceList{}
	for _, c := range containers {
		for name, q := range c.Usage {
			sum := total[name]
			sum.Add(q)
			total[name] = sum
		}
	}
	return total
}

func sorted[T any](items []T, compare func(a, b T) int) []T {
	slices.SortStableFunc(items, compare)
	return items
}

package top

import (
	"cmp"
	"errors"
	"maps"
	"slices"

	"github.com/urfave/cli/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"

	"skiff/cli/client"
	"skiff/cli/command"
)

func runNodes(c *cli.Context, env *command.Env) error {
	if c.NArg() > 1 {
		return command.UsageErrorf("top node", "node [NAME | -l label]")
	}
	if err := checkSort(c, "--selector"); err != nil {
		return err
	}
	cl, err := env.Connect(c)
	if err != nil {
		return err
	}
	r, err := source(cl, "NodeMetrics")
	if err != nil {
		return err
	}
	metrics, err := one[metricsv1beta1.NodeMetrics](c, cl, r)
	if err != nil {
		return err
	}
	if len(metrics) == 0 {
		return errors.New("metrics not available yet")
	}
	catalog, err := cl.Catalog()
	if err != nil {
		return err
	}
	m, err := catalog.Kind(schema.GroupVersionKind{Version: "v1", Kind: "Node"})
	if err != nil {
		return err
	}
	nodes, err := one[corev1.Node](c, cl, client.Ref{Mapping: m})
	if err != nil {
		return err
	}
	available := map[string]corev1.ResourceList{}
	for _, n := range nodes {
		available[n.Name] = n.Status.Allocatable
		if c.Bool("show-capacity") {
			available[n.Name] = n.Status.Capacity
		}
	}
	return printNodes(env, metrics, available, c.Bool("no-headers"), c.String("sort-by"))
}

// one fetches the object that the command names, or those that it selects.
func one[T any](c *cli.Context, cl *client.Client, r client.Ref) ([]T, error) {
	if c.NArg() == 0 {
		return client.ListOf[T](c.Context, cl, r, client.ListOptions{Labels: c.String("selector")})
	}
	r.Name = c.Args().First()
	u, err := cl.Get(c.Context, r)
	if err != nil {
		return nil, err
	}
	out := make([]T, 1)
	return out, client.Into(u, &out[0])
}

// printNodes prints nodes with the shares of what is available; those without metrics come last.
func printNodes(env *command.Env, metrics []metricsv1beta1.NodeMetrics, available map[string]corev1.ResourceList, noHeaders bool, sortBy string) error {
	l := newLines(env)
	if !noHeaders {
		l.line("NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)")
	}
	use := func(m metricsv1beta1.NodeMetrics) corev1.ResourceList { return m.Usage }
	byName := func(a, b metricsv1beta1.NodeMetrics) int { return cmp.Compare(a.Name, b.Name) }
	for _, m := range sorted(metrics, byUse(sortBy, use, byName)) {
		l.line(append([]string{m.Name}, measured(m.Usage, available[m.Name])...)...)
		delete(available, m.Name)
	}
	const unknown = "<unknown>"
	for _, name := range slices.Sorted(maps.Keys(available)) {
		l.line(name, unknown, unknown, unknown, unknown)
	}
	return l.end()
}

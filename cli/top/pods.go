package top

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"

	"skiff/cli/client"
	"skiff/cli/command"
)

// creationDelay is for how long after its creation a pod may be without metrics: kubectl's.
const creationDelay = 2 * time.Minute

// podTop is one skiff top pods.
type podTop struct {
	env            *command.Env
	client         *client.Client
	name           string
	labels, fields string
	all            bool
}

func runPods(c *cli.Context, env *command.Env) error {
	if c.NArg() > 1 {
		return command.UsageErrorf("top pod", "pod [NAME | -l label]")
	}
	if err := checkSort(c, "selector"); err != nil {
		return err
	}
	t := podTop{env: env, name: c.Args().First(), labels: c.String("selector"), fields: c.String("field-selector"), all: c.Bool("all-namespaces")}
	var err error
	if t.client, err = env.Connect(c); err != nil {
		return err
	}
	pods, err := t.measured(c.Context)
	if err != nil {
		return err
	}
	if len(pods) == 0 {
		if err := t.explain(c.Context); err != nil {
			return err
		}
		fmt.Fprintln(env.Err, t.nothing())
		return nil
	}
	return t.print(pods, layout{containers: c.Bool("containers"), sum: c.Bool("sum"), noHeaders: c.Bool("no-headers"), sortBy: c.String("sort-by")})
}

func (t podTop) nothing() string {
	if t.all {
		return "No resources found"
	}
	return fmt.Sprintf("No resources found in %s namespace.", t.client.Namespace)
}

func (t podTop) namespace() string {
	if t.all {
		return ""
	}
	return t.client.Namespace
}

// measured asks for the metrics of the pods that are wanted. Fields are those of pods, of which metrics
// have none.
func (t podTop) measured(ctx context.Context) ([]metricsv1beta1.PodMetrics, error) {
	r, err := source(t.client, "PodMetrics")
	if err != nil {
		return nil, err
	}
	r.Namespace, r.Name = t.namespace(), t.name
	if t.name != "" {
		one := &metricsv1beta1.PodMetrics{}
		if err := t.client.GetInto(ctx, r, one); err != nil {
			return nil, err
		}
		return []metricsv1beta1.PodMetrics{*one}, nil
	}
	all, err := client.ListOf[metricsv1beta1.PodMetrics](ctx, t.client, r, client.ListOptions{Labels: t.labels})
	if err != nil || t.fields == "" || len(all) == 0 {
		return all, err
	}
	pods, err := t.pods(ctx, t.namespace())
	if err != nil {
		return nil, err
	}
	selected := map[string]bool{}
	for _, p := range pods {
		selected[p.Namespace+"/"+p.Name] = true
	}
	return slices.DeleteFunc(all, func(m metricsv1beta1.PodMetrics) bool { return !selected[m.Namespace+"/"+m.Name] }), nil
}

// pods are the pods that are wanted, measured or not.
func (t podTop) pods(ctx context.Context, namespace string) ([]corev1.Pod, error) {
	catalog, err := t.client.Catalog()
	if err != nil {
		return nil, err
	}
	m, err := catalog.Kind(schema.GroupVersionKind{Version: "v1", Kind: "Pod"})
	if err != nil {
		return nil, err
	}
	return client.ListOf[corev1.Pod](ctx, t.client, client.Ref{Mapping: m, Namespace: namespace}, client.ListOptions{Labels: t.labels, Fields: t.fields})
}

// explain says why there are no metrics: an error, unless there are no pods either.
func (t podTop) explain(ctx context.Context) error {
	pods, err := t.pods(ctx, t.client.Namespace)
	if err != nil || len(pods) == 0 {
		return err
	}
	for _, p := range pods {
		if age := t.env.Now().Sub(p.CreationTimestamp.Time); age > creationDelay {
			return fmt.Errorf("Metrics not available for pod %s/%s, age: %s", p.Namespace, p.Name, age)
		}
	}
	return errors.New("metrics not available yet")
}

// layout says how pods are shown.
type layout struct {
	containers, sum, noHeaders bool
	sortBy                     string
}

func (t podTop) print(pods []metricsv1beta1.PodMetrics, as layout) error {
	l := newLines(t.env)
	columns := []string{"NAME", "CPU(cores)", "MEMORY(bytes)"}
	if as.containers {
		columns = append([]string{"POD"}, columns...)
	}
	if t.all {
		columns = append([]string{"NAMESPACE"}, columns...)
	}
	if !as.noHeaders {
		l.line(columns...)
	}
	var everything []metricsv1beta1.ContainerMetrics
	use := func(m metricsv1beta1.PodMetrics) corev1.ResourceList { return sumOf(m.Containers) }
	byName := func(a, b metricsv1beta1.PodMetrics) int {
		if t.all && a.Namespace != b.Namespace {
			return cmp.Compare(a.Namespace, b.Namespace)
		}
		return cmp.Compare(a.Name, b.Name)
	}
	for _, m := range sorted(pods, byUse(as.sortBy, use, byName)) {
		everything = append(everything, m.Containers...)
		first := []string{m.Name}
		if t.all {
			first = []string{m.Namespace, m.Name}
		}
		if !as.containers {
			l.line(append(first, measured(sumOf(m.Containers), nil)...)...)
			continue
		}
		containerUse := func(c metricsv1beta1.ContainerMetrics) corev1.ResourceList { return c.Usage }
		containerName := func(a, b metricsv1beta1.ContainerMetrics) int { return strings.Compare(a.Name, b.Name) }
		for _, c := range sorted(m.Containers, byUse(as.sortBy, containerUse, containerName)) {
			l.line(slices.Concat(first, []string{c.Name}, measured(c.Usage, nil))...)
		}
	}
	if as.sum {
		width := len(columns)
		if as.noHeaders {
			width = 3 // kubectl counts the columns when it names them
		}
		l.line(append(make([]string, width-2), "________", "________")...)
		l.line(append(make([]string, width-2), measured(sumOf(everything), nil)...)...)
	}
	return l.end()
}

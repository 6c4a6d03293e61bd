package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/version"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/manifests/nodefacts"
)

func add(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "add", Usage: "Add nodes on the same engine, or simulated ones", ArgsUsage: "NAME…",
		Flags: command.Flags(
			&cli.StringSliceFlag{Name: "label", Usage: "a `LABEL` of the nodes, such as disk=ssd; may be repeated"},
			&cli.StringSliceFlag{Name: "taint", Usage: "a `TAINT` of the nodes, such as dedicated=db:NoSchedule; may be repeated"},
			&cli.StringFlag{Name: "capacity", Usage: "allocatable resources of each, such as `pods=110,cpu=4,memory=8Gi`, instead of the machine's"},
			&cli.BoolFlag{Name: "simulated", Usage: "nodes without containers: their pods exist in memory only"},
			&cli.IntFlag{Name: "count", Usage: "add `N` nodes called NAME-0, NAME-1 … (NAME defaults to sim for simulated ones)"},
			command.DryRunFlag()),
		Action: func(c *cli.Context) error { return runAdd(c, env) },
	},
		"skiff node add worker-1 --label disk=ssd",
		"skiff node add worker-2 --taint dedicated=db:NoSchedule --capacity pods=10,cpu=2",
		"skiff node add --simulated --count 100            # sim-0 to sim-99",
		"skiff node add rack --simulated --count 3 --label topology.kubernetes.io/zone=a",
		"skiff wait node/worker-1 --for=condition=Ready")
}

func runAdd(c *cli.Context, env *command.Env) error {
	names, err := namesOf(c)
	if err != nil {
		return err
	}
	model, err := modelOf(c)
	if err != nil {
		return err
	}
	dryRun, err := env.ReadDryRun(c)
	if err != nil {
		return err
	}
	cl, err := env.Connect(c)
	if err != nil {
		return err
	}
	if err := mustBeSkiff(c.Context, cl); err != nil {
		return err
	}
	ref, err := nodeRef(cl, "")
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		n := model.DeepCopy()
		n.Name, n.Labels[corev1.LabelHostname] = name, name
		if dryRun != command.DryRunClient {
			if _, err := cl.Create(c.Context, ref, n, client.WriteOptions{DryRun: dryRun == command.DryRunServer}); err != nil {
				errs = append(errs, err)
				continue
			}
		}
		fmt.Fprintf(env.Out, "node/%s added%s\n", name, dryRun.Suffix())
	}
	return command.Join(errs...)
}

// namesOf are the nodes to make.
func namesOf(c *cli.Context) ([]string, error) {
	names, n := c.Args().Slice(), c.Int("count")
	switch {
	case n < 0 || c.IsSet("count") && n == 0:
		return nil, fmt.Errorf("--count must be at least 1, not %d", n)
	case n > 0 && len(names) == 0 && c.Bool("simulated"):
		names = []string{"sim"}
	case n > 0 && len(names) > 1:
		return nil, errors.New("--count makes nodes of one name: NAME-0, NAME-1 …")
	case len(names) == 0:
		return nil, command.UsageErrorf("node add", "name the nodes to make, or how many: NAME… or --simulated --count N")
	}
	if n > 0 {
		prefix := names[0]
		names = nil
		for i := range n {
			names = append(names, fmt.Sprintf("%s-%d", prefix, i))
		}
	}
	for _, name := range names {
		if wrong := validation.IsDNS1123Subdomain(name); len(wrong) > 0 {
			return nil, fmt.Errorf("%q can not be a node's name: %s", name, strings.Join(wrong, "; "))
		}
	}
	return names, nil
}

// modelOf is a Node object without its name.
func modelOf(c *cli.Context) (*corev1.Node, error) {
	n := &corev1.Node{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Node"},
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{nodefacts.LabelVirtual: "true"}},
	}
	if c.Bool("simulated") {
		n.Labels[nodefacts.LabelSimulated] = "true"
	}
	for _, l := range command.List(c, "label") {
		key, value, ok := strings.Cut(l, "=")
		if !ok || len(validation.IsQualifiedName(key)) > 0 || len(validation.IsValidLabelValue(value)) > 0 {
			return nil, fmt.Errorf("invalid label %q: want KEY=VALUE", l)
		}
		n.Labels[key] = value
	}
	if specs := command.List(c, "taint"); len(specs) > 0 {
		t, err := parse(specs)
		if err != nil {
			return nil, err
		}
		if len(t.remove) > 0 {
			return nil, fmt.Errorf("a new node has no taint to remove: %s-", t.remove[0].ToString())
		}
		n.Spec.Taints = t.add
	}
	if text := c.String("capacity"); text != "" {
		if err := checkCapacity(text); err != nil {
			return nil, err
		}
		n.Annotations = map[string]string{nodefacts.AnnotationCapacity: text}
	}
	return n, nil
}

// resources are those that a node of skiff has.
var resources = []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourcePods, corev1.ResourceEphemeralStorage}

func checkCapacity(text string) error {
	for _, pair := range strings.Split(text, ",") {
		name, value, ok := strings.Cut(pair, "=")
		q, err := resource.ParseQuantity(value)
		known := slices.Contains(resources, corev1.ResourceName(name)) || strings.Contains(name, "/") && len(validation.IsQualifiedName(name)) == 0
		if !ok || err != nil || q.Sign() < 0 || !known {
			return fmt.Errorf("invalid --capacity %q: want RESOURCE=QUANTITY, as pods=110, cpu=4, memory=8Gi or example.org/gpu=2", pair)
		}
	}
	return nil
}

// mustBeSkiff refuses to make nodes in other clusters, where nobody would run them.
func mustBeSkiff(ctx context.Context, cl *client.Client) error {
	raw, err := cl.Text(ctx, "/version", nil)
	if err != nil {
		return err
	}
	var v version.Info
	if err := json.Unmarshal(raw, &v); err != nil {
		return fmt.Errorf("reading the server's version: %w", err)
	}
	if !strings.Contains(v.GitVersion, "+skiff") {
		return fmt.Errorf("the server runs Kubernetes %s: only skiff's own daemon makes nodes", v.GitVersion)
	}
	return nil
}

func nodeRef(cl *client.Client, name string) (client.Ref, error) {
	catalog, err := cl.Catalog()
	if err != nil {
		return client.Ref{}, err
	}
	m, err := catalog.Kind(schema.GroupVersionKind{Version: "v1", Kind: "Node"})
	return client.Ref{Mapping: m, Name: name}, err
}

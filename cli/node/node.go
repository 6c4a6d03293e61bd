// Package node adds, stops and removes nodes, and controls which pods they take: skiff node,
// cordon, uncordon, drain and taint.
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
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/output"
	"skiff/cli/resource"
)

// Cordon is skiff cordon.
func Cordon(env *command.Env) *cli.Command {
	return cordon(env, "cordon", "Mark node as unschedulable", true)
}

// Uncordon is skiff uncordon.
func Uncordon(env *command.Env) *cli.Command {
	return cordon(env, "uncordon", "Mark node as schedulable", false)
}

func cordon(env *command.Env, name, usage string, unschedulable bool) *cli.Command {
	return command.New(cli.Command{
		Name: name, Usage: usage, ArgsUsage: "NODE",
		Flags:  command.Flags(command.SelectorFlag(), command.DryRunFlag()),
		Action: func(c *cli.Context) error { return runCordon(c, env, name, unschedulable) },
	}, "skiff "+name+" minikube")
}

func runCordon(c *cli.Context, env *command.Env, name string, unschedulable bool) error {
	if !c.Args().Present() && c.String("selector") == "" {
		return command.UsageErrorf(name, "USAGE: %s NODE", name)
	}
	dryRun, err := env.ReadDryRun(c)
	if err != nil {
		return err
	}
	cl, err := env.Connect(c)
	if err != nil {
		return err
	}
	return each(c, env, cl, c.Args().Slice(), func(o resource.Object, n *corev1.Node) error {
		return setUnschedulable(c.Context, env, cl, o, n, name, unschedulable, dryRun)
	})
}

// setUnschedulable cordons or uncordons a node, as name says, and reports it.
func setUnschedulable(ctx context.Context, env *command.Env, cl *client.Client, o resource.Object, n *corev1.Node, name string, unschedulable bool, dryRun command.DryRun) error {
	patch := fmt.Sprintf(`{"spec":{"unschedulable":%t}}`, unschedulable)
	what := name + "ed"
	switch {
	case n.Spec.Unschedulable == unschedulable:
		what = "already " + what
	case dryRun != command.DryRunClient:
		_, err := cl.Patch(ctx, o.Ref, types.StrategicMergePatchType, []byte(patch), client.WriteOptions{DryRun: dryRun == command.DryRunServer})
		if err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(env.Out, "node/%s %s%s\n", n.Name, what, dryRun.Suffix())
	return err
}

// each calls fn with the named nodes, or those the selector selects.
func each(c *cli.Context, env *command.Env, cl *client.Client, names []string, fn func(resource.Object, *corev1.Node) error) error {
	q := resource.Query{Args: append([]string{"nodes"}, names...), Labels: c.String("selector"), All: c.Bool("all")}
	return resource.Finder{Client: cl, In: env.In}.Find(c.Context, q, func(o resource.Object) error {
		n := &corev1.Node{}
		if err := client.Into(o.Value, n); err != nil {
			return err
		}
		return fn(o, n)
	})
}

// Taint is skiff taint.
func Taint(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "taint", Usage: "Update the taints on one or more nodes", ArgsUsage: "node NAME KEY_1=VAL_1:EFFECT_1 …",
		Flags: command.Flags(command.SelectorFlag(), command.DryRunFlag(), command.OutputFlags(command.ObjectFormats), command.ManagerFlag("kubectl-taint"),
			&cli.BoolFlag{Name: "overwrite", Usage: "change taints that already exist"},
			&cli.BoolFlag{Name: "all", Usage: "all nodes"}),
		Action: func(c *cli.Context) error { return runTaint(c, env) },
	},
		"skiff taint node minikube dedicated=special:NoSchedule",
		"skiff taint node minikube dedicated:NoSchedule-   # remove it",
		"skiff taint node minikube dedicated-              # whatever its effect")
}

// taints are the changes that were asked for.
type taints struct {
	add, remove []corev1.Taint
	overwrite   bool
}

func runTaint(c *cli.Context, env *command.Env) error {
	args := c.Args().Slice()
	if len(args) == 0 || !strings.HasPrefix("nodes", strings.ToLower(args[0])) && args[0] != "no" {
		return errors.New("only nodes can be tainted: skiff taint node NAME KEY=VALUE:EFFECT")
	}
	var names, specs []string
	for _, a := range args[1:] {
		if strings.ContainsAny(a, "=:") || strings.HasSuffix(a, "-") {
			specs = append(specs, a)
		} else {
			names = append(names, a)
		}
	}
	t, err := parse(specs)
	if err != nil {
		return err
	}
	t.overwrite = c.Bool("overwrite")
	dryRun, err := env.ReadDryRun(c)
	if err != nil {
		return err
	}
	report, err := output.NewReporter(env.Out, output.Read(c), dryRun.Suffix())
	if err != nil {
		return err
	}
	cl, err := env.Connect(c)
	if err != nil {
		return err
	}
	write := client.WriteOptions{DryRun: dryRun == command.DryRunServer, Manager: c.String("field-manager")}
	return each(c, env, cl, names, func(o resource.Object, n *corev1.Node) error {
		after, what, err := t.apply(n)
		if err != nil {
			return err
		}
		if dryRun != command.DryRunClient {
			if o.Value, err = send(c.Context, cl, o, after, write); err != nil {
				return err
			}
		}
		return report.Report(o.Value, what)
	})
}

func send(ctx context.Context, cl *client.Client, o resource.Object, after []corev1.Taint, write client.WriteOptions) (*unstructured.Unstructured, error) {
	if after == nil {
		after = []corev1.Taint{}
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"resourceVersion": o.Value.GetResourceVersion()}, "spec": map[string]any{"taints": after}})
	if err != nil {
		return nil, err
	}
	return cl.Patch(ctx, o.Ref, types.MergePatchType, patch, write)
}

var effects = []corev1.TaintEffect{corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute}

// parse reads KEY=VALUE:EFFECT and KEY:EFFECT; a "-" at the end removes the taint.
func parse(specs []string) (taints, error) {
	var t taints
	if len(specs) == 0 {
		return t, errors.New("at least one taint update is required")
	}
	for _, spec := range specs {
		text, removed := strings.CutSuffix(spec, "-")
		key, effect, hasEffect := strings.Cut(text, ":")
		key, value, _ := strings.Cut(key, "=")
		taint := corev1.Taint{Key: key, Value: value, Effect: corev1.TaintEffect(effect)}
		switch {
		case len(validation.IsQualifiedName(key)) > 0, len(validation.IsValidLabelValue(value)) > 0:
			return t, fmt.Errorf("invalid taint spec: %v", spec)
		case hasEffect && !slices.Contains(effects, taint.Effect):
			return t, fmt.Errorf("invalid taint effect: %v, unsupported taint effect", effect)
		case removed:
			t.remove = append(t.remove, taint)
		case !hasEffect:
			return t, fmt.Errorf("invalid taint spec: %v", spec)
		default:
			t.add = append(t.add, taint)
		}
	}
	return t, nil
}

// apply returns a node's taints after the changes, and the word for what was done.
func (t taints) apply(n *corev1.Node) ([]corev1.Taint, string, error) {
	after := slices.Clone(n.Spec.Taints)
	for _, r := range t.remove {
		left := slices.DeleteFunc(slices.Clone(after), func(have corev1.Taint) bool {
			return have.Key == r.Key && (r.Effect == "" || have.Effect == r.Effect)
		})
		if len(left) == len(after) {
			return nil, "", fmt.Errorf("taint %q not found", strings.TrimSuffix(r.Key+":"+string(r.Effect), ":"))
		}
		after = left
	}
	for _, a := range t.add {
		i := slices.IndexFunc(after, func(have corev1.Taint) bool { return have.MatchTaint(&a) })
		switch {
		case i < 0:
			after = append(after, a)
		case !t.overwrite:
			return nil, "", fmt.Errorf("node %s already has %s taint(s) with same effect(s) and --overwrite is false", n.Name, a.Key)
		default:
			after[i].Value = a.Value
		}
	}
	switch {
	case len(t.add) == 0:
		return after, "untainted", nil
	case len(t.remove) > 0:
		return after, "modified", nil
	}
	return after, "tainted", nil
}

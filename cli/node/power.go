package node

import (
	"fmt"

	"github.com/urfave/cli/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/resource"
)

func halt(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "stop", Usage: "Let nodes fail: their containers die and nothing more is heard of them", ArgsUsage: "(NAME… | -l LABELS)",
		Flags:  command.Flags(command.SelectorFlag(), command.DryRunFlag()),
		Action: func(c *cli.Context) error { return runPower(c, env, "stop", "stopped", true) },
	}, "skiff node stop worker-1", "skiff node stop -l topology.kubernetes.io/zone=a")
}

func start(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "start", Usage: "Bring stopped nodes back", ArgsUsage: "(NAME… | -l LABELS)",
		Flags:  command.Flags(command.SelectorFlag(), command.DryRunFlag()),
		Action: func(c *cli.Context) error { return runPower(c, env, "start", "started", false) },
	}, "skiff node start worker-1")
}

func stopped(n *corev1.Node) bool { return n.Annotations[annotationPower] == "off" }

func runPower(c *cli.Context, env *command.Env, verb, done string, off bool) error {
	patch := `{"metadata":{"annotations":{"` + annotationPower + `":null}}}`
	if off {
		patch = `{"metadata":{"annotations":{"` + annotationPower + `":"off"}}}`
	}
	return eachVirtual(c, env, verb, done, func(cl *client.Client, o resource.Object, n *corev1.Node, dryRun command.DryRun) error {
		what := done
		switch {
		case stopped(n) == off:
			what = "already " + done
		case dryRun != command.DryRunClient:
			if _, err := cl.Patch(c.Context, o.Ref, types.MergePatchType, []byte(patch), client.WriteOptions{DryRun: dryRun == command.DryRunServer}); err != nil {
				return err
			}
		}
		_, err := fmt.Fprintf(env.Out, "node/%s %s%s\n", n.Name, what, dryRun.Suffix())
		return err
	})
}

func remove(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "rm", Aliases: []string{"remove"}, Usage: "Remove nodes with all that runs on them", ArgsUsage: "(NAME… | -l LABELS)",
		Flags:  command.Flags(command.SelectorFlag(), command.DryRunFlag()),
		Action: func(c *cli.Context) error { return runRemove(c, env) },
	}, "skiff node rm worker-1", "skiff node rm -l skiff/simulated=true")
}

func runRemove(c *cli.Context, env *command.Env) error {
	return eachVirtual(c, env, "rm", "removed", func(cl *client.Client, o resource.Object, n *corev1.Node, dryRun command.DryRun) error {
		if dryRun != command.DryRunClient {
			options := metav1.NewPreconditionDeleteOptions(string(n.UID))
			if dryRun == command.DryRunServer {
				options.DryRun = []string{metav1.DryRunAll}
			}
			if _, err := cl.Delete(c.Context, o.Ref, options); err != nil {
				return err
			}
		}
		_, err := fmt.Fprintf(env.Out, "node/%s removed%s\n", n.Name, dryRun.Suffix())
		return err
	})
}

// eachVirtual calls fn with the nodes that are named or selected, and refuses those that skiff node add has not made.
func eachVirtual(c *cli.Context, env *command.Env, verb, done string, fn func(*client.Client, resource.Object, *corev1.Node, command.DryRun) error) error {
	if !c.Args().Present() && c.String("selector") == "" {
		return command.UsageErrorf("node "+verb, "name the nodes to be %s, or select them with -l", done)
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
		if n.Labels[labelVirtual] != "true" {
			return fmt.Errorf("node %q was not made by skiff node add, it is a machine itself: it can not be %s (skiff cordon and drain keep pods off it)", n.Name, done)
		}
		return fn(cl, o, n, dryRun)
	})
}

package node

import (
	"context"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/diagnosis"
	"skiff/cli/resource"
	"skiff/manifests/nodefacts"
)

func halt(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "stop", Usage: "Make nodes fail: their containers are killed and they fall silent", ArgsUsage: "(NAME… | -l LABELS)",
		Flags:  command.Flags(command.SelectorFlag(), command.DryRunFlag(), waitFlag()),
		Action: func(c *cli.Context) error { return runPower(c, env, "stop", "stopped", true) },
	}, "skiff node stop worker-1", "skiff node stop -l topology.kubernetes.io/zone=a")
}

func start(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "start", Usage: "Start stopped nodes again", ArgsUsage: "(NAME… | -l LABELS)",
		Flags:  command.Flags(command.SelectorFlag(), command.DryRunFlag()),
		Action: func(c *cli.Context) error { return runPower(c, env, "start", "started", false) },
	}, "skiff node start worker-1")
}

func stopped(n *corev1.Node) bool { return n.Annotations[nodefacts.AnnotationPower] == "off" }

// waitFlag says whether to wait for the containers of a node that fails or goes.
func waitFlag() cli.Flag {
	return &cli.BoolFlag{Name: "wait", Value: true, Usage: "return when no container of the nodes runs any more"}
}

// deathLimit is how long the containers of a node may take to die. Killing one takes a fraction of a
// second, and a start that the engine is busy with has to end first.
const deathLimit = 2 * time.Minute

func runPower(c *cli.Context, env *command.Env, verb, done string, off bool) error {
	var server *client.Client // of nodes that have lost their power now
	err := eachVirtual(c, env, verb, done, func(cl *client.Client, o resource.Object, n *corev1.Node, dryRun command.DryRun) error {
		what := done
		switch {
		case stopped(n) == off:
			what = "already " + done
		case dryRun != command.DryRunClient:
			if err := setPower(c.Context, cl, o.Ref, off, dryRun == command.DryRunServer); err != nil {
				return err
			}
			if off && dryRun == command.DryRunNone {
				server = cl
			}
		}
		if off && dryRun == command.DryRunNone && c.Bool("wait") {
			if err := awaitDeath(c.Context, cl, o.Ref); err != nil {
				return err
			}
		}
		_, err := fmt.Fprintf(env.Out, "node/%s %s%s\n", n.Name, what, dryRun.Suffix())
		return err
	})
	if server != nil {
		noteSilence(c.Context, env, server)
	}
	return err
}

// noteSilence says when the cluster notices that nodes have fallen silent: until then they look well. It
// says nothing where nobody tells how long that takes.
func noteSilence(ctx context.Context, env *command.Env, cl *client.Client) {
	if grace, ok := diagnosis.NodeGrace(ctx, cl); ok {
		fmt.Fprintf(env.Err, "get nodes shows this as NotReady at about %s: silence counts after %s (daemon start --node-monitor-grace-period)\n",
			env.Now().Add(grace).Local().Format(time.TimeOnly), grace)
	}
}

// setPower asks for a node's power. What was observed of it is no longer true then.
func setPower(ctx context.Context, cl *client.Client, r client.Ref, off, dryRun bool) error {
	power := `null`
	if off {
		power = `"off"`
	}
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%s,%q:null}}}`, nodefacts.AnnotationPower, power, nodefacts.AnnotationPowerObserved)
	_, err := cl.Patch(ctx, r, types.MergePatchType, []byte(patch), client.WriteOptions{DryRun: dryRun})
	return err
}

// powerDown takes a node's power, if it has any, and waits until none of its containers runs.
func powerDown(ctx context.Context, cl *client.Client, r client.Ref, stopped bool) error {
	if !stopped {
		if err := setPower(ctx, cl, r, true, false); err != nil {
			return err
		}
	}
	return awaitDeath(ctx, cl, r)
}

// awaitDeath waits until no container of a node without power runs.
func awaitDeath(ctx context.Context, cl *client.Client, r client.Ref) error {
	limited, cancel := context.WithTimeout(ctx, deathLimit)
	defer cancel()
	err := cl.Until(limited, r, func(n *unstructured.Unstructured) (bool, error) {
		return n == nil || n.GetAnnotations()[nodefacts.AnnotationPowerObserved] == "off", nil
	})
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("node %s has no power, but after %s its containers may still run: see docker ps --filter label=skiff/node=%s and the daemon's log (skiff daemon logs)", r.Name, deathLimit, r.Name)
	}
	return err
}

func remove(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "rm", Aliases: []string{"remove"}, Usage: "Remove nodes and everything that runs on them", ArgsUsage: "(NAME… | -l LABELS)",
		Flags:  command.Flags(command.SelectorFlag(), command.DryRunFlag(), waitFlag()),
		Action: func(c *cli.Context) error { return runRemove(c, env) },
	}, "skiff node rm worker-1", "skiff node rm -l skiff/simulated=true")
}

func runRemove(c *cli.Context, env *command.Env) error {
	return eachVirtual(c, env, "rm", "removed", func(cl *client.Client, o resource.Object, n *corev1.Node, dryRun command.DryRun) error {
		if dryRun == command.DryRunNone && c.Bool("wait") {
			// Once the object is gone there is nobody to ask.
			if err := powerDown(c.Context, cl, o.Ref, stopped(n)); err != nil {
				return err
			}
		}
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

// eachVirtual calls fn with the nodes that are named or selected, and refuses those that skiff node
// add has not made.
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
		if n.Labels[nodefacts.LabelVirtual] != "true" {
			return fmt.Errorf("node %q was not made by skiff node add, it is a machine itself: it can not be %s (skiff cordon and drain keep pods off it)", n.Name, done)
		}
		return fn(cl, o, n, dryRun)
	})
}

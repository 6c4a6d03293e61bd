package node

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/cli-runtime/pkg/printers"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/pods"
	"skiff/manifests/nodefacts"
)

func list(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "ls", Aliases: []string{"list"}, Usage: "List nodes with their kind, status and number of pods",
		Flags: command.Flags(command.SelectorFlag(),
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print names only"},
			&cli.BoolFlag{Name: "no-headers", Usage: "do not print headers"}),
		Action: func(c *cli.Context) error { return runList(c, env) },
	}, "skiff node ls", "skiff node ls -l skiff/simulated=true -q")
}

func runList(c *cli.Context, env *command.Env) error {
	if c.Args().Present() {
		return command.UsageErrorf("node ls", "unexpected argument %q", c.Args().First())
	}
	cl, err := env.Connect(c)
	if err != nil {
		return err
	}
	ref, err := nodeRef(cl, "")
	if err != nil {
		return err
	}
	nodes, err := client.ListOf[corev1.Node](c.Context, cl, ref, client.ListOptions{Labels: c.String("selector")})
	if err != nil {
		return err
	}
	if c.Bool("quiet") {
		for i := range nodes {
			fmt.Fprintln(env.Out, nodes[i].Name)
		}
		return nil
	}
	if len(nodes) == 0 {
		fmt.Fprintln(env.Err, "No nodes found.")
		return nil
	}
	if ref, err = pods.Ref(cl, "", ""); err != nil {
		return err
	}
	// Those that have ended use nothing, and do not count for the scheduler.
	all, err := client.ListOf[corev1.Pod](c.Context, cl, ref, client.ListOptions{Fields: "status.phase!=Succeeded,status.phase!=Failed", Chunk: 2000})
	if err != nil {
		return err
	}
	count := map[string]int{}
	for i := range all {
		count[all[i].Spec.NodeName]++
	}
	return printNodes(env.Out, nodes, count, !c.Bool("no-headers"), env.Now())
}

func printNodes(out io.Writer, nodes []corev1.Node, count map[string]int, headers bool, now time.Time) error {
	w := printers.GetNewTabWriter(out)
	if headers {
		fmt.Fprintln(w, "NAME\tKIND\tSTATUS\tPODS\tCPU\tMEMORY\tAGE")
	}
	for i := range nodes {
		n := &nodes[i]
		room := n.Status.Allocatable
		fmt.Fprintf(w, "%s\t%s\t%s\t%d/%s\t%s\t%s\t%s\n", n.Name, kindOf(n), status(n), count[n.Name], room.Pods(), room.Cpu(), room.Memory(),
			duration.HumanDuration(now.Sub(n.CreationTimestamp.Time)))
	}
	return w.Flush()
}

func kindOf(n *corev1.Node) string {
	switch {
	case n.Labels[nodefacts.LabelVirtual] != "true":
		return "machine"
	case n.Labels[nodefacts.LabelSimulated] == "true":
		return "simulated"
	}
	return "virtual"
}

// status is what kubectl get nodes shows, and before it that the node was stopped: the cluster
// takes a while to notice.
func status(n *corev1.Node) string {
	var words []string
	if stopped(n) {
		words = append(words, "Stopped")
	}
	ready := "Unknown"
	for _, c := range n.Status.Conditions {
		if c.Type != corev1.NodeReady {
			continue
		}
		ready = "NotReady"
		if c.Status == corev1.ConditionTrue {
			ready = "Ready"
		}
	}
	words = append(words, ready)
	if n.Spec.Unschedulable {
		words = append(words, "SchedulingDisabled")
	}
	return strings.Join(words, ",")
}

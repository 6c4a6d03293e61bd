// Package autoscale makes HorizontalPodAutoscalers: skiff autoscale.
package autoscale

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/meta"

	"skiff/cli/applied"
	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/output"
	"skiff/cli/resource"
)

// manager is the field manager of the autoscalers. It is kubectl's name, so that the server takes the
// two programs for one.
const manager = "kubectl-autoscale"

// Command is skiff autoscale.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "autoscale", Usage: "Auto-scale a deployment, replica set, stateful set, or replication controller",
		ArgsUsage: "(-f FILE | TYPE NAME) [--min=MINPODS] --max=MAXPODS [--cpu=CPU] [--memory=MEMORY]",
		Flags: command.Flags(command.FileFlags("autoscale"), command.OutputFlags(command.ObjectFormats), command.DryRunFlag(), command.ManagerFlag(manager),
			&cli.IntFlag{Name: "min", Value: -1, Usage: "the least `COUNT` of pods; without one, the server's default"},
			&cli.IntFlag{Name: "max", Value: -1, Usage: "the largest `COUNT` of pods; required"},
			&cli.StringFlag{Name: "cpu", Usage: "what pods shall use of the processor on average: a share of what they request, as `70%`, or an amount, as 500m; 500 is 500m"},
			&cli.StringFlag{Name: "memory", Usage: "the same for memory: `60%`, or 200Mi; 200 is 200Mi"},
			&cli.IntFlag{Name: "cpu-percent", Value: -1, Usage: "the older form of --cpu: a `NUMBER` of percent"},
			&cli.StringFlag{Name: "name", Usage: "`NAME` of the autoscaler (default: that of the object)"},
			&cli.BoolFlag{Name: "save-config", Usage: "save the configuration in an annotation, for a later apply"}),
		Action: func(c *cli.Context) error { return run(c, env) },
	},
		"skiff autoscale deployment web --min=2 --max=10 --cpu=70%",
		"skiff autoscale rc kubia --max=5 --cpu=500m --memory=60%")
}

// maker makes autoscalers as the flags say.
type maker struct {
	client     *client.Client
	report     *output.Reporter
	dryRun     command.DryRun
	manager    string
	name       string
	least      int32
	most       int32
	metrics    []autoscalingv2.MetricSpec
	saveConfig bool
}

func run(c *cli.Context, env *command.Env) error {
	m := &maker{name: c.String("name"), least: int32(c.Int("min")), most: int32(c.Int("max")), manager: c.String("field-manager"), saveConfig: c.Bool("save-config")}
	switch {
	case !c.IsSet("max"):
		return errors.New("required flag(s) \"max\" not set")
	case m.most < 1:
		return fmt.Errorf("--max=MAXPODS is required and must be at least 1, max: %d", m.most)
	case m.most < m.least:
		return fmt.Errorf("--max=MAXPODS must be larger or equal to --min=MINPODS, max: %d, min: %d", m.most, m.least)
	}
	var err error
	if m.metrics, err = readMetrics(c); err != nil {
		return err
	}
	if m.dryRun, err = env.ReadDryRun(c); err != nil {
		return err
	}
	if m.report, err = output.NewReporter(env.Out, output.Read(c), m.dryRun.Suffix()); err != nil {
		return err
	}
	if m.client, err = env.Connect(c); err != nil {
		return err
	}
	made := 0
	q := resource.Query{Args: c.Args().Slice(), Files: command.Files(c)}
	err = resource.Finder{Client: m.client, In: env.In}.Find(c.Context, q, func(o resource.Object) error {
		made++
		return m.one(c.Context, o)
	})
	if err == nil && made == 0 {
		return errors.New("no objects passed to autoscale")
	}
	return err
}

// one makes the autoscaler of one object.
func (m *maker) one(ctx context.Context, o resource.Object) error {
	catalog, err := m.client.Catalog()
	if err != nil {
		return err
	}
	of := o.Ref.Mapping
	if !catalog.Serves(of.GroupVersionKind.GroupVersion().String(), of.Resource.Resource+"/scale") {
		return fmt.Errorf("cannot autoscale a %s: could not find scale subresource for %s in discovery information", of.GroupVersionKind.Kind, of.Resource.String())
	}
	u, err := client.From(m.autoscaler(o.Ref.Name, of))
	if err != nil {
		return fmt.Errorf("making the autoscaler of %s: %w", o.Ref, err)
	}
	if m.client.NamespaceGiven {
		u.SetNamespace(m.client.Namespace)
	}
	if m.dryRun == command.DryRunClient {
		return m.report.Report(u, "created")
	}
	if err := applied.Update(u, m.saveConfig); err != nil {
		return err
	}
	at, err := catalog.Kind(autoscalingv2.SchemeGroupVersion.WithKind("HorizontalPodAutoscaler"))
	if err != nil {
		return err
	}
	r := client.Ref{Mapping: at, Namespace: m.client.Namespace, Name: u.GetName()}
	if u, err = m.client.Create(ctx, r, u, client.WriteOptions{DryRun: m.dryRun == command.DryRunServer, Manager: m.manager}); err != nil {
		return err
	}
	return m.report.Report(u, "autoscaled")
}

func (m *maker) autoscaler(target string, of *meta.RESTMapping) *autoscalingv2.HorizontalPodAutoscaler {
	a := &autoscalingv2.HorizontalPodAutoscaler{}
	a.APIVersion, a.Kind, a.Name = autoscalingv2.SchemeGroupVersion.String(), "HorizontalPodAutoscaler", m.name
	if a.Name == "" {
		a.Name = target
	}
	a.Spec = autoscalingv2.HorizontalPodAutoscalerSpec{
		ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: of.GroupVersionKind.GroupVersion().String(), Kind: of.GroupVersionKind.Kind, Name: target},
		MaxReplicas:    m.most, Metrics: m.metrics,
	}
	if m.least > 0 {
		a.Spec.MinReplicas = &m.least
	}
	return a
}

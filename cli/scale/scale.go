// Package scale sets how many replicas a controller keeps.
package scale

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/output"
	"skiff/cli/resource"
)

// Command is skiff scale.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "scale", Usage: "Set a new size for a deployment, replica set, or replication controller", ArgsUsage: "--replicas=COUNT (-f FILE | TYPE NAME)",
		Flags: command.Flags(command.FileFlags("scale"), command.SelectorFlag(), command.OutputFlags(command.ObjectFormats), command.DryRunFlag(),
			&cli.IntFlag{Name: "replicas", Value: -1, Usage: "`COUNT` of replicas; required"},
			&cli.IntFlag{Name: "current-replicas", Value: -1, Usage: "scale only if there are `COUNT` replicas now; -1 for any number"},
			&cli.StringFlag{Name: "resource-version", Usage: "scale only if the object has this resource `VERSION`"},
			&cli.BoolFlag{Name: "all", Usage: "scale all objects of the types in the namespace"},
			&cli.DurationFlag{Name: "timeout", Usage: "how long to wait for the replicas; 0 for not at all"}),
		Action: func(c *cli.Context) error { return run(c, env) },
	},
		"skiff scale rc kubia --replicas=5",
		"skiff scale --replicas=3 -f kubia.yaml",
		"skiff scale --current-replicas=2 --replicas=3 rs/kubia",
		"skiff scale --replicas=0 rc,rs -l app=kubia")
}

type scaler struct {
	env      *command.Env
	client   *client.Client
	report   *output.Reporter
	dryRun   command.DryRun
	replicas int64
	current  int64
	version  string
	timeout  time.Duration
}

func run(c *cli.Context, env *command.Env) error {
	s := &scaler{env: env, replicas: int64(c.Int("replicas")), current: int64(c.Int("current-replicas")), version: c.String("resource-version"), timeout: c.Duration("timeout")}
	switch {
	case !c.IsSet("replicas"):
		return errors.New("required flag(s) \"replicas\" not set")
	case s.replicas < 0:
		return errors.New("The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0")
	case s.current < -1:
		return errors.New("The --current-replicas must specify an integer of -1 or greater")
	}
	var err error
	if s.dryRun, err = env.ReadDryRun(c); err != nil {
		return err
	}
	if s.report, err = output.NewReporter(env.Out, output.Read(c), s.dryRun.Suffix()); err != nil {
		return err
	}
	if s.client, err = env.Connect(c); err != nil {
		return err
	}
	q := resource.Query{Args: c.Args().Slice(), Files: command.Files(c), Labels: c.String("selector"), All: c.Bool("all")}
	return s.all(c.Context, resource.Finder{Client: s.client, In: env.In}, q)
}

func (s *scaler) all(ctx context.Context, f resource.Finder, q resource.Query) error {
	targets, err := f.Targets(ctx, q)
	if err != nil && len(targets) == 0 {
		return err
	}
	var objects []resource.Object
	ferr := f.Each(ctx, targets, 0, func(o resource.Object) error {
		objects = append(objects, o)
		return nil
	})
	err = command.Join(err, ferr)
	switch {
	case s.version != "" && len(objects) > 1:
		return errors.New("cannot use --resource-version with multiple resources")
	case len(objects) == 0 && err != nil:
		return command.Verbatim{Message: "error: no objects passed to scale " + err.Error()}
	case len(objects) == 0:
		return errors.New("no objects passed to scale")
	}
	for _, o := range objects {
		if err := s.one(ctx, o); err != nil {
			return err
		}
	}
	return err
}

func (s *scaler) one(ctx context.Context, o resource.Object) error {
	if s.dryRun != command.DryRunClient {
		if err := s.scale(ctx, o.Ref); err != nil {
			return err
		}
	}
	if s.timeout > 0 && s.dryRun == command.DryRunNone {
		if err := s.await(ctx, o.Ref); err != nil {
			return err
		}
	}
	obj, err := s.scaled(ctx, o)
	if err != nil {
		return err
	}
	return s.report.Report(obj, "scaled")
}

// scaled is the object to print: as the server has it now or, in a dry run, as it would have
// become.
func (s *scaler) scaled(ctx context.Context, o resource.Object) (*unstructured.Unstructured, error) {
	if s.dryRun == command.DryRunNone && s.report.Prints() {
		return s.client.Get(ctx, o.Ref)
	}
	obj := o.Value.DeepCopy()
	return obj, unstructured.SetNestedField(obj.Object, s.replicas, "spec", "replicas")
}

func (s *scaler) scale(ctx context.Context, r client.Ref) error {
	r = r.WithSubresource("scale")
	if s.current != -1 || s.version != "" {
		return s.scaleIf(ctx, r)
	}
	patch := fmt.Sprintf(`{"spec":{"replicas":%d}}`, s.replicas)
	_, err := s.client.Patch(ctx, r, types.MergePatchType, []byte(patch), s.write())
	return err
}

func (s *scaler) write() client.WriteOptions {
	return client.WriteOptions{DryRun: s.dryRun == command.DryRunServer}
}

// scaleIf scales an object if it is as the user expects. The resource version makes sure that it
// still is at the time of the write.
func (s *scaler) scaleIf(ctx context.Context, r client.Ref) error {
	scale, err := s.client.Get(ctx, r)
	if err != nil {
		return err
	}
	have, _, _ := unstructured.NestedInt64(scale.Object, "spec", "replicas")
	if s.current != -1 && have != s.current {
		return fmt.Errorf("Expected replicas to be %d, was %d", s.current, have)
	}
	if s.version != "" && scale.GetResourceVersion() != s.version {
		return fmt.Errorf("Expected resource version to be %s, was %s", s.version, scale.GetResourceVersion())
	}
	if err := unstructured.SetNestedField(scale.Object, s.replicas, "spec", "replicas"); err != nil {
		return err
	}
	_, err = s.client.Replace(ctx, r, scale, s.write())
	return err
}

// pause is between two looks at how far scaling is.
const pause = time.Second

// await waits until there are as many replicas as were asked for.
func (s *scaler) await(ctx context.Context, r client.Ref) error {
	deadline := s.env.Clock.NewTimer(s.timeout)
	defer deadline.Stop()
	ticker := s.env.Clock.NewTicker(pause)
	defer ticker.Stop()
	for {
		scale, err := s.client.Get(ctx, r.WithSubresource("scale"))
		if err != nil {
			return err
		}
		have, _, _ := unstructured.NestedInt64(scale.Object, "status", "replicas")
		want, _, _ := unstructured.NestedInt64(scale.Object, "spec", "replicas")
		if have == want {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline.C():
			return errors.New("timed out waiting for " + strconv.Quote(r.Name) + " to be synced")
		case <-ticker.C():
		}
	}
}

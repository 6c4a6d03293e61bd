// Package apply makes objects on the server match the files, and leaves alone what the files do not
// mention.
package apply

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"skiff/cli/applied"
	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/edit"
	"skiff/cli/output"
	"skiff/cli/resource"
)

// The field managers are kubectl's own, so that the server sees one owner whichever program
// applied.
const (
	clientSideManager = "kubectl-client-side-apply"
	serverSideManager = "kubectl"
)

// Command is skiff apply.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "apply", Usage: "Apply a configuration to a resource by file name or stdin", ArgsUsage: "-f FILE",
		Flags: command.Flags(command.FileFlags("apply"), command.ChartFlags(), command.SelectorFlag(), command.OutputFlags(command.ObjectFormats), command.DryRunFlag(), command.ValidateFlag(),
			&cli.StringFlag{Name: "field-manager", Usage: "`NAME` of the field manager"},
			&cli.BoolFlag{Name: "server-side", Usage: "let the server merge, and track who owns which field"},
			&cli.BoolFlag{Name: "force-conflicts", Usage: "with --server-side, take over fields that others own"},
			&cli.BoolFlag{Name: "overwrite", Value: true, Usage: "overwrite changes made on the server in the meantime"},
			&cli.StringFlag{Name: "subresource", Usage: "with --server-side, apply to this `SUBRESOURCE`"},
			command.UnsupportedSwitch("prune", "delete what is no longer wanted by name, or with skiff down -f FILE"),
			&cli.BoolFlag{Name: "all", Hidden: true},
			&cli.BoolFlag{Name: "openapi-patch", Value: true, Hidden: true}, // patches are made by the kinds that skiff knows, either way
			deletes(),
		),
		Action:      func(c *cli.Context) error { return run(c, env) },
		Subcommands: append(lastApplied(env), edit.LastApplied(env)),
	},
		"skiff apply -f kubia.yaml",
		"skiff apply -f manifests/ -R",
		"cat pod.json | skiff apply -f -",
		"skiff apply --server-side -f kubia.yaml --force-conflicts",
		"skiff apply -f kubia.yaml --dry-run=server -o yaml")
}

// deletes are kubectl's flags about deletion; here apply never deletes.
func deletes() []cli.Flag {
	const instead = "apply deletes nothing; delete and create anew with skiff replace --force -f FILE, which has this flag"
	return []cli.Flag{
		command.UnsupportedSwitch("force", instead), command.UnsupportedSwitch("wait", instead), command.UnsupportedValue("grace-period", instead),
		command.UnsupportedValue("timeout", instead), command.UnsupportedCascade(instead),
	}
}

// Applier applies objects to one server.
type Applier struct {
	Client *client.Client
	// Write holds field manager, validation and dry run; Write.Force takes fields over
	// (server-side).
	Write client.WriteOptions
	// ServerSide lets the server merge.
	ServerSide bool
	// ClientDryRun sends nothing.
	ClientDryRun bool
	// Overwrite discards changes made on the server since the last apply.
	Overwrite   bool
	Subresource string
	// Warn prints a warning.
	Warn func(format string, a ...any)
	// Refused words the server's refusal to make current wanted; nil for kubectl's words, which show
	// the patch.
	Refused func(t resource.Target, current, wanted *unstructured.Unstructured, err error) error

	established map[string]bool // definitions that have been waited for
}

func run(c *cli.Context, env *command.Env) error {
	if err := check(c); err != nil {
		return err
	}
	dryRun, err := env.ReadDryRun(c)
	if err != nil {
		return err
	}
	report, err := output.NewReporter(env.Out, output.Read(c), dryRun.Suffix())
	if err != nil {
		return err
	}
	a, err := newApplier(c, env, dryRun)
	if err != nil {
		return err
	}
	f := resource.Finder{Client: a.Client, In: env.In}
	targets, err := f.Targets(c.Context, resource.Query{Files: command.Files(c), Labels: c.String("selector"), Defining: true})
	if len(targets) == 0 && err == nil {
		return errors.New("no objects passed to apply")
	}
	errs := []error{err}
	for _, t := range DefinitionsFirst(targets) {
		obj, what, err := a.Apply(c.Context, t)
		if err == nil {
			err = report.Report(obj, string(what))
		}
		errs = append(errs, err)
	}
	return command.Join(errs...)
}

func check(c *cli.Context) error {
	switch {
	case c.Args().Present():
		return command.UsageErrorf("apply", "Unexpected args: %v", c.Args().Slice())
	case len(command.Files(c).Names) == 0:
		return errors.New("must specify -f")
	case c.String("subresource") != "" && !c.Bool("server-side"):
		return errors.New("--subresource can only be specified for --server-side")
	case c.Bool("force-conflicts") && !c.Bool("server-side"):
		return errors.New("--force-conflicts only works with --server-side")
	case c.String("dry-run") == "client" && c.Bool("server-side"):
		return errors.New("--dry-run=client doesn't work with --server-side (did you mean --dry-run=server instead?)")
	}
	return nil
}

func newApplier(c *cli.Context, env *command.Env, dryRun command.DryRun) (*Applier, error) {
	validation, err := command.Validation(c)
	if err != nil {
		return nil, err
	}
	cl, err := env.Connect(c)
	if err != nil {
		return nil, err
	}
	manager := Manager(c.String("field-manager"), c.Bool("server-side"))
	return &Applier{
		Client: cl, ServerSide: c.Bool("server-side"), ClientDryRun: dryRun == command.DryRunClient, Overwrite: c.Bool("overwrite"), Subresource: c.String("subresource"),
		Write: client.WriteOptions{DryRun: dryRun == command.DryRunServer, Manager: manager, Validation: validation, Force: c.Bool("force-conflicts")},
		Warn:  func(format string, a ...any) { fmt.Fprintf(env.Err, format, a...) },
	}, nil
}

// Manager is the field manager that a flag names, or else kubectl's.
func Manager(given string, serverSide bool) string {
	switch {
	case given != "":
		return given
	case serverSide:
		return serverSideManager
	}
	return clientSideManager
}

// NewApplier returns an Applier that works as "skiff apply" does without flags.
func NewApplier(c *client.Client, warn func(format string, a ...any)) *Applier {
	return &Applier{Client: c, Overwrite: true, Warn: warn, Write: client.WriteOptions{Manager: clientSideManager, Validation: "Strict"}}
}

// Outcome is what applying did, as it is reported.
type Outcome string

// The outcomes.
const (
	Created           Outcome = "created"
	Configured        Outcome = "configured"
	Unchanged         Outcome = "unchanged"
	ServerSideApplied Outcome = "serverside-applied"
)

// Apply creates or updates one object and returns it as the server has it. An object whose kind is
// defined by another one that has been applied waits until the server has the kind.
func (a *Applier) Apply(ctx context.Context, t resource.Target) (*unstructured.Unstructured, Outcome, error) {
	if t.Name == "" && t.Value.GetGenerateName() != "" {
		return nil, "", fmt.Errorf("from %s: cannot use generate name with apply", t.Value.GetGenerateName())
	}
	if err := a.awaitKind(ctx, t); err != nil {
		return nil, "", command.SourceError("waiting for the kind of", t.Source, err)
	}
	if a.ServerSide {
		obj, err := a.applyOnServer(ctx, t)
		return obj, ServerSideApplied, err
	}
	modified := t.Value.DeepCopy()
	if err := applied.Set(modified); err != nil {
		return nil, "", command.SourceError("applying", t.Source, err)
	}
	current, err := a.Client.Get(ctx, t.Ref)
	if apierrors.IsNotFound(err) {
		return a.create(ctx, t, modified)
	}
	if err != nil {
		return nil, "", command.SourceError(retrieving(t), t.Source, err)
	}
	if a.ClientDryRun {
		return current, Configured, nil
	}
	return a.patch(ctx, t, modified, current)
}

func (a *Applier) create(ctx context.Context, t resource.Target, obj *unstructured.Unstructured) (*unstructured.Unstructured, Outcome, error) {
	dropNulls(obj.Object)
	if a.ClientDryRun {
		return obj, Created, nil
	}
	made, err := a.Client.Create(ctx, t.Ref, obj, a.Write)
	return made, Created, command.SourceError("creating", t.Source, err)
}

// dropNulls removes what a manifest sets to null, as patching would have.
func dropNulls(v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, inner := range v {
			if inner == nil {
				delete(v, k)
			} else {
				dropNulls(inner)
			}
		}
	case []any:
		for _, inner := range v {
			dropNulls(inner)
		}
	}
}

const notApplied = `Warning: resource %s is missing the %s annotation which is required by skiff apply. skiff apply should only be used on resources created declaratively by either skiff create --save-config or skiff apply. The missing annotation will be patched automatically.
`

// tries is how often a patch is computed again after a conflict.
const tries = 5

func (a *Applier) patch(ctx context.Context, t resource.Target, modified, current *unstructured.Unstructured) (*unstructured.Unstructured, Outcome, error) {
	if !applied.Has(current) {
		a.Warn(notApplied, t.Mapping.Resource.Resource+"/"+t.Name, applied.Annotation)
	}
	for try := 1; ; try++ {
		kind, patch, err := threeWay(t.Mapping.GroupVersionKind, modified, current, a.Overwrite)
		if err != nil {
			return nil, "", command.SourceError("applying patch to", t.Source, err)
		}
		if string(patch) == "{}" {
			a.warnDeleting(current)
			return current, Unchanged, nil
		}
		made, err := a.Client.Patch(ctx, t.Ref, kind, patch, a.Write)
		if err == nil {
			a.warnDeleting(made)
			return made, Configured, nil
		}
		if !apierrors.IsConflict(err) || try == tries {
			return nil, "", a.refused(t, current, kind, patch, err)
		}
		if current, err = a.Client.Get(ctx, t.Ref); err != nil {
			return nil, "", command.SourceError(retrieving(t), t.Source, err)
		}
	}
}

func (a *Applier) refused(t resource.Target, current *unstructured.Unstructured, kind types.PatchType, patch []byte, err error) error {
	if a.Refused != nil {
		if wanted, perr := patched(t.Mapping.GroupVersionKind, current, kind, patch); perr == nil {
			return a.Refused(t, current, wanted, err)
		}
	}
	return command.SourceError(fmt.Sprintf("applying patch:\n%s\nto:\n%s\nfor:", patch, describe(t)), t.Source, err)
}

// retrieving says, in kubectl's words, what was being done when an object could not be read.
func retrieving(t resource.Target) string {
	return fmt.Sprintf("retrieving current configuration of:\n%s\nfrom server for:", describe(t))
}

func describe(t resource.Target) string {
	return fmt.Sprintf("Resource: %q, GroupVersionKind: %q\nName: %q, Namespace: %q", t.Mapping.Resource, t.Mapping.GroupVersionKind, t.Name, t.Namespace)
}

func (a *Applier) warnDeleting(obj *unstructured.Unstructured) {
	if obj.GetDeletionTimestamp() != nil {
		a.Warn("Warning: Detected changes to resource %s which is currently being deleted.\n", obj.GetName())
	}
}

const conflictHelp = `%w
Please review the fields above--they currently have other managers. Here
are the ways you can resolve this warning:
* If you intend to manage all of these fields, please re-run the apply
  command with the ` + "`--force-conflicts`" + ` flag.
* If you do not intend to manage all of the fields, please edit your
  manifest to remove references to the fields that should keep their
  current managers.
* You may co-own fields by updating your manifest to match the existing
  value; in this case, you'll become the manager if the other manager(s)
  stop managing the field (remove it from their configuration).
See https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts`

func (a *Applier) applyOnServer(ctx context.Context, t resource.Target) (*unstructured.Unstructured, error) {
	data, err := json.Marshal(t.Value)
	if err != nil {
		return nil, command.SourceError("serverside-apply", t.Source, err)
	}
	obj, err := a.Client.Patch(ctx, t.WithSubresource(a.Subresource), types.ApplyPatchType, data, a.Write)
	if apierrors.IsConflict(err) {
		return nil, fmt.Errorf(conflictHelp, err)
	}
	if err == nil {
		a.warnDeleting(obj)
	}
	return obj, err
}

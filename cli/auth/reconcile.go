package auth

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/urfave/cli/v2"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/component-helpers/auth/rbac/validation"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/output"
	"skiff/cli/resource"
)

func reconcileCommand(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "reconcile", Usage: "Give roles and bindings what files say they have", ArgsUsage: "-f FILE",
		Flags: command.Flags(command.FileFlags("reconcile"), command.OutputFlags(command.ObjectFormats), command.DryRunFlag(),
			&cli.BoolFlag{Name: "remove-extra-permissions", Usage: "take away the permissions that the file does not have"},
			&cli.BoolFlag{Name: "remove-extra-subjects", Usage: "take away the subjects that the file does not have"}),
		Action: func(c *cli.Context) error { return reconcile(c, env) },
	}, "skiff auth reconcile -f roles.yaml")
}

// reconciler brings roles and bindings on the server in line with those of files.
type reconciler struct {
	c                         *cli.Context
	env                       *command.Env
	client                    *client.Client
	report                    *output.Reporter
	dryRun                    command.DryRun
	extraRules, extraSubjects bool // are taken away
}

func reconcile(c *cli.Context, env *command.Env) error {
	if len(command.Files(c).Names) == 0 {
		return errors.New("must specify -f")
	}
	r := &reconciler{c: c, env: env, extraRules: c.Bool("remove-extra-permissions"), extraSubjects: c.Bool("remove-extra-subjects")}
	var err error
	if r.dryRun, err = env.ReadDryRun(c); err != nil {
		return err
	}
	if r.report, err = output.NewReporter(env.Out, output.Read(c), r.dryRun.Suffix()); err != nil {
		return err
	}
	if r.client, err = env.Connect(c); err != nil {
		return err
	}
	f := resource.Finder{Client: r.client, In: env.In}
	targets, err := f.Targets(c.Context, resource.Query{Files: command.Files(c)})
	if err != nil {
		return err
	}
	for _, t := range targets {
		if t.Mapping.GroupVersionKind.Group != rbacv1.GroupName {
			continue // as kubectl: a file may hold other objects
		}
		if err := r.one(t); err != nil {
			return command.SourceError("reconciling", t.Source, err)
		}
	}
	return nil
}

func (r *reconciler) one(t resource.Target) error {
	have, err := r.client.Get(r.c.Context, t.Ref)
	if apierrors.IsNotFound(err) {
		return r.create(t)
	}
	if err != nil {
		return err
	}
	if have.GetAnnotations()[rbacv1.AutoUpdateAnnotationKey] == "false" {
		fmt.Fprintln(r.env.Err, "\treconciliation skipped: the object opted out (rbac.authorization.kubernetes.io/autoupdate: false)")
		return r.report.Report(have, "reconciled")
	}
	next, anew, err := r.next(have, t.Value)
	if err != nil {
		return err
	}
	if anew {
		if r.dryRun != command.DryRunClient {
			uid := have.GetUID()
			o := &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}}
			if r.dryRun == command.DryRunServer {
				o.DryRun = []string{metav1.DryRunAll}
			}
			if _, err := r.client.Delete(r.c.Context, t.Ref, o); err != nil {
				return err
			}
		}
		fmt.Fprintln(r.env.Err, "\treconciliation required recreate")
		if r.dryRun == command.DryRunServer { // it is still there
			return r.report.Report(t.Value, "reconciled")
		}
		return r.create(t)
	}
	if equality.Semantic.DeepEqual(have, next) {
		return r.report.Report(have, "reconciled")
	}
	if r.dryRun != command.DryRunClient {
		if next, err = r.client.Replace(r.c.Context, t.Ref, next, r.options()); err != nil {
			return err
		}
	}
	fmt.Fprintln(r.env.Err, "\treconciliation required update")
	return r.report.Report(next, "reconciled")
}

func (r *reconciler) options() client.WriteOptions {
	return client.WriteOptions{DryRun: r.dryRun == command.DryRunServer}
}

func (r *reconciler) create(t resource.Target) error {
	made := t.Value
	if r.dryRun != command.DryRunClient {
		collection := t.Ref
		collection.Name = ""
		var err error
		if made, err = r.client.Create(r.c.Context, collection, t.Value, r.options()); err != nil {
			return err
		}
	}
	fmt.Fprintln(r.env.Err, "\treconciliation required create")
	return r.report.Report(made, "reconciled")
}

// next is what an object is to become. anew says that no update can make it so.
func (r *reconciler) next(have, want *unstructured.Unstructured) (next *unstructured.Unstructured, anew bool, err error) {
	next = have.DeepCopy()
	next.SetLabels(merged(want.GetLabels(), have.GetLabels()))
	next.SetAnnotations(merged(want.GetAnnotations(), have.GetAnnotations()))
	// Roles and ClusterRoles, and bindings, differ in nothing that matters here.
	switch have.GetKind() {
	case "Role", "ClusterRole":
		err = r.roles(next, want)
	default:
		anew, err = r.bindings(next, want)
	}
	return next, anew, err
}

func merged(a, b map[string]string) map[string]string {
	out := maps.Clone(a)
	if out == nil {
		return b
	}
	maps.Copy(out, b)
	return out
}

func (r *reconciler) roles(next, want *unstructured.Unstructured) error {
	has, wants := &rbacv1.ClusterRole{}, &rbacv1.ClusterRole{}
	if err := errors.Join(client.Into(next, has), client.Into(want, wants)); err != nil {
		return err
	}
	_, missing := validation.Covers(has.Rules, wants.Rules)
	_, extra := validation.Covers(wants.Rules, has.Rules)
	switch {
	case r.extraRules && len(missing)+len(extra) > 0 && wants.AggregationRule == nil:
		has.Rules = wants.Rules
	case len(missing) > 0:
		has.Rules = append(has.Rules, missing...)
	}
	has.AggregationRule = r.aggregation(has.AggregationRule, wants.AggregationRule)
	u, err := client.From(has)
	if err != nil {
		return err
	}
	for _, field := range []string{"rules", "aggregationRule"} {
		if value, ok := u.Object[field]; ok {
			next.Object[field] = value
		} else {
			delete(next.Object, field)
		}
	}
	return nil
}

func (r *reconciler) aggregation(has, wants *rbacv1.AggregationRule) *rbacv1.AggregationRule {
	if wants == nil || has == nil || r.extraRules {
		return wants
	}
	for _, s := range wants.ClusterRoleSelectors {
		if !slices.ContainsFunc(has.ClusterRoleSelectors, func(o metav1.LabelSelector) bool { return equality.Semantic.DeepEqual(s, o) }) {
			has.ClusterRoleSelectors = append(has.ClusterRoleSelectors, s)
		}
	}
	return has
}

func (r *reconciler) bindings(next, want *unstructured.Unstructured) (anew bool, err error) {
	has, wants := &rbacv1.ClusterRoleBinding{}, &rbacv1.ClusterRoleBinding{}
	if err := errors.Join(client.Into(next, has), client.Into(want, wants)); err != nil {
		return false, err
	}
	if has.RoleRef != wants.RoleRef {
		return true, nil
	}
	subjects := has.Subjects
	if r.extraSubjects {
		subjects = nil
	}
	for _, s := range wants.Subjects {
		if s.Kind != rbacv1.ServiceAccountKind && s.APIGroup == "" {
			s.APIGroup = rbacv1.GroupName
		}
		if !slices.Contains(subjects, s) {
			subjects = append(subjects, s)
		}
	}
	u, err := client.From(&rbacv1.ClusterRoleBinding{Subjects: subjects})
	if err != nil {
		return false, err
	}
	if value, ok := u.Object["subjects"]; ok {
		next.Object["subjects"] = value
	} else {
		delete(next.Object, "subjects")
	}
	return false, nil
}

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
	if r.dryRun == command.DryRunServer {
		return errors.New("--dry-run=server for command reconcile is not supported yet")
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
		p := &plan{verb: "create"}
		if err := p.fill(r, &unstructured.Unstructured{Object: map[string]any{}}, t.Value); err != nil {
			return err
		}
		return r.create(t, p)
	}
	if err != nil {
		return err
	}
	p := &plan{next: have.DeepCopy()}
	p.next.SetLabels(merged(t.Value.GetLabels(), have.GetLabels()))
	p.next.SetAnnotations(merged(t.Value.GetAnnotations(), have.GetAnnotations()))
	if err := p.fill(r, p.next, t.Value); err != nil {
		return err
	}
	if p.verb == "" && !equality.Semantic.DeepEqual(have, p.next) {
		p.verb = "update"
	}
	switch {
	case p.verb == "" || have.GetAnnotations()[rbacv1.AutoUpdateAnnotationKey] == "false":
		p.optedOut = p.verb != ""
		return r.tell(have, p)
	case p.verb == "recreate":
		return r.recreate(t, have, p)
	}
	made := p.next
	if r.dryRun != command.DryRunClient {
		if made, err = r.client.Replace(r.c.Context, t.Ref, p.next, client.WriteOptions{}); err != nil {
			return err
		}
	}
	return r.tell(made, p)
}

// tell says what has been done to an object, as kubectl does: the object, and then why.
func (r *reconciler) tell(made *unstructured.Unstructured, p *plan) error {
	if err := r.report.Report(made, "reconciled"); err != nil || p.verb == "" {
		return err
	}
	caveat := ""
	if p.optedOut {
		caveat = ", but object opted out (rbac.authorization.kubernetes.io/autoupdate: false)"
	}
	fmt.Fprintf(r.env.Err, "\treconciliation required %s%s\n", p.verb, caveat)
	for _, line := range p.notes {
		fmt.Fprintln(r.env.Err, "\t"+line)
	}
	return nil
}

func (r *reconciler) create(t resource.Target, p *plan) error {
	made := t.Value
	if r.dryRun != command.DryRunClient {
		collection := t.Ref
		collection.Name = ""
		var err error
		if made, err = r.client.Create(r.c.Context, collection, t.Value, client.WriteOptions{}); err != nil {
			return err
		}
	}
	return r.tell(made, p)
}

// recreate makes a binding anew, for none can come to refer to another role.
func (r *reconciler) recreate(t resource.Target, have *unstructured.Unstructured, p *plan) error {
	if r.dryRun != command.DryRunClient {
		uid := have.GetUID()
		if _, err := r.client.Delete(r.c.Context, t.Ref, &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}}); err != nil {
			return err
		}
	}
	return r.create(t, p)
}

// plan is what is to be done about an object.
type plan struct {
	verb     string // create, update, recreate; empty: nothing
	optedOut bool
	next     *unstructured.Unstructured
	notes    []string
}

func note[T any](p *plan, title string, values []T) {
	if len(values) == 0 {
		return
	}
	p.notes = append(p.notes, title+":")
	for _, v := range values {
		p.notes = append(p.notes, fmt.Sprintf("\t%+v", v))
	}
}

// fill gives next what want has. Roles and ClusterRoles, and bindings, differ in nothing that matters
// here.
func (p *plan) fill(r *reconciler, next, want *unstructured.Unstructured) error {
	switch want.GetKind() {
	case "Role", "ClusterRole":
		return p.roles(r, next, want)
	}
	return p.bindings(r, next, want)
}

func merged(a, b map[string]string) map[string]string {
	out := maps.Clone(a)
	if out == nil {
		return b
	}
	maps.Copy(out, b)
	return out
}

func (p *plan) roles(r *reconciler, next, want *unstructured.Unstructured) error {
	has, wants := &rbacv1.ClusterRole{}, &rbacv1.ClusterRole{}
	if err := errors.Join(client.Into(next, has), client.Into(want, wants)); err != nil {
		return err
	}
	_, missing := validation.Covers(has.Rules, wants.Rules)
	_, extra := validation.Covers(wants.Rules, has.Rules)
	if has.AggregationRule != nil && wants.AggregationRule != nil {
		extra = nil // they are what it aggregates
	}
	note(p, "missing rules added", missing)
	switch {
	case r.extraRules && len(missing)+len(extra) > 0:
		note(p, "extra rules removed", extra)
		has.Rules = wants.Rules
	case len(missing) > 0:
		has.Rules = append(has.Rules, missing...)
	}
	has.AggregationRule = aggregation(has.AggregationRule, wants.AggregationRule, r.extraRules)
	return take(next, has, "rules", "aggregationRule")
}

func aggregation(has, wants *rbacv1.AggregationRule, exactly bool) *rbacv1.AggregationRule {
	if wants == nil || has == nil || exactly {
		return wants
	}
	for _, s := range wants.ClusterRoleSelectors {
		if !slices.ContainsFunc(has.ClusterRoleSelectors, func(o metav1.LabelSelector) bool { return equality.Semantic.DeepEqual(s, o) }) {
			has.ClusterRoleSelectors = append(has.ClusterRoleSelectors, s)
		}
	}
	return has
}

func (p *plan) bindings(r *reconciler, next, want *unstructured.Unstructured) error {
	has, wants := &rbacv1.ClusterRoleBinding{}, &rbacv1.ClusterRoleBinding{}
	if err := errors.Join(client.Into(next, has), client.Into(want, wants)); err != nil {
		return err
	}
	if p.verb == "" && has.RoleRef != wants.RoleRef {
		p.verb = "recreate"
		return nil
	}
	for i := range wants.Subjects {
		if s := &wants.Subjects[i]; s.Kind != rbacv1.ServiceAccountKind && s.APIGroup == "" {
			s.APIGroup = rbacv1.GroupName // as the server has it
		}
	}
	missing, extra := without(wants.Subjects, has.Subjects), without(has.Subjects, wants.Subjects)
	note(p, "missing subjects added", missing)
	has.Subjects = append(has.Subjects, missing...)
	if r.extraSubjects && len(missing)+len(extra) > 0 {
		note(p, "extra subjects removed", extra)
		has.Subjects = wants.Subjects
	}
	return take(next, has, "subjects")
}

func without(all, some []rbacv1.Subject) []rbacv1.Subject {
	return slices.DeleteFunc(slices.Clone(all), func(s rbacv1.Subject) bool { return slices.Contains(some, s) })
}

// take gives an object the fields of another.
func take(next *unstructured.Unstructured, from any, fields ...string) error {
	u, err := client.From(from)
	if err != nil {
		return err
	}
	for _, field := range fields {
		if value, ok := u.Object[field]; ok {
			next.Object[field] = value
		} else {
			delete(next.Object, field)
		}
	}
	return nil
}

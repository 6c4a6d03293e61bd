// Package auth shows who you are to the server and what you may do: skiff auth.
package auth

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/printers"

	"skiff/cli/client"
	"skiff/cli/command"
)

// Command is skiff auth.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "auth", Usage: "Inspect authorization", Subcommands: []*cli.Command{
			command.New(cli.Command{Name: "can-i", Usage: "Check whether an action is allowed", ArgsUsage: "VERB TYPE[/NAME]",
				Flags: []cli.Flag{&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print nothing: the exit code is the answer"}, command.AllNamespacesFlag(),
					&cli.BoolFlag{Name: "list", Usage: "print all that is allowed in the namespace"}, &cli.BoolFlag{Name: "no-headers", Usage: "with --list, no column headers"},
					&cli.StringFlag{Name: "subresource", Usage: "about this `SUBRESOURCE`"}},
				Action: func(c *cli.Context) error { return canI(c, env) }}, "skiff auth can-i create pods", "skiff auth can-i get /metrics", "skiff auth can-i --list"),
			reconcileCommand(env),
			command.New(cli.Command{Name: "whoami", Usage: "Show who you are to the server",
				Action: func(c *cli.Context) error { return whoAmI(c, env) }}, "skiff auth whoami"),
		},
	}, "skiff auth whoami", "skiff auth can-i delete pods -n staging")
}

// review creates a review object, which the server returns with the answer in it.
func review(c *cli.Context, cl *client.Client, gvk schema.GroupVersionKind, question, answer any) error {
	catalog, err := cl.Catalog()
	if err != nil {
		return err
	}
	m, err := catalog.Kind(gvk)
	if err != nil {
		return err
	}
	u, err := client.From(question)
	if err != nil {
		return err
	}
	u.SetGroupVersionKind(gvk)
	made, err := cl.Create(c.Context, client.Ref{Mapping: m}, u, client.WriteOptions{})
	if err != nil {
		return err
	}
	return client.Into(made, answer)
}

func canI(c *cli.Context, env *command.Env) error {
	if c.Bool("list") {
		return listAccess(c, env)
	}
	if c.NArg() < 2 {
		return errors.New("you must specify two arguments: verb resource or verb resource/resourceName")
	}
	cl, err := env.Connect(c)
	if err != nil {
		return err
	}
	spec, err := asked(c, cl)
	if err != nil {
		return err
	}
	question := &authorizationv1.SelfSubjectAccessReview{Spec: *spec}
	answer := &authorizationv1.SelfSubjectAccessReview{}
	if err := review(c, cl, authorizationv1.SchemeGroupVersion.WithKind("SelfSubjectAccessReview"), question, answer); err != nil {
		return err
	}
	if !c.Bool("quiet") {
		fmt.Fprintln(env.Out, verdict(&answer.Status))
	}
	if !answer.Status.Allowed {
		return command.Exit{Code: 1}
	}
	return nil
}

// verdict is the answer in kubectl's words.
func verdict(s *authorizationv1.SubjectAccessReviewStatus) string {
	if s.Allowed {
		return "yes"
	}
	word := "no"
	for _, why := range []string{s.Reason, s.EvaluationError} {
		if why != "" {
			word += " - " + why
		}
	}
	return word
}

// asked is what the arguments ask about: a type, or a path if it begins with a slash.
func asked(c *cli.Context, cl *client.Client) (*authorizationv1.SelfSubjectAccessReviewSpec, error) {
	if path := c.Args().Get(1); strings.HasPrefix(path, "/") {
		return &authorizationv1.SelfSubjectAccessReviewSpec{NonResourceAttributes: &authorizationv1.NonResourceAttributes{Verb: c.Args().Get(0), Path: path}}, nil
	}
	attributes := &authorizationv1.ResourceAttributes{Verb: c.Args().Get(0), Namespace: cl.Namespace, Subresource: c.String("subresource"), Name: c.Args().Get(2)}
	if c.Bool("all-namespaces") {
		attributes.Namespace = ""
	}
	if err := resolve(cl, c.Args().Get(1), attributes); err != nil {
		return nil, err
	}
	return &authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: attributes}, nil
}

// resolve completes the named type. One that the server does not know is asked about as it stands.
func resolve(cl *client.Client, arg string, a *authorizationv1.ResourceAttributes) error {
	catalog, err := cl.Catalog()
	if err != nil {
		return err
	}
	if kind, name, named := strings.Cut(arg, "/"); named {
		arg, a.Name = kind, name
	}
	a.Resource = arg
	if m, err := catalog.Resource(arg); err == nil {
		a.Group, a.Resource = m.Resource.Group, m.Resource.Resource
	}
	return nil
}

func whoAmI(c *cli.Context, env *command.Env) error {
	cl, err := env.Connect(c)
	if err != nil {
		return err
	}
	answer := &authenticationv1.SelfSubjectReview{}
	err = review(c, cl, authenticationv1.SchemeGroupVersion.WithKind("SelfSubjectReview"), &authenticationv1.SelfSubjectReview{}, answer)
	if apierrors.IsNotFound(err) {
		return errors.New("the selfsubjectreviews API is not enabled in the cluster")
	}
	if err != nil {
		return err
	}
	w := printers.GetNewTabWriter(env.Out)
	fmt.Fprintf(w, "ATTRIBUTE\tVALUE\nUsername\t%s\n", answer.Status.UserInfo.Username)
	if uid := answer.Status.UserInfo.UID; uid != "" {
		fmt.Fprintf(w, "UID\t%s\n", uid)
	}
	if groups := answer.Status.UserInfo.Groups; len(groups) > 0 {
		fmt.Fprintf(w, "Groups\t%v\n", groups)
	}
	extra := answer.Status.UserInfo.Extra
	for _, key := range slices.Sorted(maps.Keys(extra)) {
		fmt.Fprintf(w, "Extra: %s\t%v\n", key, extra[key])
	}
	return w.Flush()
}

// Package account shows who one is to the server and what one may do, and which clusters the kubeconfig knows.
package account

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/urfave/cli/v2"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/yaml"

	"skiff/cli/client"
	"skiff/cli/command"
)

// Auth is skiff auth.
func Auth(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "auth", Usage: "Inspect authorization", Subcommands: []*cli.Command{
			command.New(cli.Command{Name: "can-i", Usage: "Check whether an action is allowed", ArgsUsage: "VERB TYPE[/NAME]",
				Flags:  []cli.Flag{&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "say nothing, only exit by the answer"}, command.AllNamespacesFlag(), &cli.StringFlag{Name: "subresource", Usage: "about this `SUBRESOURCE`"}},
				Action: func(c *cli.Context) error { return canI(c, env) }}, "skiff auth can-i create pods"),
			command.New(cli.Command{Name: "whoami", Usage: "Show who you are to the server",
				Action: func(c *cli.Context) error { return whoAmI(c, env) }}, "skiff auth whoami"),
		},
	}, "skiff auth whoami", "skiff auth can-i delete pods -n staging")
}

// review sends a question that is answered in the object itself.
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
	if c.NArg() < 2 {
		return errors.New("you must specify two arguments: verb resource or verb resource/resourceName")
	}
	cl, err := env.Connect(c)
	if err != nil {
		return err
	}
	attributes := &authorizationv1.ResourceAttributes{Verb: c.Args().Get(0), Namespace: cl.Namespace, Subresource: c.String("subresource"), Name: c.Args().Get(2)}
	if c.Bool("all-namespaces") {
		attributes.Namespace = ""
	}
	if err := resolve(cl, c.Args().Get(1), attributes); err != nil {
		return err
	}
	question := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: attributes}}
	answer := &authorizationv1.SelfSubjectAccessReview{}
	if err := review(c, cl, authorizationv1.SchemeGroupVersion.WithKind("SelfSubjectAccessReview"), question, answer); err != nil {
		return err
	}
	word := "no"
	if answer.Status.Allowed {
		word = "yes"
	}
	if !c.Bool("quiet") {
		fmt.Fprintln(env.Out, word)
	}
	if !answer.Status.Allowed {
		return command.Exit{Code: 1}
	}
	return nil
}

// resolve completes the type that was named; one the server does not know is asked about as it stands.
func resolve(cl *client.Client, arg string, a *authorizationv1.ResourceAttributes) error {
	catalog, err := cl.Catalog()
	if err != nil {
		return err
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
	return w.Flush()
}

// Config is skiff config.
func Config(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "config", Usage: "Look at the kubeconfig, and choose among its contexts", Subcommands: []*cli.Command{
			command.New(cli.Command{Name: "view", Usage: "Show the merged kubeconfig, without its secrets",
				Flags:  []cli.Flag{&cli.BoolFlag{Name: "raw", Usage: "show the secrets too"}},
				Action: func(c *cli.Context) error { return view(c, env) }}, "skiff config view"),
			command.New(cli.Command{Name: "current-context", Usage: "Show the context in use",
				Action: func(c *cli.Context) error { return current(c, env) }}, "skiff config current-context"),
			command.New(cli.Command{Name: "get-contexts", Usage: "List the contexts",
				Action: func(c *cli.Context) error { return contexts(c, env) }}, "skiff config get-contexts"),
			command.New(cli.Command{Name: "use-context", Usage: "Set the context in use", ArgsUsage: "NAME",
				Action: func(c *cli.Context) error { return use(c, env) }}, "skiff config use-context prod"),
		},
	}, "skiff config get-contexts", "skiff --context prod get pods")
}

// access is the person's own kubeconfig, not the daemon's.
func access(c *cli.Context) *clientcmd.PathOptions {
	o := clientcmd.NewDefaultPathOptions()
	o.LoadingRules.ExplicitPath = c.String("kubeconfig")
	return o
}

func starting(c *cli.Context) (*clientcmdapi.Config, error) {
	return access(c).GetStartingConfig()
}

func view(c *cli.Context, env *command.Env) error {
	config, err := starting(c)
	if err != nil {
		return err
	}
	if !c.Bool("raw") {
		if err := clientcmdapi.RedactSecrets(config); err != nil {
			return err
		}
		clientcmdapi.ShortenConfig(config)
	}
	data, err := clientcmd.Write(*config)
	if err != nil {
		return err
	}
	if data, err = yaml.JSONToYAML(data); err != nil {
		return err
	}
	_, err = env.Out.Write(data)
	return err
}

func current(c *cli.Context, env *command.Env) error {
	config, err := starting(c)
	if err != nil {
		return err
	}
	if config.CurrentContext == "" {
		return errors.New("current-context is not set")
	}
	fmt.Fprintln(env.Out, config.CurrentContext)
	return nil
}

func contexts(c *cli.Context, env *command.Env) error {
	config, err := starting(c)
	if err != nil {
		return err
	}
	w := printers.GetNewTabWriter(env.Out)
	fmt.Fprintln(w, "CURRENT\tNAME\tCLUSTER\tAUTHINFO\tNAMESPACE")
	for _, name := range slices.Sorted(maps.Keys(config.Contexts)) {
		mark := ""
		if name == config.CurrentContext {
			mark = "*"
		}
		x := config.Contexts[name]
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", mark, name, x.Cluster, x.AuthInfo, x.Namespace)
	}
	return w.Flush()
}

func use(c *cli.Context, env *command.Env) error {
	if c.NArg() != 1 {
		return command.UsageErrorf("config use-context", "exactly one context name is required")
	}
	name := c.Args().First()
	o := access(c)
	config, err := o.GetStartingConfig()
	if err != nil {
		return err
	}
	if _, ok := config.Contexts[name]; !ok {
		return fmt.Errorf("no context exists with the name: %q", name)
	}
	config.CurrentContext = name
	if err := clientcmd.ModifyConfig(o, *config, true); err != nil {
		return err
	}
	fmt.Fprintf(env.Out, "Switched to context %q.\n", name)
	return nil
}

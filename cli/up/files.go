package up

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/urfave/cli/v2"

	"skiff/cli/chart"
	"skiff/cli/command"
	"skiff/cli/compose"
	"skiff/cli/kustomization"
	"skiff/cli/resource"
)

// usual are the names under which an application is found when no file is named; the first that exists wins.
var usual = slices.Concat(compose.Manifests, compose.Names, kustomization.Names, []string{chart.File})

// files are those named by -f, or the usual ones.
func files(c *cli.Context, env *command.Env) (resource.Files, error) {
	f := command.Files(c)
	f.Build = true
	if c.Args().Present() {
		return f, fmt.Errorf("unexpected argument %q: files are named with -f, as in skiff %s -f %[1]s", c.Args().First(), c.Command.Name)
	}
	if len(f.Names) > 0 {
		return f, nil
	}
	for _, name := range compose.Manifests {
		if _, err := os.Stat(name); err == nil {
			f.Names = []string{name}
			return f, nil
		}
	}
	var err error
	if f.Names, err = compose.Usual(env.Variables()); err != nil || len(f.Names) > 0 {
		return f, err
	}
	if kustomization.Is(".") || chart.Is(".") {
		f.Names = []string{"."}
		return f, nil
	}
	return f, errors.New("no manifest given: name one with -f FILE, or put a skiff.yaml, a directory manifests/, a compose.yaml, a kustomization.yaml or a Chart.yaml here")
}

// application is what is brought up or taken down.
type application struct {
	manifests []resource.Manifest
	// compose is the application of compose files; nil for one of manifests.
	compose *compose.Application
}

// read reads manifests or compose files. Of manifests it returns those that can be read beside an
// error about the others.
func read(ctx context.Context, c *cli.Context, env *command.Env) (application, error) {
	f, err := files(c, env)
	if err != nil {
		return application{}, err
	}
	composed, err := areComposeFiles(f.Names)
	if err != nil {
		return application{}, err
	}
	if composed {
		return readCompose(ctx, c, env, f.Names)
	}
	all, err := resource.Reader{In: env.In, Namespace: namespace(c, env)}.Read(ctx, f)
	if err == nil && len(all) == 0 {
		err = errors.New("the manifests hold no objects")
	}
	return application{manifests: all}, err
}

// namespace is that of the cluster's client; "" where it can't be told yet, for skiff's own daemon may not
// have been started.
func namespace(c *cli.Context, env *command.Env) string {
	cl, err := env.Connect(c)
	if err != nil {
		return c.String("namespace")
	}
	return cl.Namespace
}

// areComposeFiles reports whether the files are compose files. A mixture is refused: the objects of
// compose files are in a namespace of their own.
func areComposeFiles(names []string) (bool, error) {
	of := map[bool]string{}
	for _, name := range names {
		info, err := os.Stat(name)
		composed := err == nil && info.Mode().IsRegular()
		if composed {
			if composed, err = compose.IsComposeFile(name); err != nil {
				return false, err
			}
		}
		of[composed] = name
	}
	if len(of) == 2 {
		return false, fmt.Errorf("%s is a compose file and %s is not: bring them up one after the other, or convert the former by skiff convert -f %[1]s", of[true], of[false])
	}
	return of[true] != "", nil
}

// readCompose reads and converts compose files. Without -f the loader finds them again, with the
// override file that may be there.
func readCompose(ctx context.Context, c *cli.Context, env *command.Env, names []string) (application, error) {
	if len(command.Files(c).Names) == 0 {
		names = nil
	}
	app, err := compose.Read(ctx, c, env, names)
	if err != nil {
		return application{}, err
	}
	a := application{compose: app}
	for _, o := range app.Objects {
		a.manifests = append(a.manifests, resource.Manifest{Source: o.Where, Object: o.Unstructured})
	}
	return a, nil
}

// place finds where the manifests belong, and returns them in the order of their dependencies. Those
// of kinds that the server does not have are returned apart; err is about others that have no place.
func place(f resource.Finder, all []resource.Manifest) (targets []resource.Target, strangers unknown, err error) {
	var errs []error
	for _, m := range all {
		t, err := f.Place(m)
		var stranger *resource.UnknownKindError
		switch {
		case errors.As(err, &stranger):
			strangers = append(strangers, stranger)
		case err != nil:
			errs = append(errs, err)
		default:
			t.Source = m.Where()
			targets = append(targets, t)
		}
	}
	return inOrder(targets), strangers, command.Join(errs...)
}

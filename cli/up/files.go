package up

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/urfave/cli/v2"

	"skiff/cli/command"
	"skiff/cli/resource"
)

// usual are the places where an application's manifests are looked for when no file is named, the first there is wins.
var usual = []string{"skiff.yaml", "skiff.yml", "manifests"}

// files are those named by -f, or the usual ones.
func files(c *cli.Context) (resource.Files, error) {
	f := command.Files(c)
	if c.Args().Present() {
		return f, fmt.Errorf("unexpected argument %q: files are named with -f, as in skiff %s -f %[1]s", c.Args().First(), c.Command.Name)
	}
	if len(f.Names) > 0 {
		return f, nil
	}
	for _, name := range usual {
		if _, err := os.Stat(name); err == nil {
			f.Names = []string{name}
			return f, nil
		}
	}
	return f, errors.New("no manifest given: name one with -f FILE, or put a skiff.yaml or a directory manifests/ here")
}

// read reads the manifests. A fault in any of them fails all: nothing is to be started by half.
func read(ctx context.Context, c *cli.Context, env *command.Env) ([]resource.Manifest, error) {
	f, err := files(c)
	if err != nil {
		return nil, err
	}
	all, err := resource.Reader{In: env.In, HTTP: http.DefaultClient}.Read(ctx, f)
	if err == nil && len(all) == 0 {
		err = errors.New("the manifests hold no objects")
	}
	return all, err
}

// place finds where every manifest belongs, or fails.
func place(f resource.Finder, all []resource.Manifest) ([]resource.Target, error) {
	var out []resource.Target
	var errs []error
	for _, m := range all {
		t, err := f.Place(m)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out = append(out, t)
	}
	return inOrder(out), command.Join(errs...)
}

package up

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"k8s.io/apimachinery/pkg/util/validation"

	"skiff/cli/chart"
	"skiff/cli/command"
	"skiff/cli/compose"
)

// project is the name under which the objects of an application are recorded as one set.
type project struct {
	// name is "" when nothing is recorded.
	name string
	// given reports that the user chose the name.
	given bool
	// origin is where the manifests are: a path or a URL, "" for standard input.
	origin string
}

// projectFlag is --project.
func projectFlag() cli.Flag {
	return &cli.StringFlag{Name: "project", Aliases: []string{"p"}, Usage: "`NAME` under which the objects are recorded as one set; empty to record nothing (default: FOLDER-FILE, FOLDER for skiff.yaml and manifests/)"}
}

// parent is the name of the ConfigMap that records the set.
func (p project) parent() string { return "applyset-" + p.name }

// readProject reads --project, or derives the name from the place of the manifests. That of compose
// files is in them, or derived as docker compose does.
func readProject(c *cli.Context, env *command.Env, app application) (project, error) {
	var p project
	if f, err := files(c, env); err == nil {
		if f.Names[0] == "." && len(command.Files(c).Names) == 0 {
			f.Names = []string{chart.File} // a project is named after its folder alone, whatever that is
		}
		if p.origin, err = origin(f.Names); err != nil {
			return p, err
		}
	}
	p.given = c.IsSet("project")
	switch {
	case app.compose != nil:
		p.name = compose.ObjectName(app.compose.Name)
		return p, nil
	case p.given:
		p.name = c.String("project")
	case c.String("release") != "": // several may be of one chart
		p.name = c.String("release")
	default:
		p.name = projectName(p.origin)
	}
	if p.name == "" {
		return p, nil
	}
	if problems := validation.IsDNS1123Subdomain(p.parent()); len(problems) > 0 {
		return p, fmt.Errorf("--project %q cannot be a name: %s", p.name, problems[0])
	}
	return p, nil
}

// alone reports whether a command is for the recorded set, without manifests: no file is named.
func alone(c *cli.Context) bool {
	return c.String("project") != "" && len(command.Files(c).Names) == 0
}

// origin is where the manifests are that these arguments name: of several the first by name, so that
// their order does not matter; of a pattern its folder; "" of standard input alone.
func origin(names []string) (string, error) {
	var all []string
	for _, name := range names {
		if name == "-" || isURL(name) {
			all = append(all, strings.TrimPrefix(name, "-"))
			continue
		}
		file, err := filepath.Abs(name)
		if err != nil {
			return "", fmt.Errorf("finding the folder of %s: %w", name, err)
		}
		if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) && strings.ContainsAny(file, "*?[") {
			file = filepath.Dir(file)
		}
		all = append(all, file)
	}
	all = slices.DeleteFunc(all, func(name string) bool { return name == "" })
	if len(all) == 0 {
		return "", nil
	}
	return slices.Min(all), nil
}

func isURL(name string) bool {
	return strings.HasPrefix(name, "http://") || strings.HasPrefix(name, "https://")
}

// longestName bounds derived names, far below the 253 characters of an object's name.
const longestName = 100

var notInNames = regexp.MustCompile(`[^a-z0-9]+`)

// projectName is FOLDER-FILE without the extension: shop-web for shop/web.yaml, and the folder alone
// for the usual files. The folder alone would not do: several applications often share one.
func projectName(origin string) string {
	if origin == "" {
		return ""
	}
	if u, err := url.Parse(origin); err == nil && isURL(origin) {
		origin = u.Path
	}
	parts := []string{path.Base(path.Dir(filepath.ToSlash(origin)))}
	if file := path.Base(filepath.ToSlash(origin)); !slices.Contains(usual, file) {
		parts = append(parts, strings.TrimSuffix(file, path.Ext(file)))
	}
	name := notInNames.ReplaceAllString(strings.ToLower(strings.Join(parts, "-")), "-")
	return strings.Trim(name[:min(len(name), longestName)], "-")
}

package set

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"skiff/cli/command"
	"skiff/cli/resource"
)

func envCommand(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "env", Usage: "Update the environment variables of a pod template", ArgsUsage: "(-f FILE | TYPE NAME) NAME_1=VALUE_1 … NAME_N-",
		Description: "NAME- removes a variable; - reads NAME=VALUE lines from standard input.",
		Flags: command.Flags(flags(), command.SelectorFlag(), containersFlag(),
			&cli.StringSliceFlag{Name: "env", Aliases: []string{"e"}, Usage: "`NAME=VALUE` to set; may be repeated"},
			&cli.StringFlag{Name: "from", Usage: "`TYPE/NAME` of a config map or secret whose keys become variables"},
			&cli.StringSliceFlag{Name: "keys", Usage: "the `KEYS` to take with --from, joined by commas (default: all)"},
			&cli.StringFlag{Name: "prefix", Usage: "`TEXT` to put before the variables' names"},
			&cli.BoolFlag{Name: "list", Usage: "show the variables, and change nothing"},
			&cli.BoolFlag{Name: "resolve", Usage: "with --list, show what references to config maps and secrets stand for"},
			&cli.BoolFlag{Name: "overwrite", Value: true, Usage: "change variables that are there"}),
		Action: func(c *cli.Context) error { return runEnv(c, env) },
	},
		"skiff set env deployment/kubia LEVEL=debug",
		"skiff set env deployment/kubia LEVEL-                            # remove it",
		"skiff set env deployment/kubia --from=configmap/app --prefix=APP_",
		"skiff set env deployment/kubia --list")
}

// variables is one run of set env.
type variables struct {
	change
	env                      []map[string]any // name and value or valueFrom, as a container has them
	remove                   []string
	containers               string
	list, resolve, overwrite bool
	ctx                      context.Context // of the requests that --resolve makes
	given                    bool
}

// variable is what may stand for one on the command line.
var variable = regexp.MustCompile(`^[-._a-zA-Z][-._a-zA-Z0-9]*(=.*|-)$`)

func isVariable(arg string) bool {
	return arg == "-" || variable.MatchString(strings.ReplaceAll(arg, "\n", " "))
}

func runEnv(c *cli.Context, env *command.Env) error {
	s := &variables{change: change{done: "env updated", failed: "failed to patch env update to pod template"}, ctx: c.Context,
		containers: c.String("containers"), list: c.Bool("list"), resolve: c.Bool("resolve"), overwrite: c.Bool("overwrite")}
	s.apply = s.set
	q, err := s.open(c, env)
	if err != nil {
		return err
	}
	var words []string
	for _, arg := range c.Args().Slice() {
		switch {
		case isVariable(arg) && (arg == "-" || !strings.Contains(arg, "/") || strings.Contains(arg, "=")):
			words = append(words, arg)
		case len(words) > 0:
			return fmt.Errorf("all resources must be specified before environment changes: %s", strings.Join(c.Args().Slice(), " "))
		default:
			q.Args = append(q.Args, arg)
		}
	}
	switch {
	case s.list && c.String("output") != "":
		return errors.New("--list and --output may not be specified together")
	case len(command.List(c, "keys")) > 0 && c.String("from") == "":
		return errors.New("when specifying --keys, a configmap or secret must be provided with --from")
	}
	if err := s.check(q); err != nil {
		return err
	}
	if err := s.parse(append(c.StringSlice("env"), words...), env.In); err != nil {
		return err
	}
	if from := c.String("from"); from != "" {
		if s.local {
			return errors.New("--from asks the server, which --local does without")
		}
		if err := s.from(c, from, command.List(c, "keys")); err != nil {
			return err
		}
	}
	for _, v := range s.env {
		v["name"] = c.String("prefix") + v["name"].(string)
	}
	s.given = len(s.env)+len(s.remove) > 0
	if s.list {
		s.done = ""
	} else if !s.given {
		return errors.New("at least one environment variable must be provided")
	}
	return s.run(c, q)
}

// parse reads NAME=VALUE, NAME- and -.
func (s *variables) parse(words []string, in io.Reader) error {
	seen := map[string]bool{}
	for _, word := range words {
		name, value, sets := strings.Cut(word, "=")
		switch {
		case word == "-":
			if err := s.read(in); err != nil {
				return err
			}
			continue
		case sets && name != "":
			s.env = append(s.env, map[string]any{"name": name, "value": value})
		case strings.HasSuffix(word, "-"):
			name = strings.TrimSuffix(word, "-")
			s.remove = append(s.remove, name)
		default:
			return fmt.Errorf("unknown environment variable: %s", word)
		}
		if was, twice := seen[name]; twice && was != sets {
			return errors.New("can not both modify and remove the same environment variable in the same command")
		}
		seen[name] = sets
	}
	return nil
}

// read reads lines; what follows a # is a comment, as for kubectl.
func (s *variables) read(in io.Reader) error {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		line, _, _ := strings.Cut(lines.Text(), "#")
		if name, value, ok := strings.Cut(line, "="); ok {
			s.env = append(s.env, map[string]any{"name": name, "value": value})
		}
	}
	return lines.Err()
}

// notInName is what a key may have and a variable's name may not.
var notInName = regexp.MustCompile("[^a-zA-Z0-9_]")

// from makes variables of the keys of a config map or secret.
func (s *variables) from(c *cli.Context, arg string, keys []string) error {
	cl, err := s.change.env.Connect(c)
	if err != nil {
		return err
	}
	return resource.Finder{Client: cl}.Find(c.Context, resource.Query{Args: []string{arg}}, func(o resource.Object) error {
		field, ok := map[string]string{"Secret": "secretKeyRef", "ConfigMap": "configMapKeyRef"}[o.Mapping.GroupVersionKind.Kind]
		if !ok {
			return errors.New("unsupported resource specified in --from")
		}
		data, _, err := unstructured.NestedMap(o.Value.Object, "data")
		if err != nil {
			return err
		}
		for _, key := range slices.Sorted(maps.Keys(data)) {
			if len(keys) > 0 && !slices.Contains(keys, key) {
				continue
			}
			name := strings.ToUpper(notInName.ReplaceAllString(key, "_"))
			if name != key {
				fmt.Fprintf(s.change.env.Err, "Warning: key %s transferred to %s\n", key, name)
			}
			s.env = append(s.env, map[string]any{"name": name, "valueFrom": map[string]any{field: map[string]any{"name": o.Name, "key": key}}})
		}
		return nil
	})
}

// set changes the variables of an object's containers, or lists them.
func (s *variables) set(obj *unstructured.Unstructured, name string) error {
	n, err := chosen(obj, name, s.containers, func(c map[string]any) error {
		if err := s.update(c); err != nil {
			return fmt.Errorf("error: %s %w", name, err)
		}
		if s.list {
			return s.show(obj, c)
		}
		return nil
	})
	if err == nil && n == 0 {
		fmt.Fprintf(s.change.env.Err, "Warning: %s/%s does not have any containers matching %q\n", obj.GetKind(), obj.GetName(), s.containers)
	}
	return err
}

// update changes a container's variables: those that are there keep their place, new ones follow.
func (s *variables) update(container map[string]any) error {
	var all []any
	have, _ := container["env"].([]any)
	for _, item := range have {
		if v, ok := item.(map[string]any); !ok || !slices.Contains(s.remove, fmt.Sprint(v["name"])) {
			all = append(all, item)
		}
	}
	for _, v := range s.env {
		at := slices.IndexFunc(all, func(item any) bool {
			one, ok := item.(map[string]any)
			return ok && one["name"] == v["name"]
		})
		switch {
		case at < 0:
			all = append(all, maps.Clone(v))
			continue
		case !s.overwrite && all[at].(map[string]any)["value"] != v["value"]:
			old, _ := all[at].(map[string]any)["value"].(string)
			return fmt.Errorf("'%s' already has a value (%s), and --overwrite is false", v["name"], old)
		}
		all[at] = maps.Clone(v)
	}
	if len(all) == 0 {
		delete(container, "env")
	} else {
		container["env"] = all
	}
	return nil
}

package completion

import (
	"context"
	"flag"
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"k8s.io/client-go/tools/clientcmd"

	"skiff/cli/client"
)

// subjects are what the arguments of a command are: kinds and their objects, or the objects of one kind.
// Commands that are not here take no names of objects.
var subjects = map[string]string{
	"get": objectsOfKinds, "describe": objectsOfKinds, "delete": objectsOfKinds, "edit": objectsOfKinds, "patch": objectsOfKinds, "label": objectsOfKinds, "annotate": objectsOfKinds, "wait": objectsOfKinds, "scale": objectsOfKinds,
	"expose": objectsOfKinds, "autoscale": objectsOfKinds, "export": objectsOfKinds, "why": objectsOfKinds, "stop": objectsOfKinds, "start": objectsOfKinds, "restart": objectsOfKinds, "kill": objectsOfKinds, "images": objectsOfKinds, "pull": objectsOfKinds, "explain": kinds,
	"rollout status": objectsOfKinds, "rollout restart": objectsOfKinds, "rollout undo": objectsOfKinds, "rollout history": objectsOfKinds, "rollout pause": objectsOfKinds, "rollout resume": objectsOfKinds,
	"set image": objectsOfKinds, "set env": objectsOfKinds, "set resources": objectsOfKinds, "set serviceaccount": objectsOfKinds, "set selector": objectsOfKinds, "set subject": objectsOfKinds,
	"apply edit-last-applied": objectsOfKinds, "apply view-last-applied": objectsOfKinds,
	"logs": "pods", "exec": "pods", "attach": "pods", "port-forward": "pods", "cp": "pods", "debug": "pods", "open": "services",
	"cordon": "nodes", "uncordon": "nodes", "drain": "nodes", "taint": "nodes",
	"node start": "nodes", "node stop": "nodes", "node rm": "nodes", "node drain": "nodes", "node pause": "nodes",
	"config use-context": contextNames, "completion": shellNames,
}

const (
	objectsOfKinds = "objects"
	kinds          = "kinds"
	contextNames   = "contexts"
	shellNames     = "shells"
)

// withKinds are commands about pods whose first argument may also be TYPE/NAME.
var withKinds = []string{"logs", "exec", "attach", "port-forward", "cp", "debug"}

// arguments are the names that the next positional argument can be.
func (l *line) arguments(ctx context.Context, current string) []candidate {
	command := strings.Join(l.path, " ")
	subject := subjects[command]
	switch {
	case subject == contextNames:
		return l.contextNames()
	case subject == shellNames:
		return words("bash", "zsh", "fish", "powershell")
	case subject == "" || len(l.path) > 0 && l.bare:
		return nil
	case subject == kinds:
		return l.kinds()
	case strings.Contains(current, "/") && (subject == objectsOfKinds || slices.Contains(withKinds, command)):
		kind, _, _ := strings.Cut(current, "/")
		return l.objects(ctx, kind, kind+"/")
	case subject != objectsOfKinds:
		if slices.Contains(withKinds, command) && len(l.args) > 0 {
			return nil // what is to be done in the pod
		}
		return l.objects(ctx, subject, "")
	case len(l.args) == 0:
		return l.kinds()
	case strings.Contains(l.args[0], "/"):
		return l.kinds()
	}
	return l.objects(ctx, l.args[0], "")
}

// values are what the value of a flag can be.
func (l *line) values(ctx context.Context, f cli.Flag) []candidate {
	switch f.Names()[0] {
	case "namespace":
		return l.objects(ctx, "namespaces", "")
	case "context":
		return l.contextNames()
	case "output":
		return words("yaml", "json", "name", "wide", "jsonpath=", "custom-columns=")
	case "dry-run":
		return words("none", "client", "server")
	case "validate":
		return words("strict", "warn", "ignore")
	case "node-name":
		return l.objects(ctx, "nodes", "")
	}
	return nil
}

func words(all ...string) []candidate {
	out := make([]candidate, len(all))
	for i, w := range all {
		out[i].value = w
	}
	return out
}

func (l *line) contextNames() []candidate {
	names, err := l.contexts()
	if err != nil {
		return nil
	}
	return words(names...)
}

// contexts are those of a kubeconfig, the usual one if none is named.
func contexts(file string) ([]string, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = file
	config, err := rules.Load()
	if err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(config.Contexts)), nil
}

// kinds are those that the cluster has and that can be listed; none where it does not answer.
func (l *line) kinds() []candidate {
	cl, err := l.connect()
	if err != nil {
		return nil
	}
	catalog, err := cl.Catalog()
	if err != nil {
		return nil
	}
	var out []candidate
	for _, list := range catalog.Resources {
		for _, r := range list.APIResources {
			known := slices.ContainsFunc(out, func(c candidate) bool { return c.value == r.Name })
			if !known && !strings.Contains(r.Name, "/") && slices.Contains(r.Verbs, "list") {
				out = append(out, candidate{r.Name, r.Kind})
			}
		}
	}
	return out
}

// objects are the names of a kind's objects, behind a prefix; those that are on the line already are left
// out.
func (l *line) objects(ctx context.Context, kind, prefix string) []candidate {
	cl, err := l.connect()
	if err != nil {
		return nil
	}
	catalog, err := cl.Catalog()
	if err != nil {
		return nil
	}
	mapping, err := catalog.Resource(kind)
	if err != nil {
		return nil
	}
	ref := client.Ref{Mapping: mapping, Namespace: cl.Namespace}
	items, _, err := cl.List(ctx, ref, client.ListOptions{})
	if err != nil {
		return nil
	}
	var out []candidate
	for i := range items {
		if name := prefix + items[i].GetName(); !slices.Contains(l.args, name) {
			out = append(out, candidate{name, items[i].GetKind()})
		}
	}
	return out
}

// context is that of a command which the line would run: with the line's flags that say which cluster and
// namespace are meant, before those of the command that completes it.
func (l *line) context(ctx context.Context, parent *cli.Context) *cli.Context {
	set := flag.NewFlagSet(l.app.Name, flag.ContinueOnError)
	given := maps.Clone(l.given)
	given["request-timeout"] = patience.String()
	for _, f := range l.app.Flags {
		name := f.Names()[0]
		if value, ok := given[name]; ok && f.Apply(set) == nil {
			_ = set.Set(name, value) // a value that is none is of no use
		}
	}
	out := cli.NewContext(l.app, set, parent)
	out.Context = ctx
	return out
}

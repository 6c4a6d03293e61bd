// Package images shows and fetches the images of an application, where it runs: skiff images and skiff
// pull.
package images

import (
	"errors"
	"fmt"
	"strings"

	"github.com/docker/go-units"
	"github.com/urfave/cli/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/cli-runtime/pkg/printers"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/compose"
	"skiff/cli/pods"
	"skiff/cli/up"
	"skiff/daemon/config"
)

const arguments = "[NAME | TYPE/NAME…]"

const whichOnes = "Without arguments it is about all of the application in this folder, or in the files of -f, as for up; with names it is about what is there\nunder them."

// Images is skiff images.
func Images(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "images", Usage: "List the images of workloads, as the engine has them", ArgsUsage: arguments, Description: whichOnes,
		Flags: command.Flags(up.SourceFlags("list the images of"),
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print image IDs only"},
			&cli.BoolFlag{Name: "no-headers", Usage: "do not print headers"}),
		Action: func(c *cli.Context) error { return list(c, env) },
	}, "skiff images", "skiff images web", "skiff images -f k8s/ -q")
}

// use is an image in a container of a workload.
type use struct {
	workload, container, image string
	policy                     corev1.PullPolicy
}

// engine connects with the engine that runs skiff's pods.
func engine(c *cli.Context, env *command.Env) (config.Images, error) {
	if !env.OwnCluster(c) || env.Images == nil {
		return nil, errors.New("images are on the engine of skiff's own daemon; those of another cluster are its nodes' own")
	}
	return env.Images(c.Context)
}

func list(c *cli.Context, env *command.Env) error {
	all, err := uses(c, env)
	if err != nil {
		return err
	}
	on, err := engine(c, env)
	if err != nil {
		return err
	}
	defer on.Close() //nolint:errcheck // what was only asked has nothing to lose
	w := printers.GetNewTabWriter(env.Out)
	if !c.Bool("no-headers") && !c.Bool("quiet") {
		fmt.Fprintln(w, "WORKLOAD\tCONTAINER\tIMAGE\tID\tSIZE")
	}
	seen := map[string]bool{}
	for _, u := range all {
		id, size := "<missing>", ""
		found, ok, err := on.Describe(c.Context, u.image)
		if err != nil {
			return err
		}
		if ok {
			id, size = shortID(found.ID), units.HumanSizeWithPrecision(float64(found.Size), 3)
		}
		if c.Bool("quiet") {
			if ok && !seen[found.ID] {
				fmt.Fprintln(w, found.ID)
			}
			seen[found.ID] = true
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", u.workload, u.container, u.image, id, size)
	}
	return w.Flush()
}

// shortID is an ID as docker images shows it.
func shortID(id string) string {
	id = strings.TrimPrefix(id, "sha256:")
	return id[:min(len(id), 12)]
}

// uses are the images that the arguments mean.
func uses(c *cli.Context, env *command.Env) ([]use, error) {
	objects, err := objects(c, env)
	if err != nil {
		return nil, err
	}
	var out []use
	for _, o := range objects {
		spec, err := podSpec(o)
		if err != nil {
			return nil, fmt.Errorf("reading %s/%s: %w", strings.ToLower(o.GetKind()), o.GetName(), err)
		}
		if spec == nil {
			continue
		}
		for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
			for _, c := range list {
				out = append(out, use{strings.ToLower(o.GetKind()) + "/" + o.GetName(), c.Name, c.Image, c.ImagePullPolicy})
			}
		}
	}
	if len(out) == 0 {
		return nil, errors.New("there is nothing here that runs an image")
	}
	return out, nil
}

// objects are those that the arguments name, as the server has them, or else those of the manifests.
func objects(c *cli.Context, env *command.Env) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	if !c.Args().Present() {
		manifests, err := up.Manifests(c, env)
		for _, m := range manifests {
			out = append(out, m.Object)
		}
		return out, err
	}
	cl, err := compose.Connect(c, env)
	if err != nil {
		return nil, err
	}
	for _, arg := range c.Args().Slice() {
		o, err := pods.Named(c.Context, cl, arg)
		if err != nil {
			return nil, err
		}
		out = append(out, o.Value)
	}
	return out, nil
}

// podSpec is what an object says of its pods; nil for one that has none.
func podSpec(o *unstructured.Unstructured) (*corev1.PodSpec, error) {
	var at []string
	switch o.GetKind() {
	case "Pod":
		at = []string{"spec"}
	case "CronJob":
		at = []string{"spec", "jobTemplate", "spec", "template", "spec"}
	default:
		at = []string{"spec", "template", "spec"}
	}
	content, found, err := unstructured.NestedMap(o.Object, at...)
	if err != nil || !found {
		return nil, nil //nolint:nilerr // a kind whose spec is made otherwise has no pods
	}
	spec := &corev1.PodSpec{}
	return spec, client.Into(&unstructured.Unstructured{Object: content}, spec)
}

// distinct are the images, each once, in their order; skipped are those that are never pulled.
func distinct(all []use) (images, skipped []string) {
	seen := map[string]bool{}
	for _, u := range all {
		if seen[u.image] {
			continue
		}
		seen[u.image] = true
		if u.policy == corev1.PullNever {
			skipped = append(skipped, u.image)
		} else {
			images = append(images, u.image)
		}
	}
	return images, skipped
}

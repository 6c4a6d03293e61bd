package recipe

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"skiff/docker/buildcontext"
)

// Annotations of a pod template say how the image of its container is made. With "." and the name of a
// container behind it, each is about that one, as pods of several containers need it.
const (
	// ContextAnnotation is the folder of the build's context, relative to the manifest's file.
	ContextAnnotation = "skiff/build"
	// DockerfileAnnotation is relative to the context.
	DockerfileAnnotation = "skiff/build-dockerfile"
	TargetAnnotation     = "skiff/build-target"
	PlatformAnnotation   = "skiff/build-platform"
	// ArgsAnnotation are NAME=VALUE, one a line or between commas; NAME alone is this process's variable.
	ArgsAnnotation = "skiff/build-args"
	// SecretsAnnotation are ID=FILE, likewise, with files relative to the manifest's.
	SecretsAnnotation = "skiff/build-secrets"
)

var known = []string{ContextAnnotation, DockerfileAnnotation, TargetAnnotation, PlatformAnnotation, ArgsAnnotation, SecretsAnnotation}

// Source is an object of the manifests, and where it comes from.
type Source struct {
	Object *unstructured.Unstructured
	// Where names the place, Folder is that to which paths are relative; "" for what is not of this machine, and
	// has nothing built.
	Where, Folder string
	// Lookup reads a variable of this process.
	Lookup func(string) (string, bool)
}

// FromManifest reads the recipes in an object's pod template, in the order of its containers.
func FromManifest(s Source) ([]Recipe, error) {
	template := podTemplate(s.Object)
	annotations, _, _ := unstructured.NestedStringMap(template, "metadata", "annotations")
	var mine []string
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		if base, _, _ := strings.Cut(key, "."); slices.Contains(known, base) {
			mine = append(mine, key)
		}
	}
	if len(mine) == 0 {
		return nil, nil
	}
	if s.Folder == "" {
		return nil, fmt.Errorf("%s: %s/%s: annotation %s: the manifest is none of this machine, and has nothing built here: download it and name the file", s.Where, strings.ToLower(s.Object.GetKind()), s.Object.GetName(), mine[0])
	}
	containers := containersOf(template)
	r := reader{Source: s, annotations: annotations, alone: len(containers) == 1, used: map[string]bool{}}
	var out []Recipe
	for _, c := range containers {
		made, err := r.read(c)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", s.Where, r.subject(), err)
		}
		if made != nil {
			out = append(out, *made)
		}
	}
	for _, key := range mine {
		if !r.used[key] {
			return nil, fmt.Errorf("%s: %s: annotation %s: %s", s.Where, r.subject(), key, r.whyUnused(key))
		}
	}
	return out, nil
}

// podTemplate is the part of an object that is made a pod of: the template of a workload, or a pod itself.
func podTemplate(o *unstructured.Unstructured) map[string]any {
	path := []string{"spec", "template"}
	switch o.GetKind() {
	case "Pod":
		return o.Object
	case "CronJob":
		path = []string{"spec", "jobTemplate", "spec", "template"}
	}
	template, _, _ := unstructured.NestedFieldNoCopy(o.Object, path...)
	m, _ := template.(map[string]any)
	return m
}

// containersOf are a template's containers, those that run first included.
func containersOf(template map[string]any) []map[string]any {
	var out []map[string]any
	for _, field := range []string{"initContainers", "containers"} {
		list, _, _ := unstructured.NestedFieldNoCopy(template, "spec", field)
		items, _ := list.([]any)
		for _, item := range items {
			if m, ok := item.(map[string]any); ok {
				out = append(out, m)
			}
		}
	}
	return out
}

// reader reads the annotations of one template.
type reader struct {
	Source
	annotations map[string]string
	// alone means that there is one container, so that annotations need not name it.
	alone bool
	used  map[string]bool
}

func (r *reader) subject() string {
	return strings.ToLower(r.Object.GetKind()) + "/" + r.Object.GetName()
}

func (r *reader) whyUnused(key string) string {
	base, container, named := strings.Cut(key, ".")
	switch {
	case !named && !r.alone:
		return fmt.Sprintf("there are several containers: name one, as in %s.CONTAINER", key)
	case named && base == ContextAnnotation:
		return fmt.Sprintf("there is no container %s", container)
	}
	return "says nothing without " + ContextAnnotation + strings.TrimPrefix(key, base)
}

// get is the value of an annotation for a container.
func (r *reader) get(key, container string) string {
	keys := []string{key + "." + container}
	if r.alone {
		keys = append(keys, key)
	}
	for _, key := range keys {
		if value, ok := r.annotations[key]; ok {
			r.used[key] = true
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// read is the recipe of a container; nil where nothing says that it is built.
func (r *reader) read(container map[string]any) (*Recipe, error) {
	name, _ := container["name"].(string)
	image, _ := container["image"].(string)
	context := r.get(ContextAnnotation, name)
	switch {
	case context == "":
		return nil, nil
	case image == "":
		return nil, fmt.Errorf("container %s is to be built and has no image: name the one that the build makes", name)
	case strings.Contains(context, "://"):
		return nil, fmt.Errorf("annotation %s: %s is not a folder of this machine", ContextAnnotation, context)
	}
	args, err := r.args(name)
	if err != nil {
		return nil, err
	}
	secrets, err := r.secrets(name)
	if err != nil {
		return nil, err
	}
	return &Recipe{Service: r.subject(), Container: name, Image: image, Where: r.Where, Spec: buildcontext.Spec{
		Context: r.path(context), Dockerfile: r.get(DockerfileAnnotation, name), Target: r.get(TargetAnnotation, name), Platform: r.get(PlatformAnnotation, name),
		Args: args, Secrets: secrets, Tags: []string{image},
	}}, nil
}

// path is a path relative to the manifest's file.
func (r *reader) path(name string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(r.Folder, name)
}

func (r *reader) args(container string) (map[string]*string, error) {
	pairs, err := r.pairs(ArgsAnnotation, container)
	if err != nil || len(pairs) == 0 {
		return nil, err
	}
	out := map[string]*string{}
	for _, p := range pairs {
		if p.value == nil && r.Lookup != nil {
			if value, ok := r.Lookup(p.name); ok {
				p.value = &value
			}
		}
		out[p.name] = p.value
	}
	return out, nil
}

func (r *reader) secrets(container string) (map[string][]byte, error) {
	pairs, err := r.pairs(SecretsAnnotation, container)
	if err != nil || len(pairs) == 0 {
		return nil, err
	}
	out := map[string][]byte{}
	for _, p := range pairs {
		if p.value == nil {
			return nil, fmt.Errorf("annotation %s: %s names no file: want ID=FILE", SecretsAnnotation, p.name)
		}
		if out[p.name], err = os.ReadFile(r.path(*p.value)); err != nil {
			return nil, fmt.Errorf("annotation %s: %s: %w", SecretsAnnotation, p.name, err)
		}
	}
	return out, nil
}

type pair struct {
	name  string
	value *string
}

// pairs are the words of an annotation: those of its lines, or between commas where it is one line.
func (r *reader) pairs(key, container string) ([]pair, error) {
	text := r.get(key, container)
	separator := "\n"
	if !strings.Contains(text, "\n") {
		separator = ","
	}
	var out []pair
	for word := range strings.SplitSeq(text, separator) {
		if word = strings.TrimSpace(word); word == "" {
			continue
		}
		name, value, found := strings.Cut(word, "=")
		if name == "" {
			return nil, fmt.Errorf("annotation %s: %q has no name: want NAME=VALUE", key, word)
		}
		p := pair{name: name}
		if found {
			p.value = &value
		}
		out = append(out, p)
	}
	return out, nil
}

// Keep has containers whose images are built take what the engine has, where their manifest does not say
// otherwise: of an image without a tag, or with the tag latest, a node would ask a registry.
func Keep(o *unstructured.Unstructured, recipes []Recipe) {
	for _, c := range containersOf(podTemplate(o)) {
		image, _ := c["image"].(string)
		built := slices.ContainsFunc(recipes, func(r Recipe) bool { return r.Image == image })
		if _, says := c["imagePullPolicy"]; built && !says {
			c["imagePullPolicy"] = "IfNotPresent"
		}
	}
}

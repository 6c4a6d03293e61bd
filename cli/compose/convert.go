package compose

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"skiff/cli/after"
	"skiff/cli/develop"
)

// Application is a project as Kubernetes objects.
type Application struct {
	// Name is the project's, and Namespace that of its objects.
	Name, Namespace string
	// Files are the compose files.
	Files   []string
	Objects []Object
	// Builds are the images that are built rather than pulled.
	Builds []Build
	// Watched are the containers whose files develop.watch names.
	Watched []develop.Subject
	// Remarks say, by place, what is not converted or means something else here.
	Remarks []string
	// Elsewhere say, by place, what means the same on skiff and something else on another cluster.
	Elsewhere []string
}

// Object is one object, and where in the files it comes from.
type Object struct {
	Where string
	*unstructured.Unstructured
}

// AfterAnnotation and its conditions are what depends_on becomes; skiff up waits for them.
const (
	AfterAnnotation = after.Annotation
	Started         = after.Started
	Ready           = after.Ready
	Complete        = after.Complete
)

// converter holds what the conversion of one project needs, and what it finds.
type converter struct {
	project *types.Project
	positions
	app    *Application
	faults []error
	// namespace is that of the objects.
	namespace string
	// names are the names of services here, by their names there.
	names map[string]string
	// reached are the names of all Services by which others are found.
	reached map[string]bool
	// claims, configMaps and secrets are the objects' names, by the keys in the files.
	claims, configMaps, secrets map[string]string
	// contents are those of configs and secrets, by section and key.
	contents map[string][]byte
}

// Convert makes a project's objects. What it can't convert faithfully is an error if the application
// would be another one without it, and a remark otherwise.
// The objects are in the namespace given, or in one of the project's name, which is then among them.
func Convert(p *types.Project, namespace string) (*Application, error) {
	c := &converter{project: p, positions: readPositions(p.ComposeFiles), app: &Application{Name: p.Name, Files: p.ComposeFiles}, namespace: namespace, reached: map[string]bool{}, contents: map[string][]byte{}}
	c.projectRemarks()
	c.names = c.rename("services", slices.Collect(maps.Keys(p.Services)))
	for _, name := range c.names {
		c.reached[name] = true
	}
	if namespace == "" {
		c.addNamespace()
	}
	c.addConfigs()
	c.addClaims()
	for _, name := range sorted(p.Services) {
		c.addService(p.Services[name])
	}
	c.app.Namespace = c.namespace
	for _, remarks := range []*[]string{&c.app.Remarks, &c.app.Elsewhere} {
		slices.Sort(*remarks)
		*remarks = slices.Compact(*remarks)
	}
	return c.app, errors.Join(c.faults...)
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// remark notes something at a place in the files.
func (c *converter) remark(path []string, format string, args ...any) {
	c.app.Remarks = append(c.app.Remarks, c.say(path, fmt.Sprintf(format, args...)))
}

// elsewhere notes something that is as the file has it on skiff alone.
func (c *converter) elsewhere(path []string, format string, args ...any) {
	c.app.Elsewhere = append(c.app.Elsewhere, c.say(path, fmt.Sprintf(format, args...)))
}

// refuse notes something without which the application would be another one.
func (c *converter) refuse(path []string, format string, args ...any) {
	c.faults = append(c.faults, errors.New(c.say(path, fmt.Sprintf(format, args...))))
}

func (c *converter) say(path []string, text string) string {
	where := c.of(path...)
	if where != "" {
		where += ": "
	}
	return where + strings.Join(path, ".") + ": " + text
}

var notInNames = regexp.MustCompile(`[^a-z0-9-]+`)

// ObjectName is the nearest name that a Service, and so any object, may have (RFC 1035); "" if there
// is none.
func ObjectName(name string) string {
	out := strings.Trim(notInNames.ReplaceAllString(strings.ToLower(name), "-"), "-")
	if out != "" && out[0] >= '0' && out[0] <= '9' {
		out = "s-" + out
	}
	return strings.TrimRight(out[:min(len(out), 63)], "-")
}

// rename finds the names of objects for what stands in a section of the files.
func (c *converter) rename(section string, keys []string) map[string]string {
	slices.Sort(keys)
	out, taken := map[string]string{}, map[string]string{}
	for _, key := range keys {
		name := ObjectName(key)
		switch other, double := taken[name]; {
		case name == "":
			c.refuse([]string{section, key}, "no object can have this name, or one like it")
		case double:
			c.refuse([]string{section, key}, "it and %s would both be named %s", other, name)
		}
		out[key], taken[name] = name, key
	}
	return out
}

// addNamespace adds the project's namespace. Names of projects may have characters that those of
// namespaces may not.
func (c *converter) addNamespace() {
	c.namespace = ObjectName(c.app.Name)
	if c.namespace == "" {
		c.refuse([]string{"name"}, "no namespace can be named %q: choose a name with --project", c.app.Name)
	}
	switch {
	case c.namespace == metav1.NamespaceDefault:
		return // it is always there, and stays
	case strings.HasPrefix(c.namespace, "kube-"):
		c.refuse([]string{"name"}, "the namespace %s is the cluster's own: choose a name with --project", c.namespace)
		return
	}
	c.add([]string{"name"}, &corev1.Namespace{TypeMeta: typeMeta("v1", "Namespace"), ObjectMeta: metav1.ObjectMeta{Name: c.namespace}})
}

// meta names an object of the project's namespace.
func (c *converter) meta(name string, labels map[string]string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: c.namespace, Labels: labels}
}

func typeMeta(version, kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: version, Kind: kind}
}

// add takes an object in, without the fields that are there only because Go has no absent ones.
func (c *converter) add(path []string, o any) {
	value, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		c.refuse(path, "%v", err)
		return
	}
	delete(value, "status")
	for _, fields := range [][]string{{"metadata"}, {"spec", "template", "metadata"}} {
		if m, ok, _ := unstructured.NestedMap(value, fields...); ok && m["creationTimestamp"] == nil {
			unstructured.RemoveNestedField(value, append(fields, "creationTimestamp")...)
		}
	}
	prune(value)
	c.app.Objects = append(c.app.Objects, Object{Where: cmp.Or(c.of(path...), c.app.Name), Unstructured: &unstructured.Unstructured{Object: value}})
}

// prune removes empty maps that say nothing, such as resources: {} and strategy: {}.
func prune(value map[string]any) {
	for key, v := range value {
		switch v := v.(type) {
		case map[string]any:
			prune(v)
			if len(v) == 0 && (key == "resources" || key == "strategy" || key == "updateStrategy" || key == "securityContext" || key == "metadata" || key == "spec") {
				delete(value, key)
			}
		case []any:
			for _, item := range v {
				if m, ok := item.(map[string]any); ok {
					prune(m)
				}
			}
		case nil:
			delete(value, key)
		}
	}
}

// Package pods finds the pods behind what a person named: a pod itself, those of a controller or service, one of them.
package pods

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"

	"skiff/cli/client"
	"skiff/cli/resource"
)

// Ref is where a pod is served.
func Ref(c *client.Client, namespace, name string) (client.Ref, error) {
	catalog, err := c.Catalog()
	if err != nil {
		return client.Ref{}, err
	}
	m, err := catalog.Kind(schema.GroupVersionKind{Version: "v1", Kind: "Pod"})
	return client.Ref{Mapping: m, Namespace: namespace, Name: name}, err
}

// Finder finds pods.
type Finder struct {
	Client *client.Client
	Clock  clock.WithTicker
	Err    io.Writer
	// Patience is how long to wait for a controller's first pod.
	Patience time.Duration
}

// Selector is the label selector of an object that selects pods. The error names the kind when it does not.
func Selector(o resource.Object) (labels.Selector, error) {
	kind := o.Mapping.GroupVersionKind.Kind
	switch kind {
	case "ReplicationController", "Service":
		set, _, err := unstructured.NestedStringMap(o.Value.Object, "spec", "selector")
		if err != nil || len(set) == 0 {
			return nil, fmt.Errorf("invalid %s '%s': no selector", strings.ToLower(kind), o.Name)
		}
		return labels.SelectorFromSet(set), nil
	case "ReplicaSet", "Deployment", "StatefulSet", "DaemonSet", "Job":
		raw, _, err := unstructured.NestedMap(o.Value.Object, "spec", "selector")
		if err != nil {
			return nil, err
		}
		s := &metav1.LabelSelector{}
		if err := client.Into(&unstructured.Unstructured{Object: raw}, s); err != nil {
			return nil, fmt.Errorf("reading the selector of %s: %w", o.Ref, err)
		}
		return metav1.LabelSelectorAsSelector(s)
	}
	return nil, fmt.Errorf("selector for %s not implemented", o.Mapping.Resource.Resource)
}

// List returns the pods of a namespace that selector matches.
func (f Finder) List(ctx context.Context, namespace string, selector labels.Selector) ([]corev1.Pod, error) {
	r, err := Ref(f.Client, namespace, "")
	if err != nil {
		return nil, err
	}
	return client.ListOf[corev1.Pod](ctx, f.Client, r, client.ListOptions{Labels: selector.String()})
}

// All returns the pods behind o: o itself when it is one.
func (f Finder) All(ctx context.Context, o resource.Object) ([]corev1.Pod, error) {
	if o.Mapping.GroupVersionKind.GroupKind() == (schema.GroupKind{Kind: "Pod"}) {
		pod := corev1.Pod{}
		return []corev1.Pod{pod}, client.Into(o.Value, &pod)
	}
	selector, err := Selector(o)
	if err != nil {
		return nil, err
	}
	return f.List(ctx, o.Namespace, selector)
}

// pause is between two looks for a controller's first pod.
const pause = 250 * time.Millisecond

// One returns the pod behind o, the likeliest to be of interest when there are several; it waits for the first one.
// better orders pods.
func (f Finder) One(ctx context.Context, o resource.Object, better func(a, b *corev1.Pod) int) (*corev1.Pod, int, error) {
	if o.Mapping.GroupVersionKind.GroupKind() == (schema.GroupKind{Kind: "Pod"}) {
		pod := &corev1.Pod{}
		return pod, 1, client.Into(o.Value, pod)
	}
	deadline := f.Clock.NewTimer(f.Patience)
	defer deadline.Stop()
	for {
		all, err := f.All(ctx, o)
		if err != nil {
			return nil, 0, err
		}
		if len(all) > 0 {
			slices.SortStableFunc(all, func(a, b corev1.Pod) int { return better(&a, &b) })
			return &all[0], len(all), nil
		}
		again := f.Clock.NewTimer(pause)
		select {
		case <-ctx.Done():
			again.Stop()
			return nil, 0, ctx.Err()
		case <-deadline.C():
			again.Stop()
			return nil, 0, fmt.Errorf("timed out waiting for the condition")
		case <-again.C():
		}
	}
}

// ForLogs puts the pod first whose logs say most: one that runs, has been ready longest, and has restarted often.
func ForLogs(a, b *corev1.Pod) int {
	return cmp.Or(
		cmp.Compare(rank(a), rank(b)),
		compareBool(Ready(a), Ready(b)),
		readySince(a).Compare(readySince(b)),
		-cmp.Compare(Restarts(a), Restarts(b)),
		a.CreationTimestamp.Compare(b.CreationTimestamp.Time),
		cmp.Compare(a.Name, b.Name),
	)
}

// ForWork puts the pod first that can best be worked with: one that runs, is ready, and has been there longest.
func ForWork(a, b *corev1.Pod) int {
	return cmp.Or(
		cmp.Compare(rank(a), rank(b)),
		compareBool(Ready(a), Ready(b)),
		cmp.Compare(Restarts(a), Restarts(b)),
		a.CreationTimestamp.Compare(b.CreationTimestamp.Time),
		cmp.Compare(a.Name, b.Name),
	)
}

func rank(p *corev1.Pod) int {
	switch {
	case p.Spec.NodeName == "":
		return 4
	case p.Status.Phase == corev1.PodRunning:
		return 1
	case p.Status.Phase == corev1.PodUnknown:
		return 2
	}
	return 3
}

// compareBool puts true first.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// Ready is whether the pod's Ready condition is true.
func Ready(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// readySince is when the pod's readiness last changed; the zero time when it never did.
func readySince(p *corev1.Pod) time.Time {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return c.LastTransitionTime.Time
		}
	}
	return time.Time{}
}

// Restarts is how often the pod's containers have been restarted, all together.
func Restarts(p *corev1.Pod) int32 {
	var n int32
	for _, s := range p.Status.ContainerStatuses {
		n += s.RestartCount
	}
	return n
}

// defaultContainer names, in an annotation, the container meant when none is named.
const defaultContainer = "kubectl.kubernetes.io/default-container"

// Container picks a pod's container: the named one, the one its annotation names, or its first; note says what was
// chosen when nobody said.
func Container(p *corev1.Pod, name string) (container, note string, err error) {
	names := Containers(p)
	if name != "" {
		if !slices.Contains(names, name) {
			return "", "", fmt.Errorf("container %s is not valid for pod %s out of: %s", name, p.Name, containerNames(p))
		}
		return name, "", nil
	}
	if d := p.Annotations[defaultContainer]; d != "" {
		if slices.Contains(names, d) {
			return d, "", nil
		}
		note = fmt.Sprintf("Default container name %q not found in pod %s\n", d, p.Name)
	}
	if len(p.Spec.Containers) == 0 {
		return "", "", fmt.Errorf("pod %s/%s does not have any containers", p.Namespace, p.Name)
	}
	first := p.Spec.Containers[0].Name
	if len(names) > 1 {
		note += fmt.Sprintf("Defaulted container %q out of: %s\n", first, containerNames(p))
	}
	return first, note, nil
}

// Containers are the names of all of a pod's containers: init, regular, ephemeral, in the order they stand in the pod.
func Containers(p *corev1.Pod) []string {
	var out []string
	for _, c := range p.Spec.InitContainers {
		out = append(out, c.Name)
	}
	for _, c := range p.Spec.Containers {
		out = append(out, c.Name)
	}
	for _, c := range p.Spec.EphemeralContainers {
		out = append(out, c.Name)
	}
	return out
}

// containerNames lists all containers for a person: regular ones first, the others marked.
func containerNames(p *corev1.Pod) string {
	var out []string
	for _, c := range p.Spec.Containers {
		out = append(out, c.Name)
	}
	for _, c := range p.Spec.EphemeralContainers {
		out = append(out, c.Name+" (ephem)")
	}
	for _, c := range p.Spec.InitContainers {
		out = append(out, c.Name+" (init)")
	}
	return strings.Join(out, ", ")
}

// Named fetches what a person named by POD or TYPE/NAME.
func Named(ctx context.Context, c *client.Client, arg string) (resource.Object, error) {
	args := []string{arg}
	if !strings.Contains(arg, "/") {
		args = []string{"pods", arg}
	}
	var found []resource.Object
	err := resource.Finder{Client: c}.Find(ctx, resource.Query{Args: args}, func(o resource.Object) error {
		found = append(found, o)
		return nil
	})
	if err != nil {
		return resource.Object{}, err
	}
	if len(found) != 1 {
		return resource.Object{}, fmt.Errorf("expected one resource, found %d", len(found))
	}
	return found[0], nil
}

// Package pods finds the pods of what the user named: a pod itself, or those of a controller or
// service.
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
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"

	"skiff/cli/client"
	"skiff/cli/resource"
	"skiff/manifests/podfacts"
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

// Delete deletes a pod, and does not wait until it is gone. One that is gone, or whose name another pod has
// by now, is no error.
func Delete(ctx context.Context, c *client.Client, p *corev1.Pod) error {
	r, err := Ref(c, p.Namespace, p.Name)
	if err != nil {
		return err
	}
	_, err = c.Delete(ctx, r, metav1.NewPreconditionDeleteOptions(string(p.UID)))
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

// Finder finds pods.
type Finder struct {
	Client *client.Client
	Clock  clock.WithTicker
	Err    io.Writer
	// Patience is how long to wait for a controller's first pod.
	Patience time.Duration
}

// Selector is the label selector of an object that selects pods. The error names the kind when it
// does not.
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

// One returns the pod of o, the first by better's order when there are several; it waits for the
// first one to appear.
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
		if why := podless(o); why != "" {
			return nil, 0, &NoPodsError{Of: o, why: why}
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

// NoPodsError is the error where an object has no pods and will not have any.
type NoPodsError struct {
	Of  resource.Object
	why string
}

func (e *NoPodsError) Error() string { return fmt.Sprintf("%s has no pods: %s", e.Of.Ref, e.why) }

// podless says why an object without pods will not have any, "" when it may yet.
func podless(o resource.Object) string {
	content := o.Value.Object
	switch o.Mapping.GroupVersionKind.Kind {
	case "Job":
		conditions, _, _ := unstructured.NestedSlice(content, "status", "conditions")
		for _, item := range conditions {
			c, ok := item.(map[string]any)
			if !ok || c["status"] != "True" {
				continue
			}
			switch c["type"] {
			case "Complete":
				return "it is complete and they have been deleted, with their logs"
			case "Failed":
				return "it has failed and they have been deleted, with their logs"
			case "Suspended":
				return "it is suspended"
			}
		}
	case "ReplicationController", "ReplicaSet", "Deployment", "StatefulSet":
		if n, found, _ := unstructured.NestedInt64(content, "spec", "replicas"); found && n == 0 {
			return "it is scaled to 0"
		}
	}
	return ""
}

// ForLogs orders pods by how much their logs tell: first those that run, have been ready longest
// and have restarted often.
func ForLogs(a, b *corev1.Pod) int {
	return cmp.Or(
		cmp.Compare(rank(a), rank(b)),
		compareBool(podfacts.Ready(a), podfacts.Ready(b)),
		readySince(a).Compare(readySince(b)),
		-cmp.Compare(Restarts(a), Restarts(b)),
		a.CreationTimestamp.Compare(b.CreationTimestamp.Time),
		cmp.Compare(a.Name, b.Name),
	)
}

// ForWork orders pods by how well one can work in them: first those that run, are ready and have
// existed longest.
func ForWork(a, b *corev1.Pod) int {
	return cmp.Or(
		cmp.Compare(rank(a), rank(b)),
		compareBool(podfacts.Ready(a), podfacts.Ready(b)),
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

// readySince is when the pod became ready, the zero time when it is not.
func readySince(p *corev1.Pod) time.Time {
	since, _ := podfacts.ReadySince(p)
	return since
}

// Restarts is the sum of the restarts of the pod's containers.
func Restarts(p *corev1.Pod) int32 {
	var n int32
	for _, s := range p.Status.ContainerStatuses {
		n += s.RestartCount
	}
	return n
}

// defaultContainer is the annotation that names the container to use when none is named.
const defaultContainer = "kubectl.kubernetes.io/default-container"

// Container picks a pod's container: the named one, the one its annotation names, or its first.
// note says which was chosen when nobody named one.
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

// Containers are the names of all of a pod's containers: init, regular, ephemeral, in the order
// they stand in the pod.
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

// workloads are the kinds among which a bare name is looked for when no pod has it.
var workloads = []string{"deployments", "statefulsets", "daemonsets", "jobs", "replicationcontrollers", "replicasets"}

// Named fetches what a person named by POD or TYPE/NAME. A name alone that is no pod's may be that of
// a workload, as docker compose has it for services; the error is about the pod if it is not.
func Named(ctx context.Context, c *client.Client, arg string) (resource.Object, error) {
	if strings.Contains(arg, "/") {
		return one(ctx, c, arg)
	}
	o, err := one(ctx, c, "pods/"+arg)
	if !apierrors.IsNotFound(err) {
		return o, err
	}
	if o, werr := Workload(ctx, c, arg); werr == nil {
		return o, nil
	}
	return o, err
}

// Workload fetches what a person named by NAME or TYPE/NAME: an object that has pods.
func Workload(ctx context.Context, c *client.Client, arg string) (resource.Object, error) {
	if strings.Contains(arg, "/") {
		return one(ctx, c, arg)
	}
	for _, kind := range workloads {
		o, err := one(ctx, c, kind+"/"+arg)
		if !apierrors.IsNotFound(err) {
			return o, err
		}
	}
	return resource.Object{}, fmt.Errorf("there is no workload named %s in namespace %s", arg, c.Namespace)
}

func one(ctx context.Context, c *client.Client, arg string) (resource.Object, error) {
	var found []resource.Object
	err := resource.Finder{Client: c}.Find(ctx, resource.Query{Args: []string{arg}}, func(o resource.Object) error {
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

package up

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"skiff/cli/client"
	"skiff/cli/diagnosis"
	"skiff/cli/pods"
	"skiff/cli/resource"
	"skiff/cli/rollout"
)

// rollRebuilt replaces the pods of workloads that run another image than the one their reference
// stands for by now: one that was built again under the same name. That goes for pods that take what
// the engine has; those that always pull are not judged by it.
func (r *runner) rollRebuilt(ctx context.Context) error {
	if r.images == nil {
		return nil
	}
	for _, t := range r.targets {
		if !isWorkload(t.Ref) || !r.unchanged[t.Ref] || t.Mapping.GroupVersionKind.Kind == "Job" {
			continue
		}
		if image := r.outdatedImage(ctx, t); image != "" {
			if err := r.roll(ctx, t, image); err != nil {
				return err
			}
		}
	}
	return nil
}

// roll replaces the pods of a workload that can, and says so of others.
func (r *runner) roll(ctx context.Context, t resource.Target, image string) error {
	switch kind := t.Mapping.GroupVersionKind.Kind; {
	case r.noRoll:
		fmt.Fprintf(r.env.Err, "Warning: %s runs an older image %s\n", t.Ref, image)
		return nil
	case !slices.Contains([]string{"Deployment", "StatefulSet", "DaemonSet"}, kind):
		fmt.Fprintf(r.env.Err, "Warning: %s runs an older image %s, and is not replaced by itself: delete its pods, or use --replace\n", t.Ref, image)
		return nil
	}
	made, err := rollout.Restart(ctx, r.client, t.Ref, r.env.Now())
	if err != nil {
		return fmt.Errorf("rolling out %s: %w", t.Ref, err)
	}
	r.generations[made.GetUID()] = made.GetGeneration()
	fmt.Fprintf(r.env.Err, "%s is rolled out: the image %s is a new one (--no-roll leaves the pods as they are)\n", t.Ref, image)
	return nil
}

// outdatedImage is the reference of an image that a pod of the workload runs, or has run, an older version
// of; "" if there is none. Whoever may not ask the engine is warned, once: the application is up all the
// same.
func (r *runner) outdatedImage(ctx context.Context, t resource.Target) string {
	image, err := r.findOutdated(ctx, t)
	if err != nil && ctx.Err() == nil {
		fmt.Fprintf(r.env.Err, "Warning: whether images have been built anew could not be found out: %v\n", err)
		r.images = nil
	}
	return image
}

func (r *runner) findOutdated(ctx context.Context, t resource.Target) (string, error) {
	own, err := r.podsOf(ctx, t)
	if err != nil {
		return "", err
	}
	known := map[string][]string{} // pods of a workload have the same images
	for i := range own {
		image, err := r.outdatedIn(ctx, &own[i], known)
		if err != nil || image != "" {
			return image, err
		}
	}
	return "", nil
}

// outdatedIn is findOutdated for one pod. known is what the engine has said of images already.
func (r *runner) outdatedIn(ctx context.Context, p *corev1.Pod, known map[string][]string) (string, error) {
	for _, c := range slices.Concat(p.Spec.InitContainers, p.Spec.Containers) {
		id := imageOf(p, c.Name)
		if c.ImagePullPolicy == corev1.PullAlways || id == "" {
			continue
		}
		now, asked := known[c.Image]
		if !asked {
			var err error
			if now, err = r.images.Find(ctx, c.Image); err != nil {
				return "", err
			}
			known[c.Image] = now
		}
		if len(now) > 0 && !slices.ContainsFunc(now, func(name string) bool { return strings.HasSuffix(id, name) }) {
			return c.Image, nil
		}
	}
	return "", nil
}

// imageOf is the image of a container as its status names it; "" before it was created.
func imageOf(p *corev1.Pod, container string) string {
	for _, s := range diagnosis.Statuses(p) {
		if s.Name == container {
			return s.ImageID
		}
	}
	return ""
}

// podsOf are the pods that a workload's selector chooses and that stay, or the pod that it is.
func (r *runner) podsOf(ctx context.Context, t resource.Target) ([]corev1.Pod, error) {
	ref, err := pods.Ref(r.client, t.Namespace, "")
	if err != nil {
		return nil, err
	}
	o := client.ListOptions{Fields: "metadata.name=" + t.Name}
	if t.Mapping.GroupVersionKind.Kind != "Pod" {
		value, err := r.client.Get(ctx, t.Ref)
		if err != nil {
			return nil, err
		}
		if o, err = selected(value); err != nil {
			return nil, err
		}
	}
	all, err := client.ListOf[corev1.Pod](ctx, r.client, ref, o)
	return slices.DeleteFunc(all, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil }), err
}

// selected are the options by which a workload's pods are listed.
func selected(workload *unstructured.Unstructured) (client.ListOptions, error) {
	var spec struct {
		Spec struct {
			Selector metav1.LabelSelector `json:"selector"`
		} `json:"spec"`
	}
	if workload.GetKind() == "ReplicationController" {
		set, _, err := unstructured.NestedStringMap(workload.Object, "spec", "selector")
		return client.ListOptions{Labels: labels.SelectorFromSet(set).String()}, err
	}
	if err := client.Into(workload, &spec); err != nil {
		return client.ListOptions{}, err
	}
	selector, err := metav1.LabelSelectorAsSelector(&spec.Spec.Selector)
	return client.ListOptions{Labels: selector.String()}, err
}

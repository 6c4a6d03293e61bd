package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"

	"skiff/cli/client"
	"skiff/manifests/podfacts"
)

// choice says which pods of a node are evicted, what to warn of, and what forbids it; pods by
// message.
type choice struct {
	evict           []corev1.Pod
	warned, forbids map[string][]string
}

func note(where map[string][]string, message string, p *corev1.Pod) {
	where[message] = append(where[message], p.Namespace+"/"+p.Name)
}

// err is what forbids to drain the node, nil for nothing.
func (c *choice) err() error {
	var errs []error
	for _, message := range slices.Sorted(maps.Keys(c.forbids)) {
		errs = append(errs, fmt.Errorf("cannot delete %s: %s", message, strings.Join(c.forbids[message], ", ")))
	}
	return utilerrors.NewAggregate(errs)
}

func (c *choice) warnings() string {
	var all []string
	for _, message := range slices.Sorted(maps.Keys(c.warned)) {
		all = append(all, message+": "+strings.Join(c.warned[message], ", "))
	}
	return strings.Join(all, "; ")
}

// choose sorts a node's pods by kubectl's rules: of several rules that concern a pod, the last
// counts.
func (d *drainer) choose(ctx context.Context, all []corev1.Pod) choice {
	c := choice{warned: map[string][]string{}, forbids: map[string][]string{}}
	for i := range all {
		p := &all[i]
		evict, warning, obstacle := d.judge(ctx, p)
		switch {
		case obstacle != "":
			note(c.forbids, obstacle, p)
			continue
		case warning != "":
			note(c.warned, warning, p)
		}
		if evict {
			c.evict = append(c.evict, *p)
		}
	}
	return c
}

// judge reports whether a pod is evicted, what to warn of, and what forbids it.
func (d *drainer) judge(ctx context.Context, p *corev1.Pod) (evict bool, warning, obstacle string) {
	_, mirror := p.Annotations[corev1.MirrorPodAnnotationKey]
	if d.longGone(p) || mirror {
		return false, "", ""
	}
	if podfacts.Terminal(p) {
		return true, "", ""
	}
	owner := metav1.GetControllerOf(p)
	if owner != nil && owner.Kind == "DaemonSet" && strings.HasPrefix(owner.APIVersion, "apps/") {
		switch err := d.daemonSet(ctx, p.Namespace, owner.Name); {
		case apierrors.IsNotFound(err) && d.force:
			warning = err.Error()
		case err != nil:
			return false, "", err.Error()
		case !d.ignoreDaemonSets:
			return false, "", "DaemonSet-managed Pods (use --ignore-daemonsets to ignore)"
		default:
			return false, "ignoring DaemonSet-managed Pods", ""
		}
	}
	if slices.ContainsFunc(p.Spec.Volumes, func(v corev1.Volume) bool { return v.EmptyDir != nil }) {
		if !d.deleteLocal {
			return false, "", "Pods with local storage (use --delete-emptydir-data to override)"
		}
		warning = "deleting Pods with local storage"
	}
	switch {
	case owner != nil:
		return true, warning, ""
	case !d.force:
		return false, "", "cannot delete Pods that declare no controller (use --force to override)"
	}
	return true, "deleting Pods that declare no controller", ""
}

// longGone reports whether a pod has been terminating for so long that it is not waited for.
func (d *drainer) longGone(p *corev1.Pod) bool {
	return d.skipAfter > 0 && p.DeletionTimestamp != nil && int(d.env.Now().Sub(p.DeletionTimestamp.Time).Seconds()) > d.skipAfter
}

// daemonSet looks for a pod's DaemonSet.
func (d *drainer) daemonSet(ctx context.Context, namespace, name string) error {
	catalog, err := d.client.Catalog()
	if err != nil {
		return err
	}
	m, err := catalog.Kind(schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "DaemonSet"})
	if err != nil {
		return err
	}
	_, err = d.client.Get(ctx, client.Ref{Mapping: m, Namespace: namespace, Name: name})
	var status *apierrors.StatusError
	if errors.As(err, &status) {
		return status
	}
	return err
}

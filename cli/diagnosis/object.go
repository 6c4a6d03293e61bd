package diagnosis

import (
	"context"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/cli/client"
	"skiff/cli/pods"
	"skiff/cli/resource"
	"skiff/manifests/podfacts"
)

// Object returns why an object's pods, or the pod that it is, are not ready: the failure of one
// that will not become ready, else the first one that is not ready and its last warning, that of a
// probe for instance. It is nil when there is nothing to say, or when o has no pods.
func Object(ctx context.Context, c *client.Client, o resource.Object, now time.Time) *Failure {
	all, err := pods.Finder{Client: c}.All(ctx, o)
	if err != nil {
		return nil
	}
	var unready *Failure
	for i := range all {
		p := &all[i]
		if p.DeletionTimestamp != nil || p.Namespace != o.Namespace || !belongs(p, o) {
			continue
		}
		if f := Pod(p, now); f != nil {
			return f
		}
		if podfacts.Ready(p) || podfacts.Terminal(p) || unready != nil {
			continue
		}
		if why := notReady(ctx, c, p); why != "" {
			unready = &Failure{What: "pod/" + p.Name, Why: why, Pod: p}
		}
	}
	return unready
}

// belongs reports whether a pod is o itself or, as far as that can be seen, one of its own: those
// of a deployment belong to its replica sets.
func belongs(p *corev1.Pod, o resource.Object) bool {
	switch o.Mapping.GroupVersionKind.Kind {
	case "Pod", "Deployment", "Service":
		return true
	}
	owner := metav1.GetControllerOf(p)
	return owner != nil && owner.UID == o.Value.GetUID()
}

// notReady is what there is to say of a pod that is not ready but may still become so.
func notReady(ctx context.Context, c *client.Client, p *corev1.Pod) string {
	if warning := Warning(ctx, c, p); warning != "" {
		return warning
	}
	if cond := podfacts.Condition(p, corev1.PodReady); cond != nil && cond.Status != corev1.ConditionTrue {
		return Reason(cond.Reason, cond.Message)
	}
	return ""
}

// Below is the failure as lines below a message about something else.
func Below(ctx context.Context, c *client.Client, f Failure, now time.Time) string {
	return strings.TrimSuffix("  "+f.What+": "+f.Why+"\n"+Details(ctx, c, f, now), "\n")
}

package admission

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"skiff/manifests/registry"
)

// DefaultTolerations lets each pod stay for a while on a node that is not ready
// or not reachable, unless the pod says for itself how long.
type DefaultTolerations struct {
	defaults []corev1.Toleration
}

// NewDefaultTolerations returns the admitter for the seconds that o says.
func NewDefaultTolerations(o Options) DefaultTolerations {
	toleration := func(key string, seconds *int64) corev1.Toleration {
		return corev1.Toleration{
			Key:               key,
			Operator:          corev1.TolerationOpExists,
			Effect:            corev1.TaintEffectNoExecute,
			TolerationSeconds: ptr.To(ptr.Deref(seconds, DefaultTolerationSeconds)),
		}
	}
	return DefaultTolerations{[]corev1.Toleration{
		toleration(corev1.TaintNodeNotReady, o.NotReadySeconds),
		toleration(corev1.TaintNodeUnreachable, o.UnreachableSeconds),
	}}
}

func (d DefaultTolerations) Admit(_ context.Context, r registry.Request) error {
	pod, ok := r.Object.(*corev1.Pod)
	if !ok || r.Subresource != "" {
		return nil
	}
	own := pod.Spec.Tolerations
	for _, toleration := range d.defaults {
		if !slices.ContainsFunc(own, covers(toleration.Key)) {
			pod.Spec.Tolerations = append(pod.Spec.Tolerations, *toleration.DeepCopy())
		}
	}
	return nil
}

// covers says of a toleration that it applies to the taint of a key that evicts.
func covers(key string) func(corev1.Toleration) bool {
	return func(t corev1.Toleration) bool {
		return (t.Key == key || t.Key == "") && (t.Effect == corev1.TaintEffectNoExecute || t.Effect == "")
	}
}

package daemonset

import (
	"context"
	"maps"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// onePod is a store with a pod of which the snapshot knows an earlier version.
type onePod struct {
	Pods
	pod *corev1.Pod
}

func (o onePod) Update(_ context.Context, _, _ string, change func(*corev1.Pod) error) (*corev1.Pod, error) {
	return o.pod, change(o.pod)
}

// TestRelabelMeetsPodWithoutLabels: a pod's labels may have been taken away since
// they were looked at, or name a revision without a hash.
func TestRelabelMeetsPodWithoutLabels(t *testing.T) {
	const key = appsv1.ControllerRevisionHashLabelKey
	ds := daemonSet(onSSD)
	for _, c := range []struct {
		name         string
		hash         string // of the revision that goes
		before, want map[string]string
	}{
		{"as it was", "double", map[string]string{key: "double"}, map[string]string{key: "kept"}},
		{"its labels are gone", "double", nil, nil},
		{"a revision without a hash", "", nil, map[string]string{key: "kept"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			seen := pods("a")[0]
			seen.Labels = maps.Clone(seen.Labels)
			seen.Labels[key] = c.hash
			s := snapshotOf(t, ds, nil, []*corev1.Pod{seen})
			s.hash = "kept"
			current := seen.DeepCopy()
			current.Labels = c.before
			controller := &Controller{pods: onePod{pod: current}}
			if err := controller.relabel(t.Context(), s, map[string]bool{c.hash: true}); err != nil || !maps.Equal(current.Labels, c.want) {
				t.Errorf("labels %v, want %v: %v", current.Labels, c.want, err)
			}
		})
	}
}

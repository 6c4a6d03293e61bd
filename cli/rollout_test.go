package cli

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// deploymentStatus makes a change of a deployment's status.
func deploymentStatus(t *testing.T, fields map[string]any) func(map[string]any) {
	return func(content map[string]any) {
		for k, v := range fields {
			if err := unstructured.SetNestedField(content, v, "status", k); err != nil {
				t.Error(err)
			}
		}
	}
}

func startedRollout(t *testing.T) *world {
	w := newWorld(t)
	w.server.Put(map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "kubia", "generation": int64(2)},
		"spec": map[string]any{"replicas": int64(2)}, "status": map[string]any{"observedGeneration": int64(1)},
	})
	return w
}

func TestRolloutStatusFollows(t *testing.T) {
	w := startedRollout(t)
	r := w.start(t, "rollout", "status", "deployment/kubia")
	for _, step := range []struct {
		status map[string]any
		before string
	}{
		{map[string]any{"observedGeneration": int64(2), "replicas": int64(2), "updatedReplicas": int64(1)}, "Waiting for deployment spec update to be observed...\n"},
		{map[string]any{"replicas": int64(3), "updatedReplicas": int64(2)}, `Waiting for deployment "kubia" rollout to finish: 1 out of 2 new replicas have been updated...` + "\n"},
		{map[string]any{"replicas": int64(2), "availableReplicas": int64(1)}, `Waiting for deployment "kubia" rollout to finish: 1 old replicas are pending termination...` + "\n"},
		{map[string]any{"availableReplicas": int64(2)}, `Waiting for deployment "kubia" rollout to finish: 1 of 2 updated replicas are available...` + "\n"},
	} {
		r.out.await(t, step.before)
		w.server.Change("Deployment", "kubia", deploymentStatus(t, step.status))
	}
	r.ends(t, 0)
	r.out.await(t, `deployment "kubia" successfully rolled out`+"\n")
}

func TestRolloutStatusFails(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(w *world)
		want string
	}{
		"when the deadline has passed": {func(w *world) {
			w.server.Change("Deployment", "kubia", deploymentStatus(t, map[string]any{"observedGeneration": int64(2), "conditions": []any{
				map[string]any{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"},
			}}))
		}, `error: deployment "kubia" exceeded its progress deadline`},
		"when the deployment is deleted": {func(w *world) { w.server.Remove("Deployment", "kubia") }, "error: object has been deleted"},
		"when time is up":                {func(*world) {}, "error: timed out waiting for the condition"},
	} {
		t.Run(name, func(t *testing.T) {
			w := startedRollout(t)
			timeout := "--timeout=0s"
			if name == "when time is up" {
				timeout = "--timeout=10ms"
			}
			r := w.start(t, "rollout", "status", "deployment/kubia", timeout)
			if timeout == "--timeout=0s" {
				r.out.await(t, "Waiting for")
			}
			c.do(w)
			r.ends(t, 1)
			r.err.await(t, c.want)
		})
	}
}

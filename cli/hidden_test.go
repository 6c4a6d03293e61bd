package cli

import "testing"

// Whoever may not look at pods, or at the replica sets between, goes by the controller's word.
func TestUpWithoutPermissionToListPods(t *testing.T) {
	manifests(t)
	for _, hidden := range []string{"pods", "replicasets"} {
		t.Run(hidden, func(t *testing.T) {
			w := newWorld(t)
			w.server.Hidden = []string{hidden}
			t.Chdir(t.TempDir())
			writeManifest(t, "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 1}\n")
			r := w.start(t, "up", "-f", "job.yaml", "-d", "--timeout=1m")
			r.err.await(t, "deployment/web: 0/1 ready\n")
			w.server.Change("Deployment", "web", func(o map[string]any) {
				o["status"] = map[string]any{"replicas": int64(1), "readyReplicas": int64(1), "updatedReplicas": int64(1), "availableReplicas": int64(1)}
			})
			r.ends(t, 0)
		})
	}
}

package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"skiff/manifests/registry"
	"skiff/orchestrator/node/joblog"
)

// TestKeepLog: the log of a job's pod outlives the pod if that is deleted, as a job's controller does when
// the job fails. Those of others do not.
func TestKeepLog(t *testing.T) {
	dir := t.TempDir()
	keeper := &joblog.Keeper{Dir: filepath.Join(dir, "logs")}
	inWorld(t, func(w *world) {
		job, err := registry.For[*batchv1.Job](w.registry).Create(w.Context(), &batchv1.Job{
			ObjectMeta: metav1.ObjectMeta{Name: "owner", Namespace: "default"},
			Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever,
				Containers: []corev1.Container{{Name: "kubia", Image: "kubia"}}}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		ownedBy := func(apiVersion, kind string, uid types.UID) func(*corev1.Pod) {
			return func(p *corev1.Pod) {
				p.OwnerReferences = []metav1.OwnerReference{{APIVersion: apiVersion, Kind: kind, Name: "owner", UID: uid, Controller: ptr.To(true)}}
			}
		}
		w.pod("of-job", onePod, ownedBy("batch/v1", "Job", job.UID))
		w.pod("of-set", onePod, ownedBy("apps/v1", "ReplicaSet", "set"))
		// Nothing but a job's own UID becomes the name of a folder.
		w.pod("of-path", onePod, ownedBy("batch/v1", "Job", "../elsewhere"))
		for _, name := range []string{"of-job", "of-set", "of-path"} {
			if err := w.engine.Print(w.id(name, "kubia"), "why it failed"); err != nil {
				t.Fatal(err)
			}
			w.delete(name, nil)
			w.settle()
		}
		w.wantContainers("")
		logs, err := keeper.Logs(job.UID)
		if err != nil || len(logs) != 1 || logs[0].Pod != "of-job" || logs[0].Container != "kubia" {
			t.Fatalf("%+v, %v", logs, err)
		}
		if text, err := keeper.Read(logs[0]); err != nil || !strings.Contains(string(text), " why it failed") {
			t.Errorf("%q, %v", text, err)
		}
		if logs, err := keeper.Logs("set"); err == nil {
			t.Errorf("kept of a ReplicaSet's pod: %+v", logs)
		}
		if there, err := os.ReadDir(dir); err != nil || len(there) != 1 {
			t.Errorf("beside the folder of logs: %v, %v", there, err)
		}
	}, func(o *Options) { o.JobLogs = keeper })
}

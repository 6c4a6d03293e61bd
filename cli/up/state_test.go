package up

import (
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"skiff/cli/client"
	"skiff/cli/resource"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// see makes a snapshot of objects in YAML; those that are no pods are the workloads, or all are
// when there is nothing else.
func see(t *testing.T, text string) snapshot {
	t.Helper()
	var s snapshot
	var alone []workload
	for _, doc := range strings.Split(text, "---\n") {
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(doc), &u.Object); err != nil {
			t.Fatal(err)
		}
		gvk := u.GroupVersionKind()
		w := workload{Ref: client.Ref{Name: u.GetName(), Mapping: &meta.RESTMapping{GroupVersionKind: gvk, Scope: meta.RESTScopeNamespace,
			Resource: schema.GroupVersionResource{Group: gvk.Group, Version: gvk.Version, Resource: strings.ToLower(gvk.Kind) + "s"}}}, value: u}
		if gvk.Kind != "Pod" {
			s.workloads = append(s.workloads, w)
			continue
		}
		p := &corev1.Pod{}
		if err := client.Into(u, p); err != nil {
			t.Fatal(err)
		}
		s.pods = append(s.pods, p)
		alone = append(alone, w)
	}
	if len(s.workloads) == 0 {
		s.workloads = alone
	}
	return s
}

func (p picture) String() string {
	var b strings.Builder
	for _, l := range p.lines {
		fmt.Fprintf(&b, "%s%s: %s [%s]\n", strings.Repeat("  ", l.depth), l.name, l.text, []string{"pending", "ready", "finished", "failed"}[l.phase])
	}
	if p.failure != nil {
		fmt.Fprintf(&b, "failure: %s: %s\n", p.failure.What, p.failure.Why)
		if p.failure.Container != "" {
			fmt.Fprintf(&b, "log of: %s (crashed %t)\n", p.failure.Container, p.failure.Previous)
		}
	}
	fmt.Fprintf(&b, "up %t, done %t", p.up, p.done)
	return b.String()
}

const rc = `{apiVersion: v1, kind: ReplicationController, metadata: {name: kubia, uid: rc, generation: 2}, spec: {replicas: 2}, status: %s}
`

const podOf = `---
{apiVersion: v1, kind: Pod, metadata: {name: %s, uid: %[1]s, ownerReferences: [{apiVersion: v1, kind: x, name: x, uid: %s, controller: true}]}, spec: {containers: [{name: kubia, image: i}]}, status: %s}
`

const readyPod = `{phase: Running, conditions: [{type: Ready, status: "True"}], containerStatuses: [{name: kubia, ready: true, state: {running: {}}}]}`

func TestLook(t *testing.T) {
	tests := []struct{ name, objects, want string }{
		{"controller not seen by its controller yet", fmt.Sprintf(rc, "{observedGeneration: 1, replicas: 2, readyReplicas: 2}"), `
replicationcontroller/kubia: 2/2 ready [pending]
up false, done false`},
		{"one of two ready", fmt.Sprintf(rc, "{observedGeneration: 2, replicas: 2, readyReplicas: 1}") + fmt.Sprintf(podOf, "b", "rc", readyPod) + fmt.Sprintf(podOf, "a", "rc", `{phase: Pending, containerStatuses: [{name: kubia, state: {waiting: {reason: ContainerCreating}}}]}`) + fmt.Sprintf(podOf, "c", "other", readyPod), `
replicationcontroller/kubia: 1/2 ready [pending]
  pod/a: ContainerCreating [pending]
  pod/b: Running [ready]
up false, done false`},
		{"all ready, with restarts", fmt.Sprintf(rc, "{observedGeneration: 2, replicas: 2, readyReplicas: 2}") + fmt.Sprintf(podOf, "a", "rc", strings.Replace(readyPod, "ready: true", "ready: true, restartCount: 3", 1)), `
replicationcontroller/kubia: 2/2 ready [ready]
  pod/a: Running (3 restarts) [ready]
up true, done false`},
		{"too many replicas still", fmt.Sprintf(rc, "{observedGeneration: 2, replicas: 3, readyReplicas: 2}"), `
replicationcontroller/kubia: 2/2 ready [pending]
up false, done false`},
		{"pods refused a moment ago", fmt.Sprintf(rc, `{observedGeneration: 2, conditions: [{type: ReplicaFailure, status: "True", message: no quota, lastTransitionTime: "2026-11-23T11:59:58Z"}]}`), `
replicationcontroller/kubia: 0/2 ready [pending]
up false, done false`},
		{"pods refused for a while", fmt.Sprintf(rc, `{observedGeneration: 2, conditions: [{type: ReplicaFailure, status: "True", message: no quota, lastTransitionTime: "2026-11-23T11:59:50Z"}]}`), `
replicationcontroller/kubia: 0/2 ready [failed]
failure: replicationcontroller/kubia: its pods are refused: no quota
up false, done false`},
		{"image cannot be pulled", fmt.Sprintf(rc, "{observedGeneration: 2}") + fmt.Sprintf(podOf, "a", "rc", `{phase: Pending, containerStatuses: [{name: kubia, state: {waiting: {reason: ImagePullBackOff, message: "Back-off pulling\n image"}}}]}`), `
replicationcontroller/kubia: 0/2 ready [pending]
  pod/a: ImagePullBackOff [failed]
failure: pod/a: ImagePullBackOff: Back-off pulling image
up false, done false`},
		{"first failure to pull may pass", fmt.Sprintf(rc, "{observedGeneration: 2}") + fmt.Sprintf(podOf, "a", "rc", `{phase: Pending, containerStatuses: [{name: kubia, state: {waiting: {reason: ErrImagePull}}}]}`), `
replicationcontroller/kubia: 0/2 ready [pending]
  pod/a: ErrImagePull [pending]
up false, done false`},
		{"container crashes", fmt.Sprintf(rc, "{observedGeneration: 2}") + fmt.Sprintf(podOf, "a", "rc", `{phase: Running, containerStatuses: [{name: kubia, restartCount: 2, state: {waiting: {reason: CrashLoopBackOff, message: back-off}}, lastState: {terminated: {exitCode: 3, reason: Error}}}]}`), `
replicationcontroller/kubia: 0/2 ready [pending]
  pod/a: CrashLoopBackOff (2 restarts) [failed]
failure: pod/a: CrashLoopBackOff: container kubia ended with exit code 3 (Error), 2 restarts
log of: kubia (crashed true)
up false, done false`},
		{"init container crashes", fmt.Sprintf(rc, "{observedGeneration: 2}") + fmt.Sprintf(podOf, "a", "rc", `{phase: Pending, initContainerStatuses: [{name: init, restartCount: 1, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 1}}}]}`), `
replicationcontroller/kubia: 0/2 ready [pending]
  pod/a: Init:CrashLoopBackOff [failed]
failure: pod/a: CrashLoopBackOff: container init ended with exit code 1 (Error), 1 restarts
log of: init (crashed true)
up false, done false`},
		{"no node for it, just now", fmt.Sprintf(podOf, "a", "x", `{phase: Pending, conditions: [{type: PodScheduled, status: "False", reason: Unschedulable, message: no node, lastTransitionTime: "2026-11-23T11:59:55Z"}]}`)[4:], `
pod/a: Pending [pending]
up false, done false`},
		{"no node for it, for a while", fmt.Sprintf(podOf, "a", "x", `{phase: Pending, conditions: [{type: PodScheduled, status: "False", reason: Unschedulable, message: no node, lastTransitionTime: "2026-11-23T11:59:50Z"}]}`)[4:], `
pod/a: Pending [failed]
failure: pod/a: Unschedulable: no node
up false, done false`},
		{"pod has ended well", fmt.Sprintf(podOf, "a", "x", `{phase: Succeeded, containerStatuses: [{name: kubia, state: {terminated: {exitCode: 0, reason: Completed}}}]}`)[4:], `
pod/a: Completed [finished]
up true, done true`},
		{"pod has failed", fmt.Sprintf(podOf, "a", "x", `{phase: Failed, containerStatuses: [{name: kubia, state: {terminated: {exitCode: 2, reason: Error}}}]}`)[4:], `
pod/a: Error [failed]
failure: pod/a: container kubia ended with exit code 2 (Error)
log of: kubia (crashed false)
up false, done true`},
		{"replica set", `{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: a, uid: a}, spec: {replicas: 0}, status: {}}`, `
replicaset/a: 0/0 ready [ready]
up true, done false`},
		{"deployment half updated", `{apiVersion: apps/v1, kind: Deployment, metadata: {name: a, uid: a}, spec: {replicas: 2}, status: {replicas: 3, readyReplicas: 2, updatedReplicas: 1, availableReplicas: 2}}`, `
deployment/a: 2/2 ready [pending]
up false, done false`},
		{"deployment up", `{apiVersion: apps/v1, kind: Deployment, metadata: {name: a, uid: a}, spec: {replicas: 2}, status: {replicas: 2, readyReplicas: 2, updatedReplicas: 2, availableReplicas: 2}}`, `
deployment/a: 2/2 ready [ready]
up true, done false`},
		{"deployment late", `{apiVersion: apps/v1, kind: Deployment, metadata: {name: a, uid: a}, spec: {replicas: 2}, status: {conditions: [{type: Progressing, status: "False", reason: ProgressDeadlineExceeded, message: late}]}}`, `
deployment/a: 0/2 ready [failed]
failure: deployment/a: ProgressDeadlineExceeded: late
up false, done false`},
		{"stateful set rolling", `{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: a, uid: a}, spec: {replicas: 1, updateStrategy: {type: RollingUpdate}}, status: {replicas: 1, readyReplicas: 1, currentRevision: one, updateRevision: two}}`, `
statefulset/a: 1/1 ready [pending]
up false, done false`},
		{"daemon set without nodes", `{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: a, uid: a, generation: 1}, status: {observedGeneration: 1}}`, `
daemonset/a: 0/0 ready [ready]
up true, done false`},
		{"job runs", `{apiVersion: batch/v1, kind: Job, metadata: {name: a, uid: a}, spec: {completions: 3}, status: {succeeded: 1, active: 1, ready: 1}}`, `
job/a: 1/3 complete [ready]
up true, done false`},
		{"job has completed", `{apiVersion: batch/v1, kind: Job, metadata: {name: a, uid: a}, status: {succeeded: 1, conditions: [{type: Complete, status: "True"}]}}
` + fmt.Sprintf(podOf, "p", "a", `{phase: Succeeded}`), `
job/a: 1/1 complete [finished]
up true, done true`},
		{"a pod of a job may fail", `{apiVersion: batch/v1, kind: Job, metadata: {name: a, uid: a}, status: {failed: 1}}
` + fmt.Sprintf(podOf, "p", "a", `{phase: Failed, reason: Error}`), `
job/a: 0/1 complete [pending]
  pod/p: Error [failed]
up false, done false`},
		{"job has failed", `{apiVersion: batch/v1, kind: Job, metadata: {name: a, uid: a}, status: {conditions: [{type: Failed, status: "True", reason: BackoffLimitExceeded, message: too often}]}}`, `
job/a: 0/1 complete [failed]
failure: job/a: BackoffLimitExceeded: too often
up false, done true`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got, want := look(see(t, test.objects), noon, criteria{}).String(), strings.TrimPrefix(test.want, "\n"); got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// A job that runs is up, but not complete.
func TestLookUntilComplete(t *testing.T) {
	s := see(t, `{apiVersion: batch/v1, kind: Job, metadata: {name: a, uid: a}, status: {active: 1, ready: 1}}`)
	if look(s, noon, criteria{complete: true}).up {
		t.Error("up although the job has not completed")
	}
	if !look(s, noon, criteria{}).up {
		t.Error("not up although the job runs")
	}
}

func TestLookAtWhatIsNotThereYet(t *testing.T) {
	s := see(t, fmt.Sprintf(rc, "{}"))
	s.workloads[0].value = nil
	if p := look(s, noon, criteria{}); p.up || p.done || p.failure != nil {
		t.Errorf("nothing seen yet, and already %v", p)
	}
}

func TestInOrder(t *testing.T) {
	var targets []resource.Target
	for _, kind := range []string{"Job", "Gadget", "Pod", "ConfigMap", "Deployment", "Namespace", "Service", "Secret", "Pod"} {
		targets = append(targets, resource.Target{Ref: client.Ref{Name: fmt.Sprint(len(targets)), Mapping: &meta.RESTMapping{GroupVersionKind: schema.GroupVersionKind{Kind: kind}}}})
	}
	var got []string
	for _, target := range inOrder(targets) {
		got = append(got, target.Mapping.GroupVersionKind.Kind+target.Name)
	}
	want := "Namespace5 Secret7 ConfigMap3 Service6 Gadget1 Pod2 Pod8 Deployment4 Job0"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
	var down []string
	for _, stage := range stages(inOrder(targets)) {
		for _, target := range stage {
			down = append(down, target.Mapping.GroupVersionKind.Kind+target.Name)
		}
		down = append(down, "|")
	}
	want = "Job0 Deployment4 Pod8 Pod2 | Gadget1 Service6 ConfigMap3 Secret7 | Namespace5 |"
	if s := strings.Join(down, " "); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
}

// TestPodsOfAnOldTemplateFailNothing: what they suffer from may have been mended, and they are
// being replaced.
func TestPodsOfAnOldTemplateFailNothing(t *testing.T) {
	const text = `{apiVersion: apps/v1, kind: Deployment, metadata: {name: a, uid: a, generation: 2}, spec: {replicas: 1}, status: {observedGeneration: 2, replicas: 2}}
---
{apiVersion: v1, kind: Pod, metadata: {name: a-old, ownerReferences: [{kind: ReplicaSet, name: old, uid: old, controller: true}]}, status: {phase: Pending, containerStatuses: [{name: c, state: {waiting: {reason: ImagePullBackOff}}}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: a-new, ownerReferences: [{kind: ReplicaSet, name: new, uid: new, controller: true}]}, status: {phase: Pending, containerStatuses: [{name: c, state: {waiting: {reason: ContainerCreating}}}]}}`
	set := func(uid, revision string) *appsv1.ReplicaSet {
		return &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{
			UID: types.UID(uid), Annotations: map[string]string{"deployment.kubernetes.io/revision": revision},
			OwnerReferences: []metav1.OwnerReference{{UID: "a", Controller: ptr.To(true)}},
		}}
	}
	s := see(t, text)
	s.sets = []*appsv1.ReplicaSet{set("old", "9"), set("new", "10")}
	if p := look(s, noon, criteria{}); p.failure != nil {
		t.Errorf("fails for a pod of the old replica set: %+v", p.failure)
	}
	s.sets = []*appsv1.ReplicaSet{set("old", "11"), set("new", "10")} // rolled back
	if p := look(s, noon, criteria{}); p.failure == nil || p.failure.What != "pod/a-old" {
		t.Errorf("the pod of the newest replica set fails nothing: %+v", p.failure)
	}
	s.workloads[0].value.SetGeneration(3)
	if p := look(s, noon, criteria{}); p.failure != nil {
		t.Errorf("fails although the deployment has a template that nobody has looked at: %+v", p.failure)
	}
}

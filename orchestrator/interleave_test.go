package orchestrator_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"

	"skiff/manifests/podfacts"
	"skiff/manifests/registry"
	"skiff/orchestrator/cluster/claims"
	"skiff/orchestrator/cluster/disruption"
	"skiff/orchestrator/cluster/garbage"
	"skiff/orchestrator/cluster/nodelife"
	"skiff/orchestrator/cluster/podgc"
	"skiff/orchestrator/cluster/scheduling"
	"skiff/orchestrator/cluster/tainteviction"
	"skiff/orchestrator/internal/testbed"
	"skiff/orchestrator/workload/cronjob"
	"skiff/orchestrator/workload/daemonset"
	"skiff/orchestrator/workload/deployment"
	"skiff/orchestrator/workload/job"
	"skiff/orchestrator/workload/replicas"
	"skiff/orchestrator/workload/statefulset"
	"skiff/store"
)

// stage is a bed on which controllers and a user go on step by step.
type stage struct {
	*testbed.Bed
	*testing.T

	mu    sync.Mutex
	wrong []string
}

// scenario is what one controller and one user do at the same time.
type scenario struct {
	// prepare makes what there is before, and starts the controller.
	prepare func(s *stage)
	// act is what the user does meanwhile.
	act func(s *stage)
	// resource is what is looked at: wrong says what is wrong with a change of it, in the moment in
	// which it is made.
	resource string
	wrong    func(s *stage, e store.Event) string
	// end says what is wrong when all is done.
	end func(s *stage) string
}

// TestDecisionsAreCheckedByTheirWrites has a user do, at every moment of a controller's work, what
// takes away the ground for the controller's decision.
func TestDecisionsAreCheckedByTheirWrites(t *testing.T) {
	for name, c := range scenarios {
		t.Run(name, func(t *testing.T) {
			for seed := range testbed.Seeds(t, 12) {
				synctest.Test(t, func(t *testing.T) { c.play(t, seed) })
				if t.Failed() {
					return
				}
			}
		})
	}
}

func (c scenario) play(t *testing.T, seed uint64) {
	b, steps := testbed.NewStepped(t)
	s := &stage{Bed: b, T: t}
	c.prepare(s)
	synctest.Wait()
	if c.wrong != nil {
		detach, err := s.Feeds.Of(c.resource).Subscribe(t.Context(), func(e store.Event) {
			if what := c.wrong(s, e); what != "" {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.wrong = append(s.wrong, what)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		defer detach()
		s.wrong = nil // it was told of what there is
	}
	steps.Interleave(seed, func() { c.act(s) })
	time.Sleep(time.Minute)
	synctest.Wait()
	if c.end != nil {
		if what := c.end(s); what != "" {
			s.wrong = append(s.wrong, what)
		}
	}
	if len(s.wrong) > 0 {
		t.Errorf("seed %d: %s, after\n%s", seed, strings.Join(s.wrong, ", "), steps.Trace())
	}
}

var kubiaLabels = map[string]string{"app": "kubia"}

func template() corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: kubiaLabels}, Spec: testbed.PodSpec()}
}

func object(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "default", Name: name}
}

func try[T store.Object](s *stage, namespace, name string, change func(T)) (T, error) {
	return registry.For[T](s.Registry).Update(s.Context(), namespace, name, func(o T) error { change(o); return nil })
}

func tryStatus[T store.Object](s *stage, namespace, name string, change func(T)) {
	_, _ = registry.For[T](s.Registry).UpdateStatus(s.Context(), namespace, name, func(o T) error { change(o); return nil })
}

func client[T store.Object](s *stage) registry.Client[T] { return registry.For[T](s.Registry) }

func (s *stage) start(run func(context.Context) error) { s.Bed.Run(run) }

func (s *stage) pods() []*corev1.Pod { return testbed.List[*corev1.Pod](s.Bed, "default") }

// isolate takes from all pods the labels by which they are selected: somebody wants to look at them.
func (s *stage) isolate() {
	for _, p := range s.pods() {
		_, _ = try(s, "default", p.Name, func(p *corev1.Pod) { p.Labels["app"] = "isolated" })
	}
}

// isolatedGoes is what is wrong when an isolated pod is deleted.
func isolatedGoes(_ *stage, e store.Event) string {
	p := e.Object.(*corev1.Pod)
	before, _ := e.Previous.(*corev1.Pod)
	begins := p.DeletionTimestamp != nil && before != nil && before.DeletionTimestamp == nil
	if p.Labels["app"] == "isolated" && (begins || e.Type == watch.Deleted) {
		return "an isolated pod is deleted"
	}
	return ""
}

// noted is what is wrong unless the object of a status has the condition that a user has put there.
func noted[C any](conditions []C, typeOf func(C) string) string {
	if slices.ContainsFunc(conditions, func(c C) bool { return typeOf(c) == "Noted" }) {
		return ""
	}
	return "a user's condition is lost"
}

var scenarios = map[string]scenario{
	"a ReplicaSet's surplus pod is isolated": {
		prepare: func(s *stage) {
			testbed.Create(s.Bed, &appsv1.ReplicaSet{ObjectMeta: object("kubia"), Spec: appsv1.ReplicaSetSpec{
				Replicas: ptr.To[int32](2), Selector: &metav1.LabelSelector{MatchLabels: kubiaLabels}, Template: template(),
			}})
			s.start(replicas.NewReplicaSets(client[*appsv1.ReplicaSet](s), replicas.Options{Env: s.Env(), Pods: client[*corev1.Pod](s)}).Run)
		},
		act: func(s *stage) {
			_, _ = try(s, "default", "kubia", func(rs *appsv1.ReplicaSet) { rs.Spec.Replicas = ptr.To[int32](0) })
			s.isolate()
		},
		resource: "pods", wrong: isolatedGoes,
	},
	"a DaemonSet's surplus pod is isolated": {
		prepare: func(s *stage) {
			s.node("n")
			testbed.Create(s.Bed, &appsv1.DaemonSet{ObjectMeta: object("kubia"), Spec: appsv1.DaemonSetSpec{
				Selector: &metav1.LabelSelector{MatchLabels: kubiaLabels}, Template: template(),
			}})
			s.start(daemonset.New(daemonset.Options{
				Env: s.Env(), Sets: client[*appsv1.DaemonSet](s), Pods: client[*corev1.Pod](s), Nodes: client[*corev1.Node](s),
				Revisions: client[*appsv1.ControllerRevision](s),
			}).Run)
		},
		act: func(s *stage) {
			_, _ = try(s, "default", "kubia", func(ds *appsv1.DaemonSet) { ds.Spec.Template.Spec.NodeSelector = map[string]string{"no": "where"} })
			s.isolate()
		},
		resource: "pods", wrong: isolatedGoes,
	},
	"a StatefulSet's surplus pod is isolated": {
		prepare: func(s *stage) {
			testbed.Create(s.Bed, &appsv1.StatefulSet{ObjectMeta: object("kubia"), Spec: appsv1.StatefulSetSpec{
				Replicas: ptr.To[int32](2), Selector: &metav1.LabelSelector{MatchLabels: kubiaLabels}, Template: template(),
				PodManagementPolicy: appsv1.ParallelPodManagement,
			}})
			s.start(statefulset.New(statefulset.Options{
				Env: s.Env(), Sets: client[*appsv1.StatefulSet](s), Pods: client[*corev1.Pod](s), Claims: client[*corev1.PersistentVolumeClaim](s),
				Revisions: client[*appsv1.ControllerRevision](s),
			}).Run)
		},
		act: func(s *stage) {
			_, _ = try(s, "default", "kubia", func(set *appsv1.StatefulSet) { set.Spec.Replicas = ptr.To[int32](0) })
			s.isolate()
		},
		resource: "pods", wrong: isolatedGoes,
	},
	"a Job's surplus pod is isolated": {
		prepare: func(s *stage) {
			j := &batchv1.Job{ObjectMeta: object("kubia"), Spec: batchv1.JobSpec{
				Parallelism: ptr.To[int32](2), ManualSelector: ptr.To(true), Selector: &metav1.LabelSelector{MatchLabels: kubiaLabels}, Template: template(),
			}}
			j.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
			testbed.Create(s.Bed, j)
			s.start(job.New(job.Options{Env: s.Env(), Pods: client[*corev1.Pod](s), Jobs: client[*batchv1.Job](s), Workers: 2}).Run)
		},
		act: func(s *stage) {
			_, _ = try(s, "default", "kubia", func(j *batchv1.Job) { j.Spec.Suspend = ptr.To(true) })
			s.isolate()
		},
		resource: "pods", wrong: isolatedGoes,
	},
	"a condition is put into a Deployment's status": {
		prepare: func(s *stage) {
			testbed.Create(s.Bed, &appsv1.Deployment{ObjectMeta: object("kubia"), Spec: appsv1.DeploymentSpec{
				Replicas: ptr.To[int32](2), Selector: &metav1.LabelSelector{MatchLabels: kubiaLabels}, Template: template(),
			}})
			s.start(deployment.New(deployment.Options{
				Env: s.Env(), Deployments: client[*appsv1.Deployment](s), Sets: client[*appsv1.ReplicaSet](s), Pods: client[*corev1.Pod](s),
			}).Run)
		},
		act: func(s *stage) {
			_, _ = try(s, "default", "kubia", func(d *appsv1.Deployment) { d.Spec.Replicas = ptr.To[int32](3) })
			tryStatus(s, "default", "kubia", func(d *appsv1.Deployment) {
				d.Status.Conditions = append(d.Status.Conditions, appsv1.DeploymentCondition{Type: "Noted", Status: corev1.ConditionTrue})
			})
		},
		end: func(s *stage) string {
			d, _ := testbed.Get[*appsv1.Deployment](s.Bed, "default", "kubia")
			return noted(d.Status.Conditions, func(c appsv1.DeploymentCondition) string { return string(c.Type) })
		},
	},
	"a condition is put into a ReplicaSet's status": {
		prepare: func(s *stage) {
			testbed.Create(s.Bed, &appsv1.ReplicaSet{ObjectMeta: object("kubia"), Spec: appsv1.ReplicaSetSpec{
				Replicas: ptr.To[int32](2), Selector: &metav1.LabelSelector{MatchLabels: kubiaLabels}, Template: template(),
			}})
			s.start(replicas.NewReplicaSets(client[*appsv1.ReplicaSet](s), replicas.Options{Env: s.Env(), Pods: client[*corev1.Pod](s)}).Run)
		},
		act: func(s *stage) {
			_, _ = try(s, "default", "kubia", func(rs *appsv1.ReplicaSet) { rs.Spec.Replicas = ptr.To[int32](3) })
			tryStatus(s, "default", "kubia", func(rs *appsv1.ReplicaSet) {
				rs.Status.Conditions = append(rs.Status.Conditions, appsv1.ReplicaSetCondition{Type: "Noted", Status: corev1.ConditionTrue})
			})
		},
		end: func(s *stage) string {
			rs, _ := testbed.Get[*appsv1.ReplicaSet](s.Bed, "default", "kubia")
			return noted(rs.Status.Conditions, func(c appsv1.ReplicaSetCondition) string { return string(c.Type) })
		},
	},
	"a Job ends that its CronJob is about to replace": {
		prepare: func(s *stage) {
			c := &batchv1.CronJob{ObjectMeta: object("corn"), Spec: batchv1.CronJobSpec{Schedule: "* * * * *", ConcurrencyPolicy: batchv1.ReplaceConcurrent}}
			c.Spec.JobTemplate.Spec.Template.Spec = testbed.PodSpec()
			c.Spec.JobTemplate.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
			testbed.Create(s.Bed, c)
			s.start(cronjob.New(cronjob.Options{Env: s.Env(), CronJobs: client[*batchv1.CronJob](s), Jobs: client[*batchv1.Job](s), Zone: time.UTC}).Run)
			time.Sleep(2*time.Minute - time.Second)
		},
		act: func(s *stage) {
			time.Sleep(time.Second)
			for _, j := range testbed.List[*batchv1.Job](s.Bed, "default") {
				tryStatus(s, "default", j.Name, finish)
			}
		},
		resource: "jobs.batch",
		wrong: func(_ *stage, e store.Event) string {
			if _, finished := job.Finished(e.Object.(*batchv1.Job)); finished && e.Type == watch.Deleted {
				return "a job is replaced that had ended"
			}
			return ""
		},
	},
	"a silent node speaks": {
		prepare: silent, act: speak,
		resource: "nodes",
		wrong: func(_ *stage, e store.Event) string {
			n, before := e.Object.(*corev1.Node), &corev1.Node{}
			if e.Previous != nil {
				before = e.Previous.(*corev1.Node)
			}
			gained := func(key string) bool { return tainted(n, key) && !tainted(before, key) }
			switch {
			case gained(corev1.TaintNodeUnreachable) && nodeReady(n) == corev1.ConditionTrue:
				return "a node that is ready is tainted as unreachable"
			case gained(corev1.TaintNodeUnschedulable) && !n.Spec.Unschedulable:
				return "a node that is not cordoned is tainted as unschedulable"
			}
			return ""
		},
	},
	"a silent node speaks, and its pods are ready": {
		prepare: silent, act: speak,
		resource: "pods",
		wrong: func(s *stage, e store.Event) string {
			before, _ := e.Previous.(*corev1.Pod)
			b, _ := testbed.Get[*corev1.Node](s.Bed, "", "b")
			if before != nil && podfacts.Ready(before) && !podfacts.Ready(e.Object.(*corev1.Pod)) && nodeReady(b) == corev1.ConditionTrue {
				return "a pod is marked as not ready whose node is"
			}
			return ""
		},
	},
	"a taint comes and goes": {
		prepare: func(s *stage) {
			s.node("n")
			s.bound("p", "n")
			s.start(tainteviction.New(tainteviction.Options{Env: s.Env()}).Run)
		},
		act: func(s *stage) {
			_, _ = try(s, "", "n", func(n *corev1.Node) { n.Spec.Taints = []corev1.Taint{{Key: "a", Effect: corev1.TaintEffectNoExecute}} })
			_, _ = try(s, "", "n", func(n *corev1.Node) { n.Spec.Taints = nil })
		},
		resource: "pods",
		wrong: func(s *stage, e store.Event) string {
			before, _ := e.Previous.(*corev1.Pod)
			n, _ := testbed.Get[*corev1.Node](s.Bed, "", "n")
			if before != nil && disrupted(e.Object) && !disrupted(before) && len(n.Spec.Taints) == 0 {
				return "a pod is evicted though its node has no taint"
			}
			return ""
		},
	},
	"a node comes back whose pods are about to be collected": {
		prepare: func(s *stage) {
			s.bound("p", "n")
			s.start(podgc.New(podgc.Options{Env: s.Env()}).Run)
			time.Sleep(39 * time.Second)
		},
		act: func(s *stage) {
			time.Sleep(time.Second)
			_, _ = client[*corev1.Node](s).Create(s.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}})
		},
		resource: "pods",
		wrong: func(s *stage, e store.Event) string {
			if _, exists := testbed.Get[*corev1.Node](s.Bed, "", "n"); exists && e.Object.(*corev1.Pod).Status.Phase == corev1.PodFailed && e.Type == watch.Modified {
				if before := e.Previous.(*corev1.Pod); before.Status.Phase != corev1.PodFailed {
					return "a pod fails whose node is there"
				}
			}
			return ""
		},
	},
	"an eviction is asked for again when the last is forgotten": {
		prepare: func(s *stage) {
			s.bound("p", "n")
			s.start(disruption.New(disruption.Options{Env: s.Env()}).Run)
			tryStatus(s, "default", "p", disrupt)
			time.Sleep(2*time.Minute - time.Second)
		},
		act: func(s *stage) {
			time.Sleep(time.Second)
			tryStatus(s, "default", "p", disrupt)
		},
		resource: "pods",
		wrong: func(_ *stage, e store.Event) string {
			before, _ := e.Previous.(*corev1.Pod)
			if before == nil || !disrupted(before) || disrupted(e.Object) {
				return ""
			}
			if c := podfacts.Condition(before, corev1.DisruptionTarget); time.Since(c.LastTransitionTime.Time) < 2*time.Minute {
				return "an eviction is forgotten that was asked for now"
			}
			return ""
		},
	},
	"an owner is added to what has none left": {
		prepare: func(s *stage) {
			owner := testbed.Create(s.Bed, &corev1.ConfigMap{ObjectMeta: object("owner")})
			other := testbed.Create(s.Bed, &corev1.ConfigMap{ObjectMeta: object("other")})
			owned := &corev1.ConfigMap{ObjectMeta: object("owned")}
			owned.OwnerReferences = []metav1.OwnerReference{reference(owner)}
			testbed.Create(s.Bed, owned)
			both := &corev1.ConfigMap{ObjectMeta: object("both")}
			both.OwnerReferences = []metav1.OwnerReference{reference(owner), reference(other)}
			testbed.Create(s.Bed, both)
			s.start(garbage.New(garbage.Options{Env: s.Env(), Workers: 2}).Run)
		},
		act: func(s *stage) {
			other, _ := testbed.Get[*corev1.ConfigMap](s.Bed, "default", "other")
			_ = client[*corev1.ConfigMap](s).Delete(s.Context(), "default", "owner", metav1.DeleteOptions{})
			_, _ = try(s, "default", "owned", func(m *corev1.ConfigMap) { m.OwnerReferences = append(m.OwnerReferences, reference(other)) })
			_, _ = try(s, "default", "both", func(m *corev1.ConfigMap) {
				m.OwnerReferences = slices.DeleteFunc(m.OwnerReferences, func(r metav1.OwnerReference) bool { return r.Name == "other" })
			})
		},
		resource: "configmaps",
		wrong: func(_ *stage, e store.Event) string {
			refs := func(o store.Object) (names string) {
				for _, r := range o.GetOwnerReferences() {
					names += r.Name + " "
				}
				return names
			}
			switch {
			case e.Type == watch.Deleted && strings.Contains(refs(e.Object), "other"):
				return "an object is collected that has an owner"
			case e.Type == watch.Modified && refs(e.Previous) == "owner " && refs(e.Object) == "":
				return "the last reference is dropped from an object, which nobody will collect"
			}
			return ""
		},
	},
	"a claim goes that a volume is bound to": {
		prepare: func(s *stage) {
			testbed.Create(s.Bed, &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "mine"}, Spec: corev1.PersistentVolumeSpec{
				Capacity: storage("1Gi"), AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, StorageClassName: "manual",
				PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/data"}},
			}})
			s.startClaims(nil)
		},
		act: func(s *stage) {
			_, _ = client[*corev1.PersistentVolumeClaim](s).Create(s.Context(), newClaim("data", "manual"))
			_ = client[*corev1.PersistentVolumeClaim](s).Delete(s.Context(), "default", "data", metav1.DeleteOptions{})
		},
		resource: "persistentvolumes",
		wrong: func(s *stage, e store.Event) string {
			before, _ := e.Previous.(*corev1.PersistentVolume)
			_, exists := testbed.Get[*corev1.PersistentVolumeClaim](s.Bed, "default", "data")
			if v := e.Object.(*corev1.PersistentVolume); before != nil && before.Spec.ClaimRef == nil && v.Spec.ClaimRef != nil && !exists {
				return "a volume is bound to a claim that is gone"
			}
			return ""
		},
	},
	"a volume's data is to be kept after all": {
		prepare: func(s *stage) {
			testbed.Create(s.Bed, newClaim("data", ""))
			s.startClaims(kept{s})
			synctest.Wait()
		},
		act: func(s *stage) {
			_ = client[*corev1.PersistentVolumeClaim](s).Delete(s.Context(), "default", "data", metav1.DeleteOptions{})
			for _, v := range testbed.List[*corev1.PersistentVolume](s.Bed, "") {
				_, _ = try(s, "", v.Name, func(v *corev1.PersistentVolume) {
					v.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimRetain
				})
			}
		},
	},
	"a pod goes that others were to make room for": {
		prepare: func(s *stage) {
			s.node("n")
			low := testbed.Pod("default", "low", nil)
			low.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("3")}
			testbed.Create(s.Bed, low)
			s.start(scheduling.New(scheduling.Options{
				Env: s.Env(), Pods: client[*corev1.Pod](s), Nodes: client[*corev1.Node](s), Binder: s.Registry.Pods(), Workers: 2,
			}).Run)
		},
		act: func(s *stage) {
			high := testbed.Pod("default", "high", nil)
			high.Spec.PriorityClassName = "system-cluster-critical"
			high.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("3")}
			_, _ = client[*corev1.Pod](s).Create(s.Context(), high)
			_ = client[*corev1.Pod](s).Delete(s.Context(), "default", "high", metav1.DeleteOptions{})
		},
		resource: "pods",
		wrong: func(s *stage, e store.Event) string {
			before, _ := e.Previous.(*corev1.Pod)
			if _, waits := testbed.Get[*corev1.Pod](s.Bed, "default", "high"); before != nil && disrupted(e.Object) && !disrupted(before) && !waits {
				return "a pod is preempted for one that is gone"
			}
			return ""
		},
	},
}

// silent has node b fall silent in a second, with pod p on it, but not node a.
func silent(s *stage) {
	s.node("a")
	s.node("b")
	s.bound("p", "b")
	tryStatus(s, "default", "p", ready)
	s.start(nodelife.New(nodelife.Options{Env: s.Env(), GracePeriod: 40 * time.Second}).Run)
	time.Sleep(39 * time.Second)
	s.report("a")
}

func speak(s *stage) {
	time.Sleep(time.Second)
	s.report("b")
	tryStatus(s, "default", "p", ready)
	_, _ = try(s, "", "a", func(n *corev1.Node) { n.Spec.Unschedulable = true })
	_, _ = try(s, "", "a", func(n *corev1.Node) { n.Spec.Unschedulable = false })
}

// kept is an engine that must not lose the data of a volume that is to be retained.
type kept struct{ *stage }

func (k kept) RemoveVolume(context.Context, string) error {
	for _, v := range testbed.List[*corev1.PersistentVolume](k.Bed, "") {
		if v.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRetain {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.wrong = append(k.wrong, "data is erased that is to be kept")
		}
	}
	return nil
}

func (s *stage) startClaims(engine claims.Engine) {
	s.start(claims.New(claims.Options{
		Env: s.Env(), Claims: client[*corev1.PersistentVolumeClaim](s), Volumes: client[*corev1.PersistentVolume](s),
		Classes: client[*storagev1.StorageClass](s), Pods: client[*corev1.Pod](s), Engine: engine, Workers: 2,
	}).Run)
}

func newClaim(name, class string) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{ObjectMeta: object(name), Spec: corev1.PersistentVolumeClaimSpec{
		AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		Resources:   corev1.VolumeResourceRequirements{Requests: storage("1Gi")},
	}}
	if class != "" {
		c.Spec.StorageClassName = &class
	}
	return c
}

func storage(size string) corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}
}

func (s *stage) node(name string) {
	testbed.Create(s.Bed, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}})
	s.report(name)
}

// report is what a node says of itself.
func (s *stage) report(name string) {
	tryStatus(s, "", name, func(n *corev1.Node) {
		n.Status.Conditions = []corev1.NodeCondition{{
			Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now(),
		}}
		n.Status.Allocatable = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("4"), corev1.ResourcePods: resource.MustParse("110")}
	})
}

func nodeReady(n *corev1.Node) corev1.ConditionStatus {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status
		}
	}
	return ""
}

func tainted(n *corev1.Node, key string) bool {
	return slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == key })
}

// bound makes a pod on a node.
func (s *stage) bound(name, node string) {
	p := testbed.Pod("default", name, nil)
	p.Spec.NodeName = node
	testbed.Create(s.Bed, p)
}

func ready(p *corev1.Pod) {
	p.Status.Phase = corev1.PodRunning
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()}}
}

func disrupt(p *corev1.Pod) {
	p.Status.Conditions = []corev1.PodCondition{{
		Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "EvictionByEvictionAPI", LastTransitionTime: metav1.Now(),
	}}
}

func disrupted(o store.Object) bool {
	return podfacts.ConditionTrue(o.(*corev1.Pod), corev1.DisruptionTarget)
}

func finish(j *batchv1.Job) {
	now := metav1.NewTime(time.Now().Truncate(time.Second))
	j.Status.StartTime, j.Status.CompletionTime = &now, &now
	for _, t := range []batchv1.JobConditionType{batchv1.JobSuccessCriteriaMet, batchv1.JobComplete} {
		j.Status.Conditions = append(j.Status.Conditions, batchv1.JobCondition{Type: t, Status: corev1.ConditionTrue, LastTransitionTime: now})
	}
}

func reference(o *corev1.ConfigMap) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: o.Name, UID: o.UID}
}

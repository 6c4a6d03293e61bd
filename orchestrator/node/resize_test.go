package node

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"skiff/docker"
	"skiff/store"
)

const (
	smallPod = "{containers: [{name: kubia, image: kubia, resources: {requests: {cpu: 100m, memory: 64Mi}, limits: {memory: 128Mi}}}]}"
	large    = "{requests: {cpu: 200m, memory: 128Mi}, limits: {memory: 256Mi}}"
)

// resize changes what the first container of a pod asks for, as the subresource does.
func (w *world) resize(name, resources string) {
	w.Helper()
	p := w.get(name).DeepCopy()
	var wants corev1.ResourceRequirements
	if err := yaml.UnmarshalStrict([]byte(resources), &wants); err != nil {
		w.Fatal(err)
	}
	p.Spec.Containers[0].Resources = wants
	p.Generation++
	revision := revisionOf(w, p)
	if _, err := w.store.Commit(w.Context(), store.Change{Key: store.Key{Resource: "pods", Namespace: "default", Name: name}, Expect: revision, Object: p}); err != nil {
		w.Fatal(err)
	}
	w.settle()
}

func revisionOf(w *world, p *corev1.Pod) uint64 {
	w.Helper()
	var revision uint64
	if _, err := fmt.Sscan(p.ResourceVersion, &revision); err != nil {
		w.Fatal(err)
	}
	return revision
}

// wantResources fails unless a pod's only container shows these resources: what is allocated, what it
// has, and the conditions of a resize.
func (w *world) wantResources(name, want string) {
	w.Helper()
	p := w.get(name)
	s := p.Status.ContainerStatuses[0]
	text := []string{fmt.Sprintf("allocated %s %s, has %s %s of %s", s.AllocatedResources.Cpu(), s.AllocatedResources.Memory(),
		s.Resources.Requests.Cpu(), s.Resources.Requests.Memory(), s.Resources.Limits.Memory())}
	for _, c := range p.Status.Conditions {
		if strings.HasPrefix(string(c.Type), "PodResize") {
			text = append(text, strings.TrimSpace(fmt.Sprintf("%s %s of %d: %s", c.Type, c.Reason, c.ObservedGeneration, c.Message)))
		}
	}
	if got := strings.Join(text, "; "); got != want {
		w.Errorf("resources of %s\n got %s\nwant %s", name, got, want)
	}
}

// wantMemory fails unless the engine limits the container so.
func (w *world) wantMemory(name string, limit int64) {
	w.Helper()
	spec, err := w.engine.Spec(w.id(name, "kubia"))
	if err != nil || spec.Resources.Memory != limit {
		w.Errorf("the engine limits %s to %d bytes, %v, want %d", name, spec.Resources.Memory, err, limit)
	}
}

func TestAgentResizesAContainer(t *testing.T) {
	inWorld(t, func(w *world) {
		w.pod("kubia", smallPod)
		w.wantResources("kubia", "allocated 100m 64Mi, has 100m 64Mi of 128Mi")
		before := w.engine.Calls()
		w.resize("kubia", large)
		w.wantResources("kubia", "allocated 200m 128Mi, has 200m 128Mi of 256Mi")
		w.wantMemory("kubia", 256<<20)
		w.want("kubia", "Running | kubia running ready")
		if s := w.get("kubia").Status; s.ObservedGeneration != 2 {
			w.Errorf("observed generation %d", s.ObservedGeneration)
		}
		// A new daemon finds nothing to do.
		w.restart(func() {})
		w.pass(time.Hour)
		if got := w.callsSince(before); !strings.Contains(got, "update 1") || strings.Contains(got, "usage") {
			w.Errorf("calls: %s", got)
		}
		const large = `{"containers":[{"name":"kubia","resources":{"limits":{"memory":"256Mi"},"requests":{"cpu":"200m","memory":"128Mi"}}}],"generation":2}`
		w.wantEvents("kubia", `Normal Pulled Container image "kubia" already present on machine and can be accessed by the pod
			Normal Created Container created
			Normal Started Container started
			Normal ResizeStarted Pod resize started: `+large+`
			Normal ResizeCompleted Pod resize completed: `+large)
		// A restart has what was asked for last.
		w.exit("kubia", "kubia", 1)
		w.wantResources("kubia", "allocated 200m 128Mi, has 200m 128Mi of 256Mi")
		w.wantMemory("kubia", 256<<20)
	})
}

func TestAgentResizeByRestart(t *testing.T) {
	const spec = "{containers: [{name: kubia, image: kubia, resources: {requests: {memory: 64Mi}}, resizePolicy: [{resourceName: memory, restartPolicy: RestartContainer}]}]}"
	inWorld(t, func(w *world) {
		w.pod("kubia", spec)
		before := w.engine.Calls()
		w.resize("kubia", "{requests: {memory: 128Mi}}")
		w.want("kubia", "Running | kubia running ready restarts=1 last=Completed(0)")
		w.wantResources("kubia", "allocated 0 128Mi, has 0 128Mi of 0")
		if got := w.callsSince(before); strings.Contains(got, "update") {
			w.Errorf("calls: %s", got)
		}
		if got := w.events("kubia"); !strings.Contains(got, "Normal Killing Container kubia resize requires restart") || !strings.Contains(got, "ResizeCompleted") {
			w.Errorf("events\n%s", got)
		}
	})
}

// A resize for which there is no room waits for it, whatever daemon runs.
func TestAgentDefersAResize(t *testing.T) {
	small := func(o *Options) {
		o.Capacity = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2"), corev1.ResourceMemory: resource.MustParse("200Mi")}
	}
	const deferred = "allocated 100m 64Mi, has 100m 64Mi of 128Mi; PodResizePending Deferred of 2: Node didn't have enough resource: memory, requested: 134217728, used: 104857600, capacity: 209715200"
	inWorld(t, func(w *world) {
		w.pod("kubia", smallPod)
		w.pod("other", "{containers: [{name: c, image: kubia, resources: {requests: {memory: 100Mi}}}]}")
		before := w.engine.Calls()
		w.resize("kubia", large)
		w.wantResources("kubia", deferred)
		w.restart(func() {})
		w.wantResources("kubia", deferred)
		// A restart of the container has no more than before.
		w.exit("kubia", "kubia", 1)
		w.wantMemory("kubia", 128<<20)
		w.wantResources("kubia", deferred)
		if got := w.callsSince(before); strings.Contains(got, "update") {
			w.Errorf("calls: %s", got)
		}
		w.delete("other", ptr.To[int64](0))
		w.wantResources("kubia", "allocated 200m 128Mi, has 200m 128Mi of 256Mi")
		w.wantMemory("kubia", 256<<20)
		if got := w.events("kubia"); strings.Count(got, "Warning ResizeDeferred Pod resize Deferred: ") != 1 || strings.Contains(got, "ResizeDeferred x") {
			w.Errorf("events\n%s", got)
		}
	}, small)
}

// What a pod waits for does not count before it has it: another may have that.
func TestAgentCountsWhatIsAllocated(t *testing.T) {
	inWorld(t, func(w *world) {
		w.pod("kubia", smallPod)
		w.resize("kubia", "{requests: {cpu: 100m, memory: 1Gi}}")
		w.wantResources("kubia", "allocated 100m 64Mi, has 100m 64Mi of 128Mi; PodResizePending Infeasible of 2: Node didn't have enough capacity: memory, requested: 1073741824, capacity: 209715200")
		w.pod("other", "{containers: [{name: c, image: kubia, resources: {requests: {memory: 100Mi}}}]}")
		w.want("other", "Running | c running ready")
		w.resize("kubia", "{requests: {cpu: 100m, memory: 64Mi}, limits: {memory: 4Mi}}")
		w.wantResources("kubia", "allocated 100m 64Mi, has 100m 64Mi of 128Mi; PodResizePending Infeasible of 3: set memory limit 4194304 too low; should be at least 6291456 bytes")
		w.resize("kubia", "{requests: {cpu: 100m, memory: 64Mi}, limits: {memory: 128Mi}}")
		w.wantResources("kubia", "allocated 100m 64Mi, has 100m 64Mi of 128Mi")
	}, func(o *Options) {
		o.Capacity = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2"), corev1.ResourceMemory: resource.MustParse("200Mi")}
	})
}

func TestAgentResizeFails(t *testing.T) {
	inWorld(t, func(w *world) {
		w.pod("kubia", smallPod)
		w.engine.Fail("update", errors.New("the engine does not like it"))
		w.resize("kubia", large)
		w.wantResources("kubia", "allocated 200m 128Mi, has 100m 64Mi of 128Mi; PodResizeInProgress Error of 2: update: the engine does not like it")
		w.pass(time.Minute)
		if got := w.events("kubia"); strings.Count(got, "Warning ResizeError Pod resize error: ") != 1 {
			w.Errorf("events\n%s", got)
		}
		// A new daemon goes on with it.
		w.restart(func() { w.engine.Fail("update", nil) })
		w.pass(time.Minute)
		w.wantResources("kubia", "allocated 200m 128Mi, has 200m 128Mi of 256Mi")
		w.wantMemory("kubia", 256<<20)
	})
}

// A limit below what a container uses would have it killed.
func TestAgentResizeBelowUsage(t *testing.T) {
	inWorld(t, func(w *world) {
		w.pod("kubia", smallPod)
		if err := w.engine.Use(w.id("kubia", "kubia"), 100<<20); err != nil {
			w.Fatal(err)
		}
		w.resize("kubia", "{requests: {cpu: 100m, memory: 64Mi}, limits: {memory: 64Mi}}")
		w.wantResources("kubia", `allocated 100m 64Mi, has 100m 64Mi of 128Mi; PodResizeInProgress Error of 2: cannot decrease memory limits: attempting to set container "kubia" memory limit (67108864) below current usage (104857600)`)
		w.wantMemory("kubia", 128<<20)
		if err := w.engine.Use(w.id("kubia", "kubia"), 10<<20); err != nil {
			w.Fatal(err)
		}
		w.pass(10 * time.Second)
		w.wantResources("kubia", "allocated 100m 64Mi, has 100m 64Mi of 64Mi")
		w.wantMemory("kubia", 64<<20)
	})
}

// An engine that is gone delays a resize, and is no error of it.
func TestAgentResizeDuringAnOutage(t *testing.T) {
	inWorld(t, func(w *world) {
		w.pod("kubia", smallPod)
		w.engine.Outage(docker.ErrUnavailable)
		w.resize("kubia", large)
		w.pass(time.Minute)
		w.engine.Recover()
		w.pass(time.Minute)
		w.wantResources("kubia", "allocated 200m 128Mi, has 200m 128Mi of 256Mi")
	})
}

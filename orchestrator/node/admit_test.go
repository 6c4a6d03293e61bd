package node

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"
)

func TestAgentRefusesAPodWhosePortIsTaken(t *testing.T) {
	const withPort = "containers: [{name: kubia, image: kubia, ports: [{containerPort: 8080, hostPort: 8080}]}]"
	inWorld(t, func(w *world) {
		w.pod("first", withPort)
		w.want("first", "Running | kubia running ready")
		w.pod("second", withPort)
		w.want("second", "Failed | NodePorts")
		w.wantEvents("second", "Warning NodePorts "+portsTaken.Message)
		w.wantContainers("first running")
		w.pod("other", strings.Replace(withPort, "hostPort: 8080", "hostPort: 8081", 1))
		w.want("other", "Running | kubia running ready")
		w.delete("first", ptr.To[int64](0))
		w.pass(time.Minute)
		w.want("second", "Failed | NodePorts")
		w.pod("third", withPort)
		w.want("third", "Running | kubia running ready")
		w.restart(func() {})
		w.want("third", "Running | kubia running ready")
	})
}

// A pod that was bound without the scheduler and does not fit is rejected in kubelet's words.
func TestAgentRefusesAPodThatDoesNotFit(t *testing.T) {
	asking := func(requests string) string {
		return "{containers: [{name: c, image: kubia, resources: {requests: {" + requests + "}}}]}"
	}
	const lacks = "Pod was rejected: Node didn't have enough resource: "
	small := func(o *Options) {
		o.Capacity = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2"), corev1.ResourceMemory: resource.MustParse("1Gi")}
		o.MaxPods = 3
	}
	inWorld(t, func(w *world) {
		refuses := func(name, spec, reason, message string) {
			w.Helper()
			w.pod(name, spec)
			w.want(name, "Failed | "+reason)
			if got := w.get(name).Status.Message; got != message {
				w.Errorf("%s: message %q, want %q", name, got, message)
			}
			w.wantEvents(name, "Warning "+reason+" "+message)
		}
		w.pod("first", asking("cpu: 1500m, memory: 512Mi"))
		w.want("first", "Running | c running ready")
		refuses("busy", asking("cpu: 600m"), "OutOfcpu", lacks+"cpu, requested: 600, used: 1500, capacity: 2000")
		refuses("large", asking("memory: 600Mi"), "OutOfmemory", lacks+"memory, requested: 629145600, used: 536870912, capacity: 1073741824")
		refuses("elsewhere", "{nodeSelector: {disk: ssd}, containers: [{name: c, image: kubia}]}", "NodeAffinity", notItsNode.Message)
		w.pod("second", "containers: [{name: c, image: kubia, resources: {requests: {cpu: 500m}, limits: {example.com/gpu: 1}}}]")
		w.want("second", "Running | c running ready")
		w.pod("third", asking(""))
		refuses("fourth", asking(""), "OutOfpods", lacks+"pods, requested: 1, used: 3, capacity: 3")

		// What has been taken stays, and what has ended leaves room.
		w.restart(func() {})
		w.want("second", "Running | c running ready")
		w.delete("first", ptr.To[int64](0))
		w.pass(time.Minute)
		w.pod("fifth", asking("cpu: 1500m"))
		w.want("fifth", "Running | c running ready")
	}, small)
}

// Of pods that arrive together, as many are admitted as fit.
func TestAgentTakesAsManyPodsAsFit(t *testing.T) {
	inWorld(t, func(w *world) {
		for i := range 8 {
			w.createPod(fmt.Sprintf("kubia-%d", i), onePod)
		}
		w.settle()
		running := 0
		for i := range 8 {
			if strings.HasPrefix(w.status(fmt.Sprintf("kubia-%d", i)), "Running") {
				running++
			}
		}
		if running != 5 {
			w.Errorf("%d pods run on a node for 5", running)
		}
	}, func(o *Options) { o.MaxPods = 5 })
}

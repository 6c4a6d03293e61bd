package pod

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/orchestrator/node/internal/podtest"
)

// sized is a pod whose container asks for resources, and says how it is resized.
func sized(resources, policy string) string {
	return fmt.Sprintf("{containers: [{name: kubia, image: kubia, resources: %s, resizePolicy: %s}]}", resources, policy)
}

const (
	small     = "{requests: {cpu: 100m, memory: 64Mi}, limits: {memory: 128Mi}}"
	moreCPU   = "{requests: {cpu: 200m, memory: 64Mi}, limits: {memory: 128Mi}}"
	large     = "{requests: {cpu: 200m, memory: 128Mi}, limits: {memory: 256Mi}}"
	inPlace   = "[{resourceName: cpu, restartPolicy: NotRequired}, {resourceName: memory, restartPolicy: NotRequired}]"
	byRestart = "[{resourceName: cpu, restartPolicy: NotRequired}, {resourceName: memory, restartPolicy: RestartContainer}]"
)

func TestPlanResize(t *testing.T) {
	given := map[string]string{"kubia": small}
	testPlans(t, []planCase{
		{"nothing to do", scene{pod: sized(small, inPlace), runs: "kubia 0 running", given: given}, ``},
		{"what it was given is not known", scene{pod: sized(large, inPlace), runs: "kubia 0 running"}, ``},
		{"the same in other words", scene{pod: sized("{requests: {cpu: 0.1, memory: 65536Ki}, limits: {memory: 128Mi}}", inPlace), runs: "kubia 0 running", given: given}, ``},
		{"accepted", scene{pod: sized(large, inPlace), runs: "kubia 0 running", given: given},
			`resize container kubia attempt 0: cpu and memory changed`},
		{"not accepted", scene{pod: sized(large, inPlace), allocated: sized(small, inPlace), runs: "kubia 0 running", given: given}, ``},
		{"being carried out", scene{pod: sized(large, inPlace), runs: "kubia 0 running", given: given, works: "resize:kubia resizing"}, ``},
		{"failed a moment ago", scene{pod: sized(large, inPlace), runs: "kubia 0 running", given: given,
			resize: Resize{Started: 2, Failed: "no", FailedUntil: podtest.Now.Add(4 * time.Second)}}, `wait 4s: the resize failed: no`},
		{"failed a while ago", scene{pod: sized(large, inPlace), runs: "kubia 0 running", given: given,
			resize: Resize{Started: 2, Failed: "no", FailedUntil: podtest.Now}}, `resize container kubia attempt 0: cpu and memory changed`},
		{"requires a restart", scene{pod: sized(large, byRestart), runs: "kubia 0 running", given: given},
			`kill container kubia grace 30s: its resize requires a restart`},
		{"requires no restart for cpu", scene{pod: sized(moreCPU, byRestart), runs: "kubia 0 running", given: given},
			`resize container kubia attempt 0: cpu changed`},
		{"restarted without a fault", scene{pod: "{restartPolicy: OnFailure, " + sized(large, byRestart)[1:], runs: "kubia 0 exited 0 forresize", given: given},
			`start container kubia attempt 1: its resize requires a restart`},
		{"deferred", scene{pod: sized(large, inPlace), allocated: sized(small, inPlace), runs: "kubia 0 running", given: given,
			resize: Resize{Pending: &PendingResize{Reason: "Deferred", Message: "no room"}}}, `wait 3m0s: the resize is deferred: no room`},
		{"infeasible", scene{pod: sized(large, inPlace), allocated: sized(small, inPlace), runs: "kubia 0 running", given: given,
			resize: Resize{Pending: &PendingResize{Reason: "Infeasible", Message: "no room"}}}, ``},
		{"a failed probe is more urgent", scene{pod: sized(large, inPlace), runs: "kubia 0 exited 1", given: given}, `start container kubia attempt 1: exited 1`},
		{"a limit that was too low is not any more", scene{pod: sized("{limits: {memory: 8Mi}}", inPlace), images: here,
			failures: map[string]StartFailure{"kubia": {Reason: "CreateContainerError", Image: "kubia", Message: "set memory limit 4194304 too low; should be at least 6291456 bytes"}}},
			`start container kubia attempt 0: new pod`},
		{"a limit that was too low is allocated still", scene{pod: sized("{limits: {memory: 8Mi}}", inPlace), allocated: sized("{limits: {memory: 4Mi}}", inPlace), images: here,
			failures: map[string]StartFailure{"kubia": {Reason: "CreateContainerError", Image: "kubia", Message: "set memory limit 4194304 too low; should be at least 6291456 bytes"}}}, ``},
		{"the pod's limits", scene{pod: "{resources: {limits: {memory: 256Mi}}, containers: [{name: kubia, image: kubia, resources: {requests: {cpu: 100m, memory: 64Mi}}}]}",
			runs: "kubia 0 running", given: given}, `resize container kubia attempt 0: memory changed`},
	})
}

func TestStatusResize(t *testing.T) {
	given := map[string]string{"kubia": small}
	for _, c := range []struct {
		name string
		scene
		want string
	}{
		{"not accepted", scene{pod: sized(large, inPlace), allocated: sized(small, inPlace), runs: "kubia 0 running", given: given,
			resize: Resize{Pending: &PendingResize{"Deferred", "no room", 2}}},
			"allocated 100m 64Mi, has 100m 64Mi of 128Mi; PodResizePending True Deferred 2 no room"},
		{"accepted", scene{pod: sized(large, inPlace), runs: "kubia 0 running", given: given, resize: Resize{Started: 2}},
			"allocated 200m 128Mi, has 100m 64Mi of 128Mi; PodResizeInProgress True  2 "},
		{"accepted, and changed again", scene{pod: sized(large, inPlace), allocated: sized(moreCPU, inPlace), runs: "kubia 0 running", given: given,
			resize: Resize{Started: 2, Pending: &PendingResize{"Infeasible", "no room", 3}}},
			"allocated 200m 64Mi, has 100m 64Mi of 128Mi; PodResizePending True Infeasible 3 no room; PodResizeInProgress True  2 "},
		{"failed", scene{pod: sized(large, inPlace), runs: "kubia 0 running", given: given, resize: Resize{Started: 2, Failed: "no"}},
			"allocated 200m 128Mi, has 100m 64Mi of 128Mi; PodResizeInProgress True Error 2 no"},
		{"done", scene{pod: sized(large, inPlace), runs: "kubia 0 running", given: map[string]string{"kubia": large}},
			"allocated 200m 128Mi, has 200m 128Mi of 256Mi"},
		{"does not run", scene{pod: sized(large, inPlace), runs: "kubia 0 exited 1", given: given}, "allocated 200m 128Mi, has 200m 128Mi of 256Mi"},
		{"over", scene{pod: sized(large, inPlace), status: "{phase: Failed}", runs: "kubia 0 exited 1", given: given, resize: Resize{Started: 2}},
			"allocated 200m 128Mi, has 200m 128Mi of 256Mi"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := MakeStatus(c.view(t))
			one := s.ContainerStatuses[0]
			text := []string{fmt.Sprintf("allocated %s %s, has %s %s of %s", one.AllocatedResources.Cpu(), one.AllocatedResources.Memory(),
				one.Resources.Requests.Cpu(), one.Resources.Requests.Memory(), one.Resources.Limits.Memory())}
			for _, condition := range s.Conditions {
				if strings.HasPrefix(string(condition.Type), "PodResize") {
					text = append(text, fmt.Sprintf("%s %s %s %d %s", condition.Type, condition.Status, condition.Reason, condition.ObservedGeneration, condition.Message))
				}
			}
			if got := strings.Join(text, "; "); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// A condition keeps its time as long as its reason is the same, and a new daemon takes over from it.
func TestResizeConditionsAreTakenOver(t *testing.T) {
	v := scene{pod: sized(large, inPlace), allocated: sized(small, inPlace), runs: "kubia 0 running",
		resize: Resize{Started: 2, Pending: &PendingResize{"Deferred", "no room", 3}}}.view(t)
	p := v.Pod.DeepCopy()
	p.Status = MakeStatus(v)
	v.Pod, v.Now = p, v.Now.Add(time.Hour)
	v.Resize.Pending = &PendingResize{"Deferred", "no room at all", 3}
	for i, c := range MakeStatus(v).Conditions {
		if was := p.Status.Conditions[i]; c.Type != was.Type || !c.LastTransitionTime.Equal(&was.LastTransitionTime) {
			t.Errorf("%s at %s, was %s at %s", c.Type, c.LastTransitionTime, was.Type, was.LastTransitionTime)
		}
	}
	v.Resize.Pending = &PendingResize{"Infeasible", "no", 3}
	for _, c := range MakeStatus(v).Conditions {
		if changed := c.LastTransitionTime.Time.Equal(v.Now); changed != (c.Type == corev1.PodResizePending) {
			t.Errorf("%s changed: %v", c.Type, changed)
		}
	}
	if r := RecallResize(p); r.Started != 2 || *r.Pending != (PendingResize{"Deferred", "no room", 3}) {
		t.Errorf("recalled %+v", r)
	}
	l := RecallAllocation(p)
	if l.Matches(p) || !l.Matches(podtest.Bare(t, sized(small, inPlace))) {
		t.Errorf("recalled %+v", l.Apply(p).Spec.Containers[0].Resources)
	}
}

func TestAllocation(t *testing.T) {
	p := podtest.Bare(t, sized("{requests: {cpu: 200m, example.com/gpu: 1}, limits: {example.com/gpu: 1}}", inPlace))
	if got := Allocate(p).Apply(p); got != p {
		t.Error("a pod's own allocation changes it")
	}
	if got := (*Allocation)(nil).Apply(p); got != p {
		t.Error("no allocation changes it")
	}
	before := p.DeepCopy()
	got := Allocate(podtest.Bare(t, sized(small, inPlace))).Apply(p)
	r := got.Spec.Containers[0].Resources
	if text := fmt.Sprint(r.Requests.Cpu(), r.Requests.Memory(), r.Limits.Memory(), len(r.Requests), len(r.Limits)); text != "100m 64Mi 128Mi 3 2" {
		t.Errorf("applied %s", text)
	}
	if p.Spec.Containers[0].Resources.Requests.Cpu().Cmp(*before.Spec.Containers[0].Resources.Requests.Cpu()) != 0 || len(p.Spec.Containers[0].Resources.Limits) != 1 {
		t.Error("the pod itself has been changed")
	}
	if got := RecallAllocation(p); !got.Matches(p) {
		t.Error("a pod without a status has another allocation")
	}
}

func TestResizeSummary(t *testing.T) {
	p := podtest.Bare(t, "{initContainers: [{name: side, image: i}], containers: [{name: kubia, image: i, resources: "+small+"}]}")
	const want = `{"initContainers":[{"name":"side","resources":{}}],"containers":[{"name":"kubia","resources":{"limits":{"memory":"128Mi"},"requests":{"cpu":"100m","memory":"64Mi"}}}],"generation":3,"error":"no"}`
	if got := ResizeSummary(p, 3, "no"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

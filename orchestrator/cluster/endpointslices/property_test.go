package endpointslices

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"pgregory.net/rapid"

	"skiff/manifests/podfacts"
	"skiff/orchestrator/cluster/backends"
)

// TestAnySequenceOfChanges holds that after any changes of a Service and its pods the slices say
// exactly where it leads, that none holds too many, that endpoints do not move without need, and that
// there is nothing to do then.
func TestAnySequenceOfChanges(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w := world{snapshot: snapshot{service: service("web=8080"), zones: map[string]string{"node": "", "far": "z"}}, pods: map[string]*corev1.Pod{}}
		for range rapid.IntRange(1, 12).Draw(r, "changes") {
			w.change(r)
			before := w.places()
			steps := makePlan(w.snapshot)
			play(&w.snapshot, steps)
			if fault := w.judge(before); fault != "" {
				r.Fatalf("%s, after\n%s", fault, backends.Text(steps))
			}
			if again := makePlan(w.snapshot); len(again) > 0 {
				r.Fatalf("then there is to do\n%s\nafter\n%s", backends.Text(again), backends.Text(steps))
			}
		}
	})
}

// world is a Service with its pods, by their names.
type world struct {
	snapshot
	pods map[string]*corev1.Pod
	made int
}

func (w *world) change(r *rapid.T) {
	n := rapid.IntRange(0, 130).Draw(r, "n")
	some := func() []string {
		names := slices.Sorted(maps.Keys(w.pods))
		return names[:min(n, len(names))]
	}
	switch rapid.SampledFrom([]string{
		"come", "come", "go", "states", "states", "move", "relabel", "publish", "retarget", "prefer", "lose a slice",
	}).Draw(r, "what") {
	case "come":
		for range n {
			w.made++
			name := fmt.Sprintf("p%04d", w.made)
			port := rapid.SampledFrom([]string{"port=http:3000", "port=http:3001", ""}).Draw(r, "port")
			node := rapid.SampledFrom([]string{"node", "far", "lost"}).Draw(r, "node")
			w.pods[name] = pod(fmt.Sprintf("%s ip=10.%d.0.%d on=%s %s", name, w.made/200, w.made%200+1, node, port))
		}
	case "go":
		for _, name := range some() {
			delete(w.pods, name)
		}
	case "states":
		for _, name := range some() {
			p := w.pods[name].DeepCopy()
			switch verb := rapid.SampledFrom([]string{"True", "False", "deleted", "ended"}).Draw(r, "state"); verb {
			case "deleted":
				p.DeletionTimestamp = &p.CreationTimestamp
			case "ended":
				p.Status.Phase = corev1.PodSucceeded
			default:
				p.Status.Conditions[0].Status = corev1.ConditionStatus(verb)
			}
			w.pods[name] = p
		}
	case "move":
		w.service.Spec.Ports[0].TargetPort.IntVal++
	case "relabel":
		w.service.Labels = map[string]string{"n": fmt.Sprint(n)}
	case "publish":
		w.service.Spec.PublishNotReadyAddresses = !w.service.Spec.PublishNotReadyAddresses
	case "retarget":
		w.service.Spec.Ports = service(rapid.SampledFrom([]string{"web=http", "web=8080"}).Draw(r, "target")).Spec.Ports
	case "prefer":
		w.service.Spec.TrafficDistribution = rapid.SampledFrom([]*string{nil, new(corev1.ServiceTrafficDistributionPreferSameNode)}).Draw(r, "near")
	case "lose a slice":
		if len(w.slices) > 0 {
			w.slices = slices.Delete(slices.Clone(w.slices), n%len(w.slices), n%len(w.slices)+1)
		}
	}
	w.snapshot.pods = nil
	for _, name := range slices.Sorted(maps.Keys(w.pods)) {
		w.snapshot.pods = append(w.snapshot.pods, w.pods[name])
	}
}

// places are the slices in which endpoints are, by their pods and ports.
func (w *world) places() map[string]string {
	places := map[string]string{}
	for _, s := range w.slices {
		for _, e := range s.Endpoints {
			places[e.TargetRef.Name+" "+backends.PortsKey(s.Ports)] = s.Name
		}
	}
	return places
}

// judge says what is wrong with the slices.
func (w *world) judge(before map[string]string) string {
	var got []string
	for _, s := range w.slices {
		if len(s.Endpoints) > capacity {
			return fmt.Sprintf("%s holds %d endpoints", s.Name, len(s.Endpoints))
		}
		if len(s.Endpoints) == 0 && len(w.slices) > 1 {
			return s.Name + " is empty and not the only one"
		}
		if s.Labels["n"] != w.service.Labels["n"] {
			return s.Name + " has other labels"
		}
		for _, e := range s.Endpoints {
			got = append(got, tell(s, &e))
		}
	}
	slices.Sort(got)
	if want := w.wanted(); !slices.Equal(got, want) {
		return fmt.Sprintf("endpoints\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for endpoint, place := range w.places() {
		if was, known := before[endpoint]; known && was != place {
			return fmt.Sprintf("%s has moved from %s to %s", endpoint, was, place)
		}
	}
	return ""
}

func tell(s *discoveryv1.EndpointSlice, e *discoveryv1.Endpoint) string {
	return fmt.Sprint(backends.PortsKey(s.Ports), e.Addresses[0], *e.NodeName, *e.Conditions.Ready, *e.Conditions.Serving, *e.Conditions.Terminating, e.TargetRef.Name, e.Hints != nil)
}

// wanted is what the slices should say, in the words of tell.
func (w *world) wanted() []string {
	var all []string
	port := &w.service.Spec.Ports[0]
	publish := w.service.Spec.PublishNotReadyAddresses
	for _, p := range w.pods {
		if p.Status.Phase == corev1.PodSucceeded || p.Spec.NodeName == "lost" && !publish {
			continue
		}
		ports := fmt.Sprintf("web:%d/TCP", port.TargetPort.IntVal)
		if port.TargetPort.StrVal == "http" {
			ports = "without ports"
			if len(p.Spec.Containers) > 1 {
				ports = fmt.Sprintf("web:%d/TCP", p.Spec.Containers[1].Ports[0].ContainerPort)
			}
		}
		serving, terminating := podfacts.Ready(p), p.DeletionTimestamp != nil
		ready := publish || serving && !terminating
		all = append(all, fmt.Sprint(ports, p.Status.PodIPs[0].IP, p.Spec.NodeName, ready, serving, terminating, p.Name,
			ready && w.service.Spec.TrafficDistribution != nil))
	}
	slices.Sort(all)
	return all
}

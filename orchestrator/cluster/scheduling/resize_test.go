package scheduling

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// TestResizedPods holds that a pod takes up what it asks for, was allocated and has, whichever is the
// most, and that a node on which one has shrunk is told of.
func TestResizedPods(t *testing.T) {
	c := newCache()
	c.setNode(makeNode("n"))
	p := makePod("p on=n cpu=2")
	p.Generation = 1
	c.put(newPod(p), "n", false)
	for _, step := range []struct{ name, asks, allocated, has, want string }{
		{"it asks for more", "3", "2", "2", "3 true"},
		{"and gets it", "3", "3", "3", "3 false"},
		{"it asks for less", "1", "3", "3", "3 true"},
		{"that is allocated", "1", "1", "3", "3 false"},
		{"and in force", "1", "1", "1", "1 false n"},
		{"nothing has happened", "1", "1", "1", "1 false"},
	} {
		amount := func(cpu string) corev1.ResourceList {
			return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}
		}
		next := p.DeepCopy()
		before := p.Spec.Containers[0].Resources.Requests.Cpu()
		if asks := resource.MustParse(step.asks); asks.Cmp(*before) != 0 {
			next.Generation++
		}
		next.Spec.Containers[0].Resources.Requests = amount(step.asks)
		next.Status.ContainerStatuses = []corev1.ContainerStatus{{
			Name: "c", AllocatedResources: amount(step.allocated), Resources: &corev1.ResourceRequirements{Requests: amount(step.has)},
		}}
		_, changed, roomier := c.seen(next)
		got := fmt.Sprintf("%d %v", c.placed[p.UID].pod.requests.milliCPU/1000, changed)
		if roomier != nil {
			got += " " + roomier.Name
		}
		if got != step.want {
			t.Errorf("%s: %s, want %s", step.name, got, step.want)
		}
		p = next
	}
}

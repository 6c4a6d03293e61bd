package node

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"skiff/docker"
	"skiff/orchestrator/node/memory"
	"skiff/orchestrator/node/pod"
)

// TestAgentConverges lets everything happen that can happen, in random order, and then checks that
// each pod has exactly the containers it asks for, that nothing is left of pods that are gone, and
// that no address was allocated twice.
func TestAgentConverges(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inWorld(t, func(w *world) {
				c := &chaos{world: w, rand: rand.New(rand.NewPCG(seed, 1)), pods: map[string]int{}}
				w.engine.Behave("stubborn", memory.Behaviour{IgnoresTerm: true})
				for range 150 {
					c.act()
				}
				w.engine.Recover()
				w.engine.Fail("start", nil)
				w.engine.Fail("create", nil)
				w.pass(20 * time.Minute)
				c.check()
			})
		})
	}
}

// chaos is a world and what the test expects to find in it: pods by their kind.
type chaos struct {
	*world
	rand *rand.Rand
	pods map[string]int
	made int
}

func (c *chaos) act() {
	switch n := c.rand.IntN(100); {
	case n < 20:
		c.createPod()
	case n < 30:
		c.deletePod()
	case n < 50:
		c.exitContainer()
	case n < 57:
		c.removeContainer()
	case n < 59:
		_ = c.engine.Start(context.Background(), c.aContainer()) // somebody meddles
	case n < 63:
		c.engine.Outage(docker.ErrUnavailable)
	case n < 70:
		c.engine.Recover()
	case n < 73:
		c.restart(func() { time.Sleep(time.Duration(c.rand.IntN(60)) * time.Second) })
	case n < 76:
		c.engine.Fail("start", fmt.Errorf("no luck: %w", docker.ErrConflict))
	case n < 79:
		c.engine.Fail("create", fmt.Errorf("no luck: %w", docker.ErrConflict))
	case n < 84:
		c.engine.Fail("start", nil)
		c.engine.Fail("create", nil)
	default:
		time.Sleep(time.Duration(c.rand.IntN(20_000)) * time.Millisecond)
	}
	if c.rand.IntN(3) > 0 {
		c.settle()
	}
}

// kinds are the pods of chaos, and the containers each must have running in the end.
var kinds = []struct{ spec, running string }{
	{"containers: [{name: a, image: kubia}]", "a"},
	{"{terminationGracePeriodSeconds: 5, containers: [{name: a, image: stubborn}]}", "a"},
	{"containers: [{name: a, image: kubia}, {name: b, image: stubborn}]", "a b POD"},
	{"{initContainers: [{name: i, image: kubia, command: ['true']}], containers: [{name: a, image: kubia}]}", "a POD"},
	{"{initContainers: [{name: s, image: kubia, restartPolicy: Always}], containers: [{name: a, image: kubia}]}", "s a POD"},
	{`containers: [{name: a, image: kubia, livenessProbe: {exec: {command: [alive]}, periodSeconds: 5}, readinessProbe: {exec: {command: [ready]}}}]`, "a"},
}

func (c *chaos) createPod() {
	name := fmt.Sprintf("pod-%d", c.made)
	c.made++
	c.engine.Build("stubborn")
	c.pods[name] = c.rand.IntN(len(kinds))
	c.pod(name, kinds[c.pods[name]].spec)
}

func (c *chaos) anyPod() string {
	if len(c.pods) == 0 {
		return ""
	}
	// Sorted, so that the seed alone decides.
	names := slices.Sorted(maps.Keys(c.pods))
	return names[c.rand.IntN(len(names))]
}

func (c *chaos) deletePod() {
	name := c.anyPod()
	if name == "" {
		return
	}
	delete(c.pods, name)
	graces := []*int64{nil, ptr.To[int64](0), ptr.To[int64](5)}
	c.delete(name, graces[c.rand.IntN(len(graces))])
}

// aContainer is one that exists on the engine.
func (c *chaos) aContainer() string {
	list, err := c.engine.List(context.Background())
	if err != nil || len(list) == 0 {
		return ""
	}
	return list[c.rand.IntN(len(list))].ID
}

func (c *chaos) exitContainer() {
	// It may have ended already.
	_ = c.engine.Exit(c.aContainer(), c.rand.IntN(2))
}

func (c *chaos) removeContainer() {
	if id := c.aContainer(); id != "" {
		_ = c.engine.Remove(context.Background(), id)
	}
}

func (c *chaos) check() {
	c.Helper()
	list, err := c.engine.List(context.Background())
	if err != nil {
		c.Fatal(err)
	}
	running, kept := map[string]int{}, map[string]int{}
	addresses := map[string]string{}
	for _, k := range list {
		object := k.Labels[pod.LabelPodName]
		if _, ok := c.pods[object]; !ok {
			c.Errorf("%s %s is left of a pod that is gone", k.Name, k.State)
		}
		if k.State == docker.Running {
			running[object+"/"+k.Labels[pod.LabelContainer]]++
		} else {
			kept[object+"/"+k.Labels[pod.LabelContainer]]++
		}
		if k.IP.IsValid() {
			if other, taken := addresses[k.IP.String()]; taken {
				c.Errorf("%s and %s have the address %s", other, k.Name, k.IP)
			}
			addresses[k.IP.String()] = k.Name
		}
	}
	for pod, kind := range c.pods {
		for _, name := range strings.Fields(kinds[kind].running) {
			if n := running[pod+"/"+name]; n != 1 {
				c.Errorf("%d running containers %s of %s", n, name, pod)
			}
			if n := kept[pod+"/"+name]; n > 1 {
				c.Errorf("%d dead containers %s of %s are kept", n, name, pod)
			}
		}
		p := c.get(pod)
		for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
			if !s.Ready || p.Status.Phase != corev1.PodRunning {
				c.Errorf("%s: %s", pod, c.status(pod))
			}
		}
	}
	for _, r := range c.agent.records.all() {
		if _, ok := c.pods[r.name]; !ok {
			c.Errorf("%s is remembered: %v", r.name, pod.MakePlan(c.agent.observe(r)))
		}
	}
}

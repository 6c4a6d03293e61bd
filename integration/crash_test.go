package integration

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"skiff/integration/harness"
)

// crashRounds is how often the daemon is killed; SKIFF_CRASH_ROUNDS sets another number.
const crashRounds = 20

// TestKillNine kills the daemon at random moments while pods are created, scaled and deleted.
// Whatever a client was told had been written must be there afterwards, every desired pod must run
// exactly once, and no container may be left over.
func TestKillNine(t *testing.T) {
	rounds := crashRounds
	if s := os.Getenv("SKIFF_CRASH_ROUNDS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		rounds = n
	}
	d := harness.Start(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d, %d rounds", seed, rounds)
	random := rand.New(rand.NewPCG(seed, 0))
	c := &crash{t: t, d: d, want: map[string]int{}, told: map[string]int{}}
	for _, name := range []string{"a", "b", "c", "d"} {
		applyRC(t, d.SkiffCLI(), name, 5)
		c.want[name] = 5
	}
	for round := range rounds {
		c.round(random, round)
	}
	c.settle()
	c.kept()
}

// crash is the desired state as the clients know it.
type crash struct {
	t *testing.T
	d *harness.Daemon
	// want is the count of replicas last acknowledged, by controller. A write that was cut off may
	// or may not have been stored, so told holds what it would have set.
	mu         sync.Mutex
	want, told map[string]int
	// records are objects whose creation was acknowledged, deleted the UIDs of pods whose deletion
	// was.
	records, deleted []string
}

// round lets clients write until the daemon dies under them, starts it again and checks what they
// were told.
func (c *crash) round(random *rand.Rand, round int) {
	c.t.Helper()
	after := time.Duration(random.IntN(1200)) * time.Millisecond
	names := []string{"a", "b", "c", "d"}
	counts := make([]int, len(names))
	for i := range counts {
		counts[i] = random.IntN(8)
	}
	var clients sync.WaitGroup
	for i, name := range names {
		clients.Go(func() { c.write(name, counts[i], round) })
	}
	killed := time.NewTimer(after)
	<-killed.C
	c.d.Kill()
	clients.Wait()
	c.d.Run()
	c.check(round)
}

// write scales a controller, and deletes one of its pods, as a user would.
func (c *crash) write(name string, replicas, round int) {
	cli := c.d.SkiffCLI()
	c.mu.Lock()
	c.told[name] = replicas
	c.mu.Unlock()
	if r := cli.Try("", "scale", "rc", name, fmt.Sprintf("--replicas=%d", replicas)); r.Code == 0 {
		c.mu.Lock()
		c.want[name] = replicas
		delete(c.told, name)
		c.mu.Unlock()
	}
	c.deletePods(name)
	record := fmt.Sprintf("acknowledged-%d-%s", round, name)
	if r := cli.Try("", "create", "configmap", record); r.Code == 0 {
		c.mu.Lock()
		c.records = append(c.records, record)
		c.mu.Unlock()
	}
}

// deletePods deletes a controller's running pods, one by one, and notes which deletions were
// acknowledged.
func (c *crash) deletePods(name string) {
	cli := c.d.SkiffCLI()
	r := cli.Try("", "get", "pods", "-l", "app="+name, "--field-selector", "status.phase=Running", "-o",
		`jsonpath={range .items[*]}{.metadata.name}/{.metadata.uid} {end}`)
	for pod := range strings.FieldsSeq(r.Out) {
		pod, uid, _ := strings.Cut(pod, "/")
		if cli.Try("", "delete", "pod", pod, "--wait=false").Code == 0 {
			c.mu.Lock()
			c.deleted = append(c.deleted, uid)
			c.mu.Unlock()
		}
	}
}

// check compares what the daemon holds with what the clients were told.
func (c *crash) check(round int) {
	c.t.Helper()
	cli := c.d.SkiffCLI()
	for name, want := range c.want {
		got, err := strconv.Atoi(cli.Do("get", "rc", name, "-o", "jsonpath={.spec.replicas}"))
		if err != nil {
			c.t.Fatal(err)
		}
		if maybe, cut := c.told[name]; got != want && !(cut && got == maybe) {
			c.t.Fatalf("round %d: %s has %d replicas, its client was told %d", round, name, got, want)
		}
		c.want[name] = got
		delete(c.told, name)
	}
}

// kept checks that no acknowledged object was lost, and that what was deleted has stayed away.
func (c *crash) kept() {
	c.t.Helper()
	have := strings.Fields(c.d.SkiffCLI().Do("get", "configmaps", "-o", "jsonpath={.items[*].metadata.name}"))
	for _, r := range c.records {
		if !slices.Contains(have, r) {
			c.t.Errorf("the creation of %s was acknowledged, but it is gone", r)
		}
	}
	pods := strings.Fields(c.d.SkiffCLI().Do("get", "pods", "-o", "jsonpath={.items[*].metadata.uid}"))
	for _, uid := range c.deleted {
		if slices.Contains(pods, uid) {
			c.t.Errorf("the deletion of pod %s was acknowledged, but it is there", uid)
		}
	}
	c.t.Logf("%d acknowledged creations and %d deletions kept", len(c.records), len(c.deleted))
}

// settle waits for the desired state and compares the engine with it, container by container.
func (c *crash) settle() {
	c.t.Helper()
	cli := c.d.SkiffCLI()
	for name, n := range c.want {
		awaitReady(c.t, cli, name, n)
	}
	harness.Until(c.t, time.Minute, "every pod has one running container, and no container is left over", func() bool {
		pods := strings.Fields(cli.Do("get", "pods", "-o", "jsonpath={.items[*].metadata.uid}"))
		var have []string
		for _, k := range c.d.Containers() {
			uid := k.Labels["io.kubernetes.pod.uid"]
			if k.State == "running" {
				have = append(have, uid)
			} else if !slices.Contains(pods, uid) {
				return false
			}
		}
		slices.Sort(pods)
		slices.Sort(have)
		return slices.Equal(pods, have)
	})
}

package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"

	"skiff/integration/harness"
)

// router is the ID of the daemon's router.
func (p peers) router() string {
	p.Helper()
	var id string
	harness.Until(p.T, soon, "there is a router", func() bool {
		r, ok := p.d.Router()
		id = r.ID
		return ok && r.State == "running"
	})
	return id
}

// removeRouter does what docker rm -f does, also to one that something else is removing.
func (p peers) removeRouter() {
	p.Helper()
	err := p.d.Engine.ContainerRemove(p.Context(), p.router(), container.RemoveOptions{Force: true})
	if err != nil && !cerrdefs.IsNotFound(err) && !cerrdefs.IsConflict(err) {
		p.Fatal(err)
	}
}

// startServices runs servers behind a service and somebody to ask them.
func startServices(t *testing.T, args ...string) peers {
	t.Helper()
	p := startPeers(t, args...)
	p.apply(webServers, webService, clientPod)
	p.ready("app=client", 1)
	p.ready("app=web", 2)
	p.until("http://web", p.ready("app=web", 2))
	return p
}

// TestRouterIsRemoved takes the router away while a connection through a service is open: that lives
// on, and new ones are soon possible.
func TestRouterIsRemoved(t *testing.T) {
	t.Parallel()
	p := startServices(t)
	p.load("session", "-timeout", "1m", "tcp://web:81", "http://web")
	before := p.router()
	p.removeRouter()
	begin := time.Now()
	// The next router may be there before anybody has missed the former one.
	harness.Until(t, 30*time.Second, "another router leads to the service; 5 s are wanted on an idle machine", func() bool {
		r, ok := p.d.Router()
		if !ok || r.ID == before || r.State != "running" {
			return false
		}
		return p.cli.Command("exec", "client", "--", "peer", "ask", "http://web").Run() == nil
	})
	t.Logf("new connections after %s", time.Since(begin).Round(time.Millisecond))
	report := p.loaded("session")
	t.Log(report)
	if !strings.Contains(report, "no failure") {
		t.Error("connections through the service did not live on")
	}
}

// TestTrafficWithoutTheDaemon kills the daemon, and then restarts the router too: services and names
// work on without an error, and a router that nobody has told anything knows what the former one knew.
func TestTrafficWithoutTheDaemon(t *testing.T) {
	t.Parallel()
	p := startServices(t)
	p.apply(balancer("public", freePort(t)))
	port := p.of("service/public", ".spec.ports[0].port")
	p.answers("http://127.0.0.1:" + port)
	p.load("fresh", "-fresh", "http://web", "udp://web:82")
	p.load("session", "tcp://web:81")
	containers := running(p.d)
	p.d.Kill()
	if got := fetch("http://127.0.0.1:" + port); !strings.Contains(got, "connection refused") {
		t.Errorf("a port of this machine without the daemon: %s", got)
	}
	client := p.container("client")
	for range 2 {
		if got := p.d.Exec(client, "peer", "ask", "-n", "20", "http://web"); strings.Count(got, "web-") != 20 {
			t.Errorf("without the daemon:\n%s", got)
		}
	}
	p.d.Run()
	if got := running(p.d); !slices.Equal(got, containers) {
		t.Errorf("%v run, before it was %v", got, containers)
	}
	p.answers("http://127.0.0.1:" + port)
	for _, name := range []string{"fresh", "session"} {
		if report := p.loaded(name); !strings.Contains(report, "no failure") {
			t.Errorf("%s had errors while there was no daemon:\n%s", name, report)
		}
	}

	p.d.Kill()
	if err := p.d.Engine.ContainerRestart(t.Context(), p.router(), container.StopOptions{}); err != nil {
		t.Fatal(err)
	}
	harness.Until(t, soon, "services work from what the router has kept", func() bool {
		return strings.Count(p.d.Exec(client, "peer", "ask", "-n", "5", "http://web"), "web-") == 5
	})
	p.d.Run()
	p.until("http://web", p.ready("app=web", 2))
}

// container is that of a pod of one container.
func (p peers) container(pod string) string {
	p.Helper()
	list := p.d.Containers("io.kubernetes.pod.name=" + pod)
	if len(list) != 1 {
		p.Fatalf("pod %s has %d containers", pod, len(list))
	}
	return list[0].ID
}

// TestDataDirectoryOfTheVersionBefore starts with a network that is not divided, with a pod in each
// quarter, as a version without services has left it: the pods keep running where they are, and get
// services.
func TestDataDirectoryOfTheVersionBefore(t *testing.T) {
	t.Parallel()
	p := startPeers(t)
	// The version before made a network of 20 bits and chose addresses all over it. The containers are
	// this version's, moved to where that one might have put them.
	p.apply(webServers)
	p.cli.Do("scale", "deployment", "web", "--replicas=4")
	names := p.ready("app=web", 4)
	p.apply(webService, clientPod)
	p.ready("app=client", 1)
	p.d.Kill()
	p.removeRouter()
	moved := p.moveToOldNetwork(names)
	before := running(p.d)
	p.d.Run()
	harness.Until(t, soon, "the pods say where they are", func() bool {
		for name, at := range moved {
			if p.of("pod/"+name, ".status.podIP") != at.String() {
				return false
			}
		}
		return true
	})
	// The service has another address, and pods from before don't know the name server.
	p.apply(strings.ReplaceAll(clientPod, "client", "later"))
	p.ready("app=later", 1)
	p.untilFrom("later", "http://web", names)
	p.until("http://"+p.of("service/web", ".spec.clusterIP"), names)
	for name, at := range moved {
		if got := p.ask("client", "http://"+at.String()+":8080", 1); !slices.Equal(got, []string{name}) {
			t.Errorf("%s, which is at %s: %v", name, at, got)
		}
	}
	for _, id := range before {
		if !slices.Contains(running(p.d), id) {
			t.Errorf("container %s runs no more", id)
		}
	}
}

// moveToOldNetwork puts all of the daemon's containers into a network of 20 bits in place of its own, one
// of each name in each quarter, and returns where those are.
func (p peers) moveToOldNetwork(names []string) map[string]netip.Addr {
	p.Helper()
	ctx := p.Context()
	name := "skiff-" + p.d.Instance()
	now, err := p.d.Engine.NetworkInspect(ctx, name, network.InspectOptions{})
	if err != nil {
		p.Fatal(err)
	}
	divided := netip.MustParsePrefix(now.IPAM.Config[0].Subnet)
	old := netip.PrefixFrom(divided.Addr(), 20)
	list := p.d.Containers()
	for _, c := range list {
		if err := p.d.Engine.NetworkDisconnect(ctx, now.ID, c.ID, true); err != nil {
			p.Fatal(err)
		}
	}
	if err := p.d.Engine.NetworkRemove(ctx, now.ID); err != nil {
		p.Fatal(err)
	}
	made, err := p.d.Engine.NetworkCreate(ctx, name, network.CreateOptions{
		Driver: "bridge", Labels: now.Labels, IPAM: &network.IPAM{Config: []network.IPAMConfig{{Subnet: old.String(), Gateway: old.Addr().Next().String()}}},
	})
	if err != nil {
		p.Fatal(err)
	}
	at := map[string]netip.Addr{}
	free := old.Addr().Next()
	for _, c := range list {
		pod := c.Labels["io.kubernetes.pod.name"]
		free = free.Next()
		address := free
		if i := slices.Index(names, pod); i >= 0 {
			raw := old.Addr().As4()
			raw[2] += byte(i * 4) // a quarter of 20 bits is 22 bits
			raw[3] = 77
			address = netip.AddrFrom4(raw)
			at[pod] = address
		}
		if err := p.d.Engine.NetworkConnect(ctx, made.ID, c.ID, &network.EndpointSettings{
			IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: address.String()},
		}); err != nil {
			p.Fatal(err)
		}
	}
	return at
}

// TestTwoDaemonsHaveTheirOwnServices: they share an engine, and neither sees the other's.
func TestTwoDaemonsHaveTheirOwnServices(t *testing.T) {
	t.Parallel()
	a, b := startServices(t), startPeers(t)
	b.apply(clientPod)
	b.ready("app=client", 1)
	for _, url := range []string{"http://web", "http://" + a.of("service/web", ".spec.clusterIP")} {
		if r := b.in("client", "timeout", "5", "peer", "ask", url); r.Code == 0 {
			t.Errorf("the second daemon's pod asks %s of the first one: %q", url, r.Out)
		}
	}
	b.apply(strings.ReplaceAll(webServers, "replicas: 2", "replicas: 1"), webService)
	own := b.ready("app=web", 1)
	b.until("http://web", own)
	if got := a.ask("client", "http://web", 20); slices.Contains(got, own[0]) || len(got) != 2 {
		t.Errorf("the first daemon's pod gets %v", got)
	}
	if x, y := a.theDoor().at, b.theDoor().at; x == y {
		t.Errorf("both front doors are at %s", x)
	}
}

// TestResetLeavesNothing looks at the engine after a reset.
func TestResetLeavesNothing(t *testing.T) {
	t.Parallel()
	p := startServices(t)
	instance, ctx := p.d.Instance(), context.WithoutCancel(t.Context())
	p.d.Stop()
	if r := p.cli.Try("", "daemon", "reset", "--yes", "--data-dir", p.d.DataDir); r.Code != 0 {
		t.Fatalf("reset: %+v", r)
	}
	// What cleans up asks for the instance.
	if err := os.WriteFile(filepath.Join(p.d.DataDir, "instance"), []byte(instance), 0o600); err != nil {
		t.Fatal(err)
	}
	nothingLeft(t, p.d.Engine, instance)
	p.routerImageInUse(ctx)
}

// nothingLeft checks that the engine has nothing of an instance's.
func nothingLeft(t *testing.T, engine *client.Client, instance string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	own := filters.NewArgs(filters.Arg("label", "skiff/instance="+instance))
	containers, err := engine.ContainerList(ctx, container.ListOptions{All: true, Filters: own})
	if err != nil || len(containers) > 0 {
		t.Errorf("containers are left: %v, %v", containers, err)
	}
	networks, err := engine.NetworkList(ctx, network.ListOptions{Filters: own})
	if err != nil || len(networks) > 0 {
		t.Errorf("networks are left: %v, %v", networks, err)
	}
	volumes, err := engine.VolumeList(ctx, volume.ListOptions{Filters: own})
	if err != nil || len(volumes.Volumes) > 0 {
		t.Errorf("volumes are left: %v, %v", volumes, err)
	}
}

// routerImageInUse checks that no image of a router is left which no router is made of. Other daemons run
// beside this test, and one of them may be making its own.
func (p peers) routerImageInUse(ctx context.Context) {
	p.Helper()
	harness.Until(p.T, soon, "no router image is left that nobody uses", func() bool {
		images, err := p.d.Engine.ImageList(ctx, image.ListOptions{Filters: filters.NewArgs(filters.Arg("reference", "skiff/router"))})
		if err != nil {
			p.Fatal(err)
		}
		return !slices.ContainsFunc(images, func(i image.Summary) bool {
			users, err := p.d.Engine.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("ancestor", i.ID))})
			return err == nil && len(users) == 0
		})
	})
}

// chaosRounds is how often the daemon or the router is killed; SKIFF_CHAOS_ROUNDS sets another number.
const chaosRounds = 3

// TestNetworkChaos kills daemon and router at random, at once or one of them, while services are asked.
// In the end all services answer, and lead to exactly the pods that there are.
func TestNetworkChaos(t *testing.T) {
	t.Parallel()
	rounds := chaosRounds
	if s := os.Getenv("SKIFF_CHAOS_ROUNDS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		rounds = n
	}
	p := startServices(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d, %d rounds", seed, rounds)
	random := rand.New(rand.NewPCG(seed, 0))
	// Connections to pods that stay must not break, whatever is killed; new ones may fail meanwhile.
	p.apply(strings.NewReplacer("name: web}", "name: still}", "app: web", "app: still").Replace(webServers + "---" + webService))
	p.ready("app=still", 2)
	p.load("session", "-timeout", "1m", "tcp://still:81")
	p.load("fresh", "-fresh", "http://web", "http://still")
	for round := range rounds {
		what := []string{"daemon", "router", "both"}[random.IntN(3)]
		after := time.NewTimer(time.Duration(random.IntN(1500)) * time.Millisecond)
		name := fmt.Sprintf("round-%d", round)
		p.apply(strings.Replace(webService, "name: web}", "name: "+name+"}", 1))
		if round > 0 {
			p.cli.Do("delete", "service", fmt.Sprintf("round-%d", round-1))
		}
		p.cli.Do("delete", "pod", p.ready("app=web", 2)[random.IntN(2)], "--wait=false")
		<-after.C
		t.Logf("round %d kills: %s", round, what)
		if what != "router" {
			p.d.Kill()
		}
		if what != "daemon" {
			p.killRouter()
		}
		if what != "router" {
			p.d.Run()
		}
		replicas := p.ready("app=web", 2)
		p.until("http://web", replicas)
		p.until("http://"+name, replicas)
	}
	p.until("http://still", p.ready("app=still", 2))
	p.endpointsAre(p.ready("app=web", 2))
	if last := rounds - 2; last >= 0 {
		if r := p.in("client", "peer", "dns", "host", fmt.Sprintf("round-%d", last)); r.Code == 0 {
			t.Errorf("a service that is deleted has a name: %s", r.Out)
		}
	}
	t.Logf("fresh: %s", p.loaded("fresh"))
	if report := p.loaded("session"); !strings.Contains(report, "no failure") {
		t.Errorf("a connection to a pod that stayed has failed:\n%s", report)
	}
}

// killRouter ends the router's process without warning.
func (p peers) killRouter() {
	p.Helper()
	if err := p.d.Engine.ContainerKill(p.Context(), p.router(), "KILL"); err != nil && !cerrdefs.IsConflict(err) && !cerrdefs.IsNotFound(err) {
		p.Fatal(err)
	}
}

// endpointsAre compares a service's endpoints with the addresses of pods.
func (p peers) endpointsAre(pods []string) {
	p.Helper()
	var want []string
	for _, pod := range pods {
		want = append(want, p.of("pod/"+pod, ".status.podIP"))
	}
	slices.Sort(want)
	harness.Until(p.T, soon, fmt.Sprintf("the endpoints are %v", want), func() bool {
		got := strings.Fields(p.cli.Do("get", "endpointslices", "-l", "kubernetes.io/service-name=web", "-o", `jsonpath={.items[*].endpoints[?(@.conditions.ready==true)].addresses[0]}`))
		slices.Sort(got)
		return slices.Equal(got, want)
	})
}

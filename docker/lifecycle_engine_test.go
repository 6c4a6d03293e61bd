package docker

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestEngineLifecycle(t *testing.T) {
	b := newBench(t)
	spec := b.spec("on", "10", "7") // the image's stop signal, SIGUSR1
	id := b.create(spec)
	if c := b.inspected(id); c.State != Created || c.Name != spec.Name || !c.StartedAt.IsZero() {
		t.Errorf("created: %+v", c)
	}
	again, err := b.Create(t.Context(), spec)
	check(t, err)
	if again != id {
		t.Errorf("the same create made %s beside %s", again, id)
	}
	b.start(id)
	b.start(id) // no error
	b.awaitLog(id, "ready")
	c := b.inspected(id)
	if c.State != Running || c.Pid == 0 || c.IP != spec.Network.IP || c.StartedAt.IsZero() || c.Image != spec.Image {
		t.Errorf("running: %+v", c)
	}
	check(t, b.Stop(t.Context(), id, time.Minute, ""))
	c = b.inspected(id)
	if c.State != Exited || c.ExitCode != 7 || c.FinishedAt.IsZero() || c.IP != spec.Network.IP {
		t.Errorf("stopped: %+v", c)
	}
	check(t, b.Stop(t.Context(), id, time.Minute, ""))
	wantKind(t, b.Kill(t.Context(), id, "TERM"), ErrNotRunning)

	list, err := b.List(t.Context())
	check(t, err)
	if len(list) != 1 || list[0].ID != id || list[0].State != Exited || list[0].ExitCode != 7 || list[0].IP != spec.Network.IP {
		t.Errorf("list %+v", list)
	}
	check(t, b.Remove(t.Context(), id))
	check(t, b.Remove(t.Context(), id))
	_, err = b.Inspect(t.Context(), id)
	wantKind(t, err, ErrNotFound)
}

func (b *bench) inspected(id string) Container {
	b.t.Helper()
	c, err := b.Inspect(b.t.Context(), id)
	check(b.t, err)
	return c
}

func TestEngineStopKillsTheStubborn(t *testing.T) {
	b := newBench(t)
	id := b.run("stubborn")
	b.awaitLog(id, "ready")
	began := time.Now()
	check(t, b.Stop(t.Context(), id, 300*time.Millisecond, "SIGTERM"))
	if took := time.Since(began); took < 300*time.Millisecond {
		t.Errorf("killed after %s, before its grace had passed", took)
	}
	if c := b.inspected(id); c.State != Exited || c.ExitCode != 137 {
		t.Errorf("stopped: %+v", c)
	}

	id = b.run("stubborn")
	b.awaitLog(id, "ready")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	wantKind(t, b.Stop(ctx, id, time.Hour, "SIGTERM"), context.DeadlineExceeded)
	if c := b.inspected(id); c.State != Running {
		t.Errorf("stopped although the context ended: %+v", c)
	}
}

func TestEngineInstancesDoNotSeeEachOther(t *testing.T) {
	one, other := newBench(t), newBench(t)
	id := one.run("sleep")
	list, err := other.List(t.Context())
	check(t, err)
	if len(list) != 0 {
		t.Errorf("sees %+v", list)
	}
	check(t, other.PruneInstance(t.Context()))
	if c := one.inspected(id); c.State != Running {
		t.Errorf("pruned another's: %+v", c)
	}
	spec := other.spec("sleep")
	spec.Name = one.inspected(id).Name
	_, err = other.Create(t.Context(), spec)
	wantKind(t, err, ErrConflict)
	if !strings.Contains(err.Error(), InstanceLabel) {
		t.Errorf("error %q does not say whose the name is", err)
	}
}

func TestEngineRefusals(t *testing.T) {
	b := newBench(t)
	for _, test := range []struct {
		name          string
		edit          func(*ContainerSpec)
		create, start error
		exit          int
	}{
		{"no such image", func(s *ContainerSpec) { s.Image = "skiff-test/nope:1" }, ErrImageNotFound, nil, 0},
		{"bad name", func(s *ContainerSpec) { s.Name = "a b" }, ErrInvalid, nil, 0},
		{"little memory", func(s *ContainerSpec) { s.Resources.Memory = 1 << 20 }, ErrInvalid, nil, 0},
		{"nothing to bind", func(s *ContainerSpec) {
			s.Mounts = []Mount{{Type: "bind", Source: "/does/not/exist", Target: "/x"}}
		}, ErrInvalid, nil, 0},
		{"no such program", func(s *ContainerSpec) { s.Entrypoint = []string{"/nope"} }, nil, ErrInvalid, 127},
		{"not executable", func(s *ContainerSpec) { s.Entrypoint = []string{"/etc/hosts"} }, nil, ErrInvalid, 126},
		{"join nobody", func(s *ContainerSpec) { s.Network = Network{Join: "nobody"} }, nil, ErrNotFound, 128},
	} {
		t.Run(test.name, func(t *testing.T) {
			spec := b.spec("sleep")
			test.edit(&spec)
			id, err := b.Create(t.Context(), spec)
			if test.create != nil {
				wantKind(t, err, test.create)
				return
			}
			check(t, err)
			wantKind(t, b.Start(t.Context(), id), test.start)
			if c := b.inspected(id); c.State != Created || c.ExitCode != test.exit || c.Error == "" {
				t.Errorf("after the failed start: %+v", c)
			}
		})
	}
}

func TestEngineHostPort(t *testing.T) {
	b := newBench(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	port := int32(listener.Addr().(*net.TCPAddr).Port)
	spec := b.spec("sleep")
	spec.Network.Ports = []Port{{HostIP: "127.0.0.1", HostPort: port, ContainerPort: 80}}
	id := b.create(spec)
	wantKind(t, b.Start(t.Context(), id), ErrPortInUse) // this process has it
	check(t, listener.Close())
	b.start(id)
	spec.Name, spec.Network.IP = spec.Name+"-second", b.address("second")
	wantKind(t, b.Start(t.Context(), b.create(spec)), ErrPortInUse) // the first container has it
}

// TestEngineAddressOutlivesContainer has containers die one after the other; each successor takes
// the address at once, before its predecessor has been removed.
func TestEngineAddressOutlivesContainer(t *testing.T) {
	b := newBench(t)
	events := b.Events(t.Context())
	spec := b.spec("sleep")
	name, id := spec.Name, b.start(b.create(spec))
	for i := range 3 {
		killed := make(chan error, 1)
		go func() { killed <- b.Kill(t.Context(), id, "SIGKILL") }()
		awaitEvent(t, events, ActionDie, id)
		spec.Name = fmt.Sprint(name, "-", i)
		id = b.start(b.create(spec))
		check(t, <-killed)
		if c := b.inspected(id); c.IP != spec.Network.IP || c.State != Running || c.Error != "" || c.ExitCode != 0 {
			t.Fatalf("successor: %+v", c)
		}
	}
	spec.Name = name + "-too-many"
	wantKind(t, b.Start(t.Context(), b.create(spec)), ErrAddressInUse)
}

func awaitEvent(t testing.TB, events <-chan Event, action Action, id string) Event {
	t.Helper()
	late := time.After(20 * time.Second)
	for {
		select {
		case event := <-events:
			if event.Action == action && (id == "" || event.ID == id) {
				return event
			}
		case <-late:
			t.Fatalf("no %s event of %.12s", action, id)
		}
	}
}

func TestEngineEvents(t *testing.T) {
	b, other := newBench(t), newBench(t)
	events := b.Events(t.Context())
	awaitEvent(t, events, ActionResync, "")
	other.run("exit", "0") // not ours: must not be told
	spec := b.spec("exit", "3")
	spec.Labels = map[string]string{"app": "kubia"}
	id := b.start(b.create(spec))
	var told []string
	for event := range events {
		told = append(told, fmt.Sprintf("%s %v %d", event.Action, event.ID == id, event.ExitCode))
		if event.Labels["app"] != "kubia" || event.Labels[InstanceLabel] != b.Instance() || event.At.IsZero() {
			t.Errorf("event %+v", event)
		}
		if event.Action == ActionDie {
			check(t, b.Remove(t.Context(), id))
		}
		if event.Action == ActionDestroy {
			break
		}
	}
	if want := []string{"start true 0", "die true 3", "destroy true 0"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

func TestEngineFailedStartTellsNothing(t *testing.T) {
	b := newBench(t)
	events := b.Events(t.Context())
	awaitEvent(t, events, ActionResync, "")
	spec := b.spec("sleep")
	spec.Entrypoint = []string{"/nope"}
	id := b.create(spec)
	wantKind(t, b.Start(t.Context(), id), ErrInvalid)
	check(t, b.Remove(t.Context(), id))
	if event := <-events; event.Action != ActionDestroy {
		t.Errorf("event %+v", event)
	}
}

func TestEngineOutOfMemory(t *testing.T) {
	b := newBench(t)
	events := b.Events(t.Context())
	// What dies of hunger in its first milliseconds does so before the engine watches its memory.
	spec := b.spec("eat", "300ms")
	spec.Resources.Memory = 16 << 20
	id := b.start(b.create(spec))
	if event := awaitEvent(t, events, ActionDie, id); event.ExitCode != 137 {
		t.Errorf("event %+v", event)
	}
	if c := b.inspected(id); !c.OOMKilled || c.ExitCode != 137 {
		t.Errorf("eaten up: %+v", c)
	}
}

func TestEngineSharedNamespaces(t *testing.T) {
	b := newBench(t)
	ref := b.pauseImage()
	spec := b.spec()
	spec.Image, spec.Args, spec.Network.Hostname = ref, nil, "pod-0"
	pause := b.start(b.create(spec))

	spec = b.spec("environment")
	spec.Network, spec.IPCContainer, spec.PIDContainer = Network{Join: pause}, pause, pause
	id := b.start(b.create(spec))
	b.ended(id)
	if got := b.log(id); !strings.Contains(got, " pod-0 ") {
		t.Errorf("host name in the pod's container: %q", got)
	}
	if c := b.inspected(id); c.IP.IsValid() {
		t.Errorf("address of its own: %+v", c)
	}

	// An orphan in the shared process namespace is reaped by the pause program.
	spec.Name, spec.Args = spec.Name+"-orphan", []string{"orphan"}
	b.ended(b.start(b.create(spec)))
	spec.Name, spec.Args = spec.Name+"-later", []string{"zombies"}
	id = b.start(b.create(spec))
	b.ended(id)
	if got := b.log(id); got != "zombies 0\n" {
		t.Errorf("left behind: %q", got)
	}

	began := time.Now()
	check(t, b.Stop(t.Context(), pause, time.Minute, ""))
	if c := b.inspected(pause); c.ExitCode != 0 || time.Since(began) > 30*time.Second {
		t.Errorf("the pause container does not heed SIGTERM: %+v", c)
	}
}

// pauseImage makes the image, and removes it afterwards if it was not there before.
func (b *bench) pauseImage() string {
	b.t.Helper()
	_, err := b.Image(b.t.Context(), PauseRef)
	made := err != nil
	ref, err := b.PauseImage(b.t.Context())
	check(b.t, err)
	again, err := b.PauseImage(b.t.Context())
	check(b.t, err)
	if again != ref {
		b.t.Errorf("image %s, then %s", ref, again)
	}
	if made {
		b.t.Cleanup(func() {
			check(b.t, b.PruneInstance(context.WithoutCancel(b.t.Context())))
			if err := removeImage(b.Engine, ref); err != nil { // another daemon's container may hold it by now
				b.t.Log("the pause image stays:", err)
			}
		})
	}
	return ref
}

func TestEngineNetworkIsFoundAgain(t *testing.T) {
	b := newBench(t)
	layout, err := b.EnsureNetwork(t.Context())
	check(t, err)
	if layout.Subnet.Bits() != subnetBits || layout.Gateway != layout.Subnet.Addr().Next() || !layout.Pods.Contains(b.addresses.at(2)) {
		t.Errorf("network %+v", layout)
	}
	id := b.run("sleep")
	wantKind(t, b.RemoveNetwork(t.Context()), ErrConflict)
	check(t, b.Stop(t.Context(), id, 0, ""))
	check(t, b.RemoveNetwork(t.Context()))
	check(t, b.RemoveNetwork(t.Context()))
	wantKind(t, b.Start(t.Context(), id), ErrNoNetwork)

	// A dead container still has its address, so the network returns where it was.
	back, err := b.EnsureNetwork(t.Context())
	check(t, err)
	if back != layout {
		t.Errorf("network %+v came back as %+v", layout, back)
	}
	spec := b.spec("sleep")
	spec.Network.IP = b.inspected(id).IP
	b.start(b.create(spec))
}

func TestEngineNetworksDoNotOverlap(t *testing.T) {
	one, other := newBench(t), realEngine(t, Options{})
	t.Cleanup(func() { check(t, other.PruneInstance(context.WithoutCancel(t.Context()))) })
	taken, err := one.EnsureNetwork(t.Context())
	check(t, err)
	other.subnet = taken.Subnet
	_, err = other.EnsureNetwork(t.Context())
	wantKind(t, err, ErrNoSubnet) // the engine's own refusal is understood
}

func TestEngineInfo(t *testing.T) {
	e := realEngine(t, Options{})
	info, err := e.Info(t.Context())
	check(t, err)
	if info.CPUs < 1 || info.MemoryBytes < 1<<20 || info.OS != "linux" || info.EngineVersion == "" || info.APIVersion < MinAPIVersion ||
		info.MachineID == "" || info.Root == "" || info.KernelVersion == "" || strings.Contains(info.Arch, "_") {
		t.Errorf("info %+v", info)
	}
}

func TestEngineImages(t *testing.T) {
	b := newBench(t)
	i, err := b.Image(t.Context(), testImageRef)
	check(t, err)
	if !slices.Equal(i.Entrypoint, []string{"/helper"}) || i.StopSignal != "SIGUSR1" || i.Labels["from"] != "image" || i.Size == 0 {
		t.Errorf("image %+v", i)
	}
	all, err := b.Images(t.Context())
	check(t, err)
	if !slices.ContainsFunc(all, func(one Image) bool { return one.ID == i.ID && slices.Contains(one.RepoTags, testImageRef) }) {
		t.Errorf("images %+v", all)
	}
	wantKind(t, b.Pull(t.Context(), "localhost:1/nope:1", PullOptions{}), ErrPull)
}

// What a container may use can be changed while it runs, up and down.
func TestEngineUpdate(t *testing.T) {
	b := newBench(t)
	spec := b.spec("on", "10", "7")
	spec.Resources = Resources{CPUShares: 512, CPUQuota: 50000, CPUPeriod: 100000, Memory: 64 << 20, MemoryReservation: 32 << 20}
	id := b.start(b.create(spec))
	for _, to := range []Resources{
		{CPUShares: 1024, CPUQuota: 100000, CPUPeriod: 100000, Memory: 128 << 20, MemoryReservation: 64 << 20},
		{CPUShares: 2, CPUQuota: 25000, CPUPeriod: 100000, Memory: 16 << 20},
	} {
		check(t, b.Update(t.Context(), id, to))
		found, err := b.inspect(t.Context(), id)
		check(t, err)
		if got := found.HostConfig.Resources; got.Memory != to.Memory || got.CPUShares != to.CPUShares || got.CPUQuota != to.CPUQuota {
			t.Errorf("asked for %+v, has %+v", to, got)
		}
	}
	used, err := b.MemoryUsage(t.Context(), id)
	check(t, err)
	if used <= 0 || used > 16<<20 {
		t.Errorf("it uses %d bytes", used)
	}
	if c := b.inspected(id); c.State != Running {
		t.Errorf("it is %s", c.State)
	}
}

// removeVolume removes a volume and whatever has it mounted.
func (b *bench) removeVolume(name string) {
	b.t.Helper()
	ctx := context.WithoutCancel(b.t.Context())
	check(b.t, b.PruneInstance(ctx))
	check(b.t, b.RemoveVolume(ctx, name))
}

// A tmpfs takes as much as it says, and keeps it while anybody has it mounted.
func TestEngineTmpfs(t *testing.T) {
	b := newBench(t)
	name := b.Instance() + "-memory"
	_, err := b.EnsureTmpfs(t.Context(), name, map[string]string{"a": "b"}, Tmpfs{SizeBytes: 1 << 20, Mode: 0o777})
	check(t, err)
	t.Cleanup(func() { b.removeVolume(name) })
	list, err := b.Volumes(t.Context(), "a")
	check(t, err)
	if len(list) != 1 || list[0].Name != name || list[0].Labels["a"] != "b" {
		t.Errorf("volumes %+v", list)
	}
	run := func(args ...string) string {
		spec := b.spec(args...)
		spec.Mounts = []Mount{{Type: "volume", Source: name, Target: "/memory"}}
		return b.start(b.create(spec))
	}
	run("on", "10", "7") // it has the volume mounted, so that it lasts
	if c := b.ended(run("write", "/memory/file", strings.Repeat("x", 1<<20+1))); c.ExitCode == 0 {
		t.Error("more than its size was written")
	}
	if c := b.ended(run("write", "/memory/file", "kept")); c.ExitCode != 0 {
		t.Errorf("exit %d, log %s", c.ExitCode, b.log(c.ID))
	}
	reader := run("read", "/memory/file")
	b.ended(reader)
	if got := b.log(reader); got != "kept" {
		t.Errorf("it holds %q", got)
	}
}

// A volume can hold what an image holds, and nothing that the engine adds to containers.
func TestEngineImageVolume(t *testing.T) {
	b := newBench(t)
	name := b.Instance() + "-image"
	for range 2 { // the second time it is there
		_, err := b.EnsureImageVolume(t.Context(), name, map[string]string{"a": "b"}, testImageRef)
		check(t, err)
	}
	t.Cleanup(func() { b.removeVolume(name) })
	list, err := b.List(t.Context())
	check(t, err)
	if len(list) != 0 {
		t.Errorf("left behind: %+v", list)
	}
	spec := b.spec("list", "/content")
	spec.Mounts = []Mount{{Type: "volume", Source: name, Target: "/content", ReadOnly: true}}
	id := b.start(b.create(spec))
	b.ended(id)
	if got := b.log(id); got != "helper" {
		t.Errorf("it holds %q", got)
	}
	_, err = b.EnsureImageVolume(t.Context(), b.Instance()+"-none", nil, "skiff-test/none:1")
	wantKind(t, err, ErrImageNotFound)
	check(t, b.RemoveVolume(t.Context(), b.Instance()+"-none"))
}

func TestEngineImageFile(t *testing.T) {
	b := newBench(t)
	read := func(image, path string) (string, error) {
		data, err := b.ImageFile(t.Context(), image, path, b.Instance()+"-file", 4)
		return string(data), err
	}
	got, err := read(testImageRef, "/helper")
	check(t, err)
	if got != "\x7fELF" {
		t.Errorf("read %q", got)
	}
	_, err = read(testImageRef, "/etc/passwd")
	wantKind(t, err, ErrNotFound)
	_, err = read(testImageRef, "/proc")
	wantKind(t, err, ErrInvalid)
	_, err = read("skiff-test/none:1", "/etc/passwd")
	wantKind(t, err, ErrImageNotFound)
	list, err := b.List(t.Context())
	check(t, err)
	if len(list) != 0 {
		t.Errorf("left behind: %+v", list)
	}
}

func TestEngineVolumes(t *testing.T) {
	b := newBench(t)
	name := b.Instance() + "-data"
	_, err := b.EnsureVolume(t.Context(), name, map[string]string{"a": "b"})
	check(t, err)
	t.Cleanup(func() { check(t, b.RemoveVolume(context.WithoutCancel(t.Context()), name)) })
	_, err = b.EnsureVolume(t.Context(), name, nil)
	check(t, err)
	spec := b.spec("write", "/data/file", "kept")
	spec.Mounts = []Mount{{Type: "volume", Source: name, Target: "/data"}}
	writer := b.start(b.create(spec))
	b.ended(writer)
	wantKind(t, b.RemoveVolume(t.Context(), name), ErrConflict)
	check(t, b.Remove(t.Context(), writer))
	spec.Name, spec.Args = spec.Name+"-reader", []string{"read", "/data/file"}
	reader := b.start(b.create(spec))
	b.ended(reader)
	if got := b.log(reader); got != "kept" {
		t.Errorf("volume holds %q", got)
	}
	check(t, b.PruneInstance(t.Context()))

	other := realEngine(t, Options{})
	_, err = other.EnsureVolume(t.Context(), name, nil)
	wantKind(t, err, ErrConflict)
}

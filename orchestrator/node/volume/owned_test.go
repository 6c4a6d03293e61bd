package volume

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"skiff/docker"
	"skiff/orchestrator/node/env"
	"skiff/orchestrator/node/internal/podtest"
	"skiff/orchestrator/node/memory"
)

// keptEngine is an engine in memory that remembers the tmpfs it was asked for, and keeps its
// volumes below a directory.
type keptEngine struct {
	*memory.Runtime
	dir   string
	tmpfs []docker.Tmpfs
}

func (e *keptEngine) EnsureTmpfs(ctx context.Context, name string, labels map[string]string, t docker.Tmpfs) (string, error) {
	e.tmpfs = append(e.tmpfs, t)
	if _, err := e.Runtime.EnsureTmpfs(ctx, name, labels, t); err != nil {
		return "", err
	}
	return filepath.Join(e.dir, name), os.MkdirAll(filepath.Join(e.dir, name, "a"), 0o755)
}

func (e *keptEngine) names(t *testing.T) string {
	t.Helper()
	list, err := e.Volumes(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, v := range list {
		names = append(names, strings.Replace(v.Name, podtest.UID, "UID", 1))
	}
	return strings.Join(names, " ")
}

const ofTheEngine = `{securityContext: {fsGroup: 5}, containers: [{name: c, volumeMounts: [{name: quick, mountPath: /q}, {name: quick, mountPath: /a, subPath: a},
	{name: model, mountPath: /model}]}], volumes: [{name: quick, emptyDir: {medium: Memory, sizeLimit: 1Mi}}, {name: model, image: {reference: kubia}}]}`

func TestVolumesOfTheEngine(t *testing.T) {
	engine := &keptEngine{Runtime: memory.New(memory.Options{}), dir: t.TempDir()}
	engine.Build("kubia")
	v := &Manager{Dir: t.TempDir(), MemoryDir: t.TempDir(), Node: "here", Sources: podtest.NewObjects(), Engine: engine}
	pod := podtest.Pod(t, ofTheEngine)
	if err := v.Prepare(t.Context(), pod, env.Facts{}); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(engine.names(t), engine.tmpfs), "UID_quick[{1048576 1535 5}]"; got != want {
		t.Errorf("made %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(v.SandboxMounts(pod)), "[{volume "+podtest.UID+"_quick /volumes/quick false 0 false }]"; got != want {
		t.Errorf("the sandbox mounts %s, want %s", got, want)
	}
	for _, want := range []bool{true, false} {
		made, err := v.FillImage(t.Context(), pod, &pod.Spec.Volumes[1])
		if err != nil || made != want {
			t.Errorf("filled %v, %v, want %v", made, err, want)
		}
	}
	mounts, err := v.Mounts(pod, &pod.Spec.Containers[0], 0, netip.Addr{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.NewReplacer(podtest.UID, "UID", engine.dir, "DIR").Replace(fmt.Sprint(mounts))
	if want := "[{volume UID_quick /q false 0 false } {bind DIR/UID_quick/a /a false 0 false } {volume UID_model /model true 0 false }]"; got != want {
		t.Errorf("mounts\n%s\nwant\n%s", got, want)
	}

	// Another daemon takes the volumes over, and removes them with the pod.
	v = &Manager{Dir: v.Dir, Node: "here", Engine: engine}
	elsewhere := &Manager{Dir: v.Dir, Node: "elsewhere", Engine: engine}
	for _, m := range []*Manager{elsewhere, v} {
		if err := m.Sweep(t.Context(), func(uid types.UID) bool { return m == v }); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := engine.names(t), "UID_model UID_quick"; got != want {
		t.Errorf("after a restart: %s, want %s", got, want)
	}
	if err := v.Remove(t.Context(), pod.UID); err != nil {
		t.Fatal(err)
	}
	if got := engine.names(t); got != "" {
		t.Errorf("left behind: %s", got)
	}
}

func TestSweepVolumesOfTheEngine(t *testing.T) {
	engine := &keptEngine{Runtime: memory.New(memory.Options{}), dir: t.TempDir()}
	pod := podtest.Pod(t, ofTheEngine)
	if err := (&Manager{Dir: t.TempDir(), Node: "here", Engine: engine}).Prepare(t.Context(), pod, env.Facts{}); err != nil {
		t.Fatal(err)
	}
	v := &Manager{Dir: t.TempDir(), Node: "here", Engine: engine}
	if err := v.Sweep(t.Context(), func(types.UID) bool { return false }); err != nil {
		t.Fatal(err)
	}
	if got := engine.names(t); got != "" {
		t.Errorf("left behind: %s", got)
	}
}

func TestReadFile(t *testing.T) {
	v := &Manager{Dir: t.TempDir(), Sources: podtest.NewObjects(), Engine: memory.New(memory.Options{})}
	pod := podtest.Pod(t, `{containers: [{name: c}], volumes: [{name: e, emptyDir: {}}, {name: m, emptyDir: {medium: Memory}}, {name: s, secret: {secretName: key}}]}`)
	if err := v.Prepare(t.Context(), pod, env.Facts{}); err != nil {
		t.Fatal(err)
	}
	dir := v.path(pod.UID, "e")
	if err := os.WriteFile(filepath.Join(dir, "vars"), []byte("A='1'"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/hostname", filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ volume, path, want string }{
		{"e", "vars", "A='1' <nil>"},
		{"e", "none", " statat none: no such file or directory"},
		{"e", "out", " statat out: path escapes from parent"},
		{"e", ".", ` . in volume "e" is not a file of at most 1048576 bytes`},
		{"s", "token", ` cannot find the emptyDir volume "s"`},
		{"m", "vars", ` volume "m" is in memory that only containers can read on this node: use the default medium`},
	} {
		data, err := v.ReadFile(pod, c.volume, c.path)
		if got := fmt.Sprint(string(data), " ", err); got != c.want {
			t.Errorf("%s/%s: %q, want %q", c.volume, c.path, got, c.want)
		}
	}
}

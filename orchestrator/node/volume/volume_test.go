package volume

import (
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/orchestrator/node/env"
	"skiff/orchestrator/node/internal/podtest"
	"skiff/orchestrator/node/memory"
)

// tree lists the files a container sees in a volume: name, mode and content.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || strings.HasPrefix(d.Name(), "..") && path != dir {
			if d != nil && d.IsDir() {
				return fs.SkipDir
			}
			return err
		}
		if d.IsDir() {
			return nil
		}
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			return err
		}
		return filepath.WalkDir(real, func(inner string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			data, err := os.ReadFile(inner)
			name, _ := filepath.Rel(dir, path)
			rest, _ := filepath.Rel(real, inner)
			out = append(out, fmt.Sprintf("%s %o %q", filepath.Join(name, rest), info.Mode().Perm(), data))
			return err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

func TestWriteAtomically(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "v")
	write := func(files map[string]file) bool {
		t.Helper()
		changed, err := writeAtomically(dir, files, nil)
		if err != nil {
			t.Fatal(err)
		}
		return changed
	}
	first := map[string]file{"a": {data: []byte("1"), mode: 0o644}, "sub/b": {data: []byte("2"), mode: 0o400}}
	if !write(first) {
		t.Error("nothing was written")
	}
	if got, want := tree(t, dir), "a 644 \"1\"\nsub/b 400 \"2\""; got != want {
		t.Errorf("files\n%s\nwant\n%s", got, want)
	}
	if write(first) {
		t.Error("the same was written again")
	}
	// A program that has the data directory open keeps a consistent view: the old one is not
	// touched, but replaced.
	before, err := os.Readlink(filepath.Join(dir, dataLink))
	if err != nil {
		t.Fatal(err)
	}
	if !write(map[string]file{"a": {data: []byte("3"), mode: 0o644}, "c": {data: []byte("4"), mode: 0o644}}) {
		t.Error("the change was not written")
	}
	if got, want := tree(t, dir), "a 644 \"3\"\nc 644 \"4\""; got != want {
		t.Errorf("files\n%s\nwant\n%s", got, want)
	}
	after, err := os.Readlink(filepath.Join(dir, dataLink))
	if err != nil || after == before {
		t.Errorf("data link %s, before %s, %v", after, before, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 4 { // a, c, ..data and what that leads to
		t.Errorf("entries %v, %v: something was left behind", entries, err)
	}
	// An optional object that is deleted takes all its files with it.
	if !write(map[string]file{}) {
		t.Error("the files were not taken away")
	}
	if got := tree(t, dir); got != "" {
		t.Errorf("files are left: %s", got)
	}
	if write(map[string]file{}) {
		t.Error("nothing was written again")
	}
}

func TestVolumePayload(t *testing.T) {
	for _, c := range []struct{ name, volume, want, err string }{
		{"ConfigMap", "configMap: {name: app}", "colour 644 \"red\"\nraw 644 \"\\x00\\x01\"\nsize 644 \"2\"", ""},
		{"items", "configMap: {name: app, defaultMode: 0400, items: [{key: colour, path: a/b}, {key: size, path: s, mode: 0444}]}",
			"a/b 400 \"red\"\ns 444 \"2\"", ""},
		{"no such key", "configMap: {name: app, items: [{key: none, path: x}]}", "", "configmap references non-existent config key: none"},
		{"no such ConfigMap", "configMap: {name: none}", "", `configmap "none" not found`},
		{"optional", "configMap: {name: none, optional: true}", "", ""},
		{"Secret", "secret: {secretName: key}", "token 644 \"s3cret\"", ""},
		{"no such Secret", "secret: {secretName: none}", "", `secret "none" not found`},
		{"downward API", `downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}, {path: cpu, resourceFieldRef: {containerName: c, resource: requests.cpu, divisor: 1m}}]}`,
			"cpu 644 \"250\"\nlabels 644 \"app=\\\"kubia\\\"\\ntier=\\\"a\\\\\\\"b\\\"\"", ""},
		{"projected", `projected: {defaultMode: 0440, sources: [{configMap: {name: app, items: [{key: size, path: size}]}}, {secret: {name: key}},
			{downwardAPI: {items: [{path: name, fieldRef: {fieldPath: metadata.name}}]}}]}`,
			"name 440 \"kubia\"\nsize 440 \"2\"\ntoken 440 \"s3cret\"", ""},
		{"token", "projected: {sources: [{serviceAccountToken: {path: token}}]}", "", "skiff does not support projected volumes with a serviceAccountToken"},
		{"unsupported", "nfs: {server: s, path: /}", "", "skiff does not support volumes of type nfs"},
		{"huge pages", "emptyDir: {medium: HugePages}", "", "skiff does not support volumes of type emptyDir with medium HugePages"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := &Manager{Dir: t.TempDir(), Sources: podtest.NewObjects()}
			pod := podtest.Pod(t, "{containers: [{name: c, resources: {requests: {cpu: 250m}}}], volumes: [{name: v, "+c.volume+"}]}")
			err := v.Prepare(t.Context(), pod, env.Facts{})
			if c.err != "" {
				want := `MountVolume.SetUp failed for volume "v" : ` + c.err
				if fmt.Sprint(err) != want {
					t.Errorf("error %v, want %s", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := tree(t, v.path(pod.UID, "v")); got != c.want {
				t.Errorf("files\n%s\nwant\n%s", got, c.want)
			}
			if err := v.Remove(t.Context(), pod.UID); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(v.podDir(pod.UID)); !os.IsNotExist(err) {
				t.Errorf("left behind: %v", err)
			}
		})
	}
}

func TestMounts(t *testing.T) {
	dir, memory, host := t.TempDir(), t.TempDir(), t.TempDir()
	v := &Manager{Dir: dir, MemoryDir: memory, Sources: podtest.NewObjects()}
	pod := podtest.Pod(t, `{containers: [{name: c, terminationMessagePath: /dev/termination-log, volumeMounts: [
			{name: empty, mountPath: /e}, {name: mem, mountPath: /m, readOnly: true}, {name: app, mountPath: /a},
			{name: app, mountPath: /one, subPath: colour}, {name: empty, mountPath: /sub, subPathExpr: "logs/$(NAME)"},
			{name: host, mountPath: /h, mountPropagation: Bidirectional}]}],
		volumes: [{name: empty, emptyDir: {}}, {name: mem, emptyDir: {medium: Memory}}, {name: app, configMap: {name: app}},
			{name: host, hostPath: {path: `+host+`}}]}`)
	if err := v.Prepare(t.Context(), pod, env.Facts{}); err != nil {
		t.Fatal(err)
	}
	mounts, err := v.Mounts(pod, &pod.Spec.Containers[0], 1, netip.MustParseAddr("172.30.0.9"), map[string]string{"NAME": "kubia"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range mounts {
		source := strings.NewReplacer(dir, "DIR", memory, "MEM", host, "HOST", podtest.UID, "UID").Replace(m.Source)
		if i := strings.Index(source, "/.."); i >= 0 {
			source = source[:i] + "/<data>/" + filepath.Base(source)
		}
		got = append(got, fmt.Sprintf("%s %s %s readonly=%v %s", m.Type, source, m.Target, m.ReadOnly, m.Propagation))
	}
	want := podtest.Lines(`bind DIR/UID/volumes/empty /e readonly=false
		bind MEM/UID/mem /m readonly=true
		bind DIR/UID/volumes/app /a readonly=true
		bind DIR/UID/volumes/app/<data>/colour /one readonly=true
		bind DIR/UID/volumes/empty/logs/kubia /sub readonly=false
		bind HOST /h readonly=false rshared
		bind DIR/UID/containers/c/1 /dev/termination-log readonly=false
		bind DIR/UID/etc-hosts /etc/hosts readonly=false`)
	for i := range got {
		got[i] = strings.TrimSpace(got[i])
	}
	if strings.Join(got, "\n") != want {
		t.Errorf("mounts\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
	for _, path := range []string{v.path(pod.UID, "empty"), filepath.Join(memory, podtest.UID, "mem")} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o777 {
			t.Errorf("%s: %v, %v: every user must be able to write", path, info.Mode(), err)
		}
	}
}

func TestSubPathStaysInside(t *testing.T) {
	v := &Manager{Dir: t.TempDir(), Sources: podtest.NewObjects()}
	pod := podtest.Pod(t, `{containers: [{name: c, volumeMounts: [{name: e, mountPath: /e, subPath: out/side}]}], volumes: [{name: e, emptyDir: {}}]}`)
	if err := v.Prepare(t.Context(), pod, env.Facts{}); err != nil {
		t.Fatal(err)
	}
	// What a container may have done.
	if err := os.Symlink("/", filepath.Join(v.path(pod.UID, "e"), "out")); err != nil {
		t.Fatal(err)
	}
	if mounts, err := v.Mounts(pod, &pod.Spec.Containers[0], 0, netip.Addr{}, nil); err == nil {
		t.Errorf("mounts %v", mounts)
	}
}

func TestMountErrors(t *testing.T) {
	v := &Manager{Dir: t.TempDir(), Sources: podtest.NewObjects()}
	for spec, want := range map[string]string{
		`volumeMounts: [{name: none, mountPath: /n}]`:                          `cannot find volume "none" to mount into container`,
		`volumeMounts: [{name: e, mountPath: /e, subPathExpr: "$(NONE)"}]`:     `missing value for NONE`,
		`volumeMounts: [{name: e, mountPath: /e, recursiveReadOnly: Enabled}]`: `volume mount "e": skiff does not support recursiveReadOnly`,
		`volumeDevices: [{name: e, devicePath: /dev/x}]`:                       `skiff does not support volumeDevices`,
	} {
		pod := podtest.Pod(t, `{containers: [{name: c, `+spec+`}], volumes: [{name: e, emptyDir: {}}]}`)
		if err := v.Prepare(t.Context(), pod, env.Facts{}); err != nil {
			t.Fatal(err)
		}
		if _, err := v.Mounts(pod, &pod.Spec.Containers[0], 0, netip.Addr{}, nil); fmt.Sprint(err) != want {
			t.Errorf("%s: %v, want %s", spec, err, want)
		}
	}
}

func TestHostPath(t *testing.T) {
	dir := t.TempDir()
	regular := filepath.Join(dir, "file")
	if err := os.WriteFile(regular, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path string
		kind corev1.HostPathType
		want string
	}{
		{"new", corev1.HostPathUnset, ""},
		{"made", corev1.HostPathDirectoryOrCreate, ""},
		{"made", corev1.HostPathDirectory, ""},
		{"none", corev1.HostPathDirectory, "is not a directory"},
		{"none", corev1.HostPathFile, "is not a file"},
		{"file", corev1.HostPathFile, ""},
		{"file", corev1.HostPathDirectory, "is not a directory"},
		{"touched", corev1.HostPathFileOrCreate, ""},
		{"touched", corev1.HostPathFile, ""},
		{"file", corev1.HostPathSocket, "is not a socket file"},
		{"file", corev1.HostPathCharDev, "is not a character device"},
		{"file", corev1.HostPathBlockDev, "is not a block device"},
	} {
		path := filepath.Join(dir, c.path)
		want := ""
		if c.want != "" {
			want = "hostPath type check failed: " + path + " " + c.want
		}
		err := checkHostPath(&corev1.HostPathVolumeSource{Path: path, Type: &c.kind})
		if got := fmt.Sprint(err); got != want && (err != nil || want != "") {
			t.Errorf("%s %q: %s, want %s", c.path, c.kind, got, want)
		}
	}
}

func TestFSGroup(t *testing.T) {
	v := &Manager{Dir: t.TempDir(), Sources: podtest.NewObjects()}
	gid := os.Getgid() // the only group that any user can give a file to
	pod := podtest.Pod(t, fmt.Sprintf(`{securityContext: {fsGroup: %d}, containers: [{name: c}], volumes: [{name: e, emptyDir: {}}, {name: s, secret: {secretName: key, defaultMode: 0400}}]}`, gid))
	if err := v.Prepare(t.Context(), pod, env.Facts{}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(v.path(pod.UID, "e"))
	if err != nil || info.Mode()&os.ModeSetgid == 0 {
		t.Errorf("mode %v, %v: files made in it would not be the group's", info.Mode(), err)
	}
	if got := tree(t, v.path(pod.UID, "s")); got != `token 440 "s3cret"` {
		t.Errorf("secret %s: the group can't read it", got)
	}
}

func TestTerminationMessage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m")
	for _, c := range []struct{ written, want string }{
		{"", ""}, {"died of boredom\n", "died of boredom\n"},
		{strings.Repeat("x", 5000) + "end", strings.Repeat("x", 4093) + "end"},
		{"é" + strings.Repeat("x", 4095), strings.Repeat("x", 4095)},
		{"\xff", "\ufffd"},
	} {
		if err := os.WriteFile(path, []byte(c.written), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := readEnd(path); got != c.want {
			t.Errorf("message of %.20q...: %.20q (%d), want %.20q (%d)", c.written, got, len(got), c.want, len(c.want))
		}
	}
	if got := readEnd(path + "-none"); got != "" {
		t.Errorf("message of no file: %q", got)
	}
}

func TestSweep(t *testing.T) {
	v := &Manager{Dir: t.TempDir(), MemoryDir: t.TempDir(), Sources: podtest.NewObjects(), Engine: memory.New(memory.Options{})}
	for _, dir := range []string{v.Dir, v.MemoryDir} {
		for _, uid := range []string{"known", "unknown"} {
			if err := os.MkdirAll(filepath.Join(dir, uid, "volumes"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := v.Sweep(t.Context(), func(uid types.UID) bool { return uid == "known" }); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{v.Dir, v.MemoryDir} {
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 1 || entries[0].Name() != "known" {
			t.Errorf("left %v, %v", entries, err)
		}
	}
}

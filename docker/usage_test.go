package docker

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// tree writes files below a new directory.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		at := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestCgroups(t *testing.T) {
	v1 := func(cpu, below string) map[string]string {
		return map[string]string{
			cpu + "/cpuacct.usage":                          "9000000\n",
			cpu + "/" + below + "/cpuacct.usage":            "5000000\n",
			"memory/" + below + "/memory.usage_in_bytes":    "1000\n",
			"memory/" + below + "/memory.stat":              "cache 1\ninactive_file 1\ntotal_inactive_file 300\n",
			"unified/" + below + "/cpu.stat":                "usage_usec 1\n",
			"memory/docker/other/memory.usage_in_bytes":     "1\n",
			"memory/system.slice/docker.service/memory.nix": "",
		}
	}
	v2 := func(below string) map[string]string {
		return map[string]string{
			"cpu.stat":                   "usage_usec 9000\nuser_usec 1\n",
			below + "/cpu.stat":          "usage_usec 5000\nuser_usec 3000\n",
			below + "/memory.current":    "1000\n",
			below + "/memory.stat":       "anon 700\ninactive_file 300\n",
			"docker/other/memory.events": "",
		}
	}
	for name, files := range map[string]map[string]string{
		"version 1, cgroupfs":             v1("cpuacct", "docker/id"),
		"version 1, controllers together": v1("cpu,cpuacct", "docker/id"),
		"version 1, systemd":              v1("cpu,cpuacct", "system.slice/docker-id.scope"),
		"version 2, cgroupfs":             v2("docker/id"),
		"version 2, systemd":              v2("system.slice/docker-id.scope"),
		"version 2, a user's engine":      v2("user.slice/user-1000.slice/user@1000.service/user.slice/docker-id.scope"),
	} {
		t.Run(name, func(t *testing.T) {
			c := &cgroups{root: tree(t, files), proc: tree(t, map[string]string{
				"meminfo": "MemTotal:  100 kB\nMemFree:  40 kB\nActive(file): 3 kB\nInactive(file): 10 kB\n",
			})}
			for range 2 { // found, and remembered
				if u, ok := c.container("id"); !ok || fmt.Sprint(u.CPU, u.Memory) != "5ms 700" {
					t.Errorf("%v %d, %v", u.CPU, u.Memory, ok)
				}
			}
			if _, ok := c.container("gone"); ok {
				t.Error("found a container that is not there")
			}
			if u, total, ok := c.machine(); !ok || fmt.Sprint(u.CPU, u.Memory, total) != "9ms 51200 102400" {
				t.Errorf("the machine: %v %d of %d, %v", u.CPU, u.Memory, total, ok)
			}
		})
	}
	t.Run("another machine's", func(t *testing.T) {
		c := &cgroups{root: t.TempDir(), proc: t.TempDir()}
		if _, ok := c.container("id"); ok {
			t.Error("found")
		}
		if _, _, ok := c.machine(); ok {
			t.Error("the machine told")
		}
	})
}

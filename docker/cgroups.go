package docker

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// cgroups reads what the kernel counts for control groups, where these are files of this machine.
// https://docs.kernel.org/admin-guide/cgroup-v1/ and https://docs.kernel.org/admin-guide/cgroup-v2.html
type cgroups struct {
	// root is /sys/fs/cgroup, proc is /proc.
	root, proc string
	// found is the layout in which a container was found last.
	found atomic.Pointer[cgroupLayout]
}

// cgroupLayout says where a container's directories are.
type cgroupLayout struct {
	// cpu and memory are the hierarchies below the root; the same, "", in version 2.
	cpu, memory string
	// parent and name are a pattern of the directory of the container whose ID is *.
	parent, name string
}

// layouts are those of the engine's cgroup drivers cgroupfs and systemd, in both versions, and of
// an engine that runs as a user.
func (c *cgroups) layouts() []cgroupLayout {
	places := []cgroupLayout{{parent: "docker", name: "*"}, {parent: "system.slice", name: "docker-*.scope"}}
	users, _ := filepath.Glob(filepath.Join(c.root, "user.slice/user-*.slice/user@*.service/user.slice")) // fails for a bad pattern only
	for _, dir := range users {
		if parent, err := filepath.Rel(c.root, dir); err == nil {
			places = append(places, cgroupLayout{parent: parent, name: "docker-*.scope"})
		}
	}
	var out []cgroupLayout
	for _, at := range places {
		for _, cpu := range []string{"cpuacct", "cpu,cpuacct"} {
			out = append(out, cgroupLayout{cpu: cpu, memory: "memory", parent: at.parent, name: at.name})
		}
		out = append(out, at)
	}
	return out
}

// container reads the counters of a container, if they are here.
func (c *cgroups) container(id string) (Usage, bool) {
	if known := c.found.Load(); known != nil {
		return c.read(*known, id)
	}
	for _, l := range c.layouts() {
		if u, ok := c.read(l, id); ok {
			c.found.Store(&l)
			return u, true
		}
	}
	return Usage{}, false
}

func (c *cgroups) read(l cgroupLayout, id string) (Usage, bool) {
	below := filepath.Join(l.parent, strings.Replace(l.name, "*", id, 1))
	cpu, memory := filepath.Join(c.root, l.cpu, below), filepath.Join(c.root, l.memory, below)
	used, ok := cpuTime(cpu, l.cpu != "")
	if !ok {
		return Usage{}, false
	}
	file, cached := "memory.current", "inactive_file"
	if l.memory != "" {
		file, cached = "memory.usage_in_bytes", "total_inactive_file"
	}
	bytes, ok := number(filepath.Join(memory, file))
	if !ok {
		return Usage{}, false
	}
	drop, _ := lineOf(filepath.Join(memory, "memory.stat"), cached) // one that is missing drops nothing
	return Usage{CPU: used, Memory: bytes - min(bytes, drop)}, true
}

// cpuTime is the processor time of the group whose directory is dir.
func cpuTime(dir string, v1 bool) (time.Duration, bool) {
	if v1 {
		ns, ok := number(filepath.Join(dir, "cpuacct.usage"))
		return time.Duration(ns), ok
	}
	us, ok := lineOf(filepath.Join(dir, "cpu.stat"), "usage_usec")
	return time.Duration(us) * time.Microsecond, ok
}

// machine reads the counters of this machine, and its memory in bytes.
func (c *cgroups) machine() (u Usage, total int64, ok bool) {
	for _, cpu := range []string{"cpuacct", "cpu,cpuacct", ""} {
		if u.CPU, ok = cpuTime(filepath.Join(c.root, cpu), cpu != ""); ok {
			break
		}
	}
	info := filepath.Join(c.proc, "meminfo")
	total, known := lineOf(info, "MemTotal:")
	free, _ := lineOf(info, "MemFree:")
	cached, _ := lineOf(info, "Inactive(file):")
	const kib = 1 << 10
	u.Memory = (total - free - cached) * kib
	return u, total * kib, ok && known
}

// number reads a file that holds a number.
func number(file string) (int64, bool) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64)
	return n, err == nil
}

// lineOf reads the number that follows a key in a file of such lines.
func lineOf(file, key string) (int64, bool) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(raw)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == key {
			n, err := strconv.ParseInt(fields[1], 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

package doctor

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"skiff/cli/command"
	"skiff/cli/terminal"
	"skiff/daemon/config"
)

var update = flag.Bool("update", false, "write the expectations anew")

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// healthy is a machine with which nothing is wrong.
func healthy() findings {
	return findings{
		dir: "/state/skiff", instance: "aaaa0000", now: noon, known: []string{"aaaa0000"},
		engine: config.Engine{Host: "unix:///var/run/docker.sock", Named: "the default socket", Version: "28.5.2", API: "1.51", OS: "Debian", Root: "/var/lib/docker", Local: true,
			CgroupDriver: "systemd", CgroupVersion: "2", MemoryLimit: true, PidsLimit: true, CPULimit: true, Time: noon.Add(time.Second),
			Remains: []config.Remains{{Instance: "aaaa0000", Containers: 3, Running: 2, Networks: 1}}},
		dataDisk: &disk{path: "/state/skiff", free: 20 << 30}, engineDisk: &disk{path: "/var/lib/docker", free: 20 << 30},
		daemon:    daemonFindings{pid: 7, address: "127.0.0.1:7443", network: "10.244.0.0/16, nftables; pods are reached directly", door: "127.0.0.1:7480"},
		localhost: []string{"127.0.0.1", "::1"},
	}
}

// stopped is a healthy machine on which no daemon runs, and none ever has.
func stopped(f *findings) {
	f.daemon, f.instance, f.known, f.engine.Remains = daemonFindings{}, "", nil, nil
}

var cases = []struct {
	name   string
	change func(*findings)
}{
	{"all is well", func(*findings) {}},
	{"no daemon yet", stopped},
	{"no engine", func(f *findings) {
		stopped(f)
		f.engine, f.engineDisk = config.Engine{Host: "unix:///var/run/docker.sock", Named: "the default socket"}, nil
		f.engineErr = errors.New("ping: cannot reach the Docker Engine at unix:///var/run/docker.sock")
	}},
	{"no right to the socket", func(f *findings) {
		stopped(f)
		f.engineErr = errors.New("ping: permission denied at unix:///var/run/docker.sock")
	}},
	{"a context that is wrong", func(f *findings) {
		stopped(f)
		f.engine = config.Engine{Named: "docker context far"}
		f.engineErr = errors.New("connect to docker: context far does not exist")
	}},
	{"rootless, without limits, with a clock that is off", func(f *findings) {
		f.engine.Rootless, f.engine.MemoryLimit, f.engine.PidsLimit, f.engine.Time = true, false, false, noon.Add(-90*time.Second)
	}},
	{"Docker Desktop", func(f *findings) { f.engine.OS, f.engine.Local, f.engineDisk = "Docker Desktop", true, nil }},
	{"little room", func(f *findings) { f.dataDisk.free, f.engineDisk.free = 300<<20, 10<<20 }},
	{"a full disk", func(f *findings) { f.dataDisk.full = errors.New("the disk of /state/skiff is full (12 KiB free)") }},
	{"containers without their daemon", func(f *findings) { f.daemon = daemonFindings{} }},
	{"a daemon that does not answer", func(f *findings) {
		f.daemon = daemonFindings{pid: 7, address: "127.0.0.1:7443", api: errors.New("its API does not answer: connection refused")}
	}},
	{"somebody else's directory", func(f *findings) {
		f.daemon = daemonFindings{lockErr: errors.New("opening the lock of the data directory: permission denied")}
	}},
	{"an older daemon, without nf_tables", func(f *findings) {
		f.daemon.other = "the daemon runs another skiff than this one: /usr/bin/skiff (deleted)"
		f.daemon.network = "10.244.0.0/16, userland; pods are reached directly (no nf_tables)"
	}},
	{"a network that waits", func(f *findings) { f.daemon.network = "waiting for its router: it was killed" }},
	{"ports that others have", func(f *findings) {
		stopped(f)
		f.taken = map[string]string{"the API": "127.0.0.1:7443", "the front door": "127.0.0.1:7480"}
	}},
	{"left over", func(f *findings) {
		f.engine.Remains = append(f.engine.Remains, config.Remains{Instance: "bbbb1111", Containers: 2, Running: 1, Networks: 1, Volumes: 1})
		f.trials = []string{"/tmp/skiff-test-1"}
	}},
	{"a stale context, and names that lead elsewhere", func(f *findings) {
		f.context = `its context "skiff" has the certificates of an earlier daemon`
		f.localhost = []string{"93.184.216.34"}
	}},
	{"a stale context without a daemon, and no names", func(f *findings) {
		stopped(f)
		f.context = `its context "skiff" leads to https://127.0.0.1:7443, where no daemon of this data directory runs`
		f.localhost, f.localhostErr = nil, errors.New("not found")
	}},
}

// TestJudge compares what is said of each machine with testdata/judge.txt.
func TestJudge(t *testing.T) {
	const file = "testdata/judge.txt"
	var got strings.Builder
	for _, c := range cases {
		f := healthy()
		c.change(&f)
		var out bytes.Buffer
		checks := judge(f)
		count := map[Level]int{}
		for _, one := range checks {
			count[one.Level]++
		}
		print(&command.Env{Streams: terminal.Streams{Out: &out}}, checks, count)
		fmt.Fprintf(&got, "== %s\n%s\n", c.name, out.String())
	}
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", got.String(), want)
	}
}

func TestFlagValue(t *testing.T) {
	for want, args := range map[string][]string{
		"/a": {"skiff", "daemon", "run", "--data-dir", "/a"}, "/b": {"skiff", "daemon", "run", "--data-dir=/b", "--listen", "x"}, "": {"skiff", "daemon", "run", "--data-dir"},
	} {
		if got := flagValue(args, "--data-dir"); got != want {
			t.Errorf("%v: %q, want %q", args, got, want)
		}
	}
}

func TestFailing(t *testing.T) {
	got := failing("[+]ping ok\n[-]store failed: the disk is full\nreadyz check failed\n")
	if len(got) != 1 || got[0] != "store failed: the disk is full" {
		t.Errorf("%q", got)
	}
}

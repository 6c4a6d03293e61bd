package daemon

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"skiff/cli/command"
	"skiff/cli/terminal"
	"skiff/daemon/config"
	"skiff/daemon/datadir"
)

func installEnv(home string, variables map[string]string) (*command.Env, *bytes.Buffer) {
	var out bytes.Buffer
	return &command.Env{Streams: terminal.Streams{Out: &out, Err: &out}, Lookup: func(name string) (string, bool) {
		if name == "HOME" {
			return home, true
		}
		v, ok := variables[name]
		return v, ok
	}}, &out
}

func TestServices(t *testing.T) {
	env, _ := installEnv("/home/me", map[string]string{"DOCKER_HOST": "unix:///run/user/1000/docker.sock", "PATH": "/usr/bin:/usr/local/bin"})
	program := []string{"/opt/my skiff", "daemon", "run", "--data-dir", "/d", "--cluster-domain=100%"}
	got, err := serviceOf("linux", env, program)
	if err != nil {
		t.Fatal(err)
	}
	const wantUnit = `[Unit]
Description=skiff: Kubernetes workloads on the Docker Engine
Documentation=man:skiff-daemon(1)

[Service]
Type=notify
Environment=DOCKER_HOST=unix:///run/user/1000/docker.sock
ExecStart="/opt/my skiff" daemon run --data-dir /d --cluster-domain=100%%
Restart=on-failure
RestartSec=2

[Install]
WantedBy=default.target
`
	if got.path != "/home/me/.config/systemd/user/skiff.service" || got.text != wantUnit {
		t.Errorf("%s:\n%s", got.path, got.text)
	}
	got = launchd(env, "/Users/me", []string{"/skiff", "daemon", "run", "--x=<&>"}, 501)
	for _, want := range []string{
		"\t\t<string>/skiff</string>\n\t\t<string>daemon</string>\n\t\t<string>run</string>\n\t\t<string>--x=&lt;&amp;&gt;</string>\n",
		"<key>DOCKER_HOST</key><string>unix:///run/user/1000/docker.sock</string>", "<key>PATH</key><string>/usr/bin:/usr/local/bin</string>",
	} {
		if !strings.Contains(got.text, want) {
			t.Errorf("no %s in:\n%s", want, got.text)
		}
	}
	if _, err := serviceOf("windows", env, program); err == nil {
		t.Error("a service for Windows")
	}
}

// The system's command is played by a script that notes how it was called.
func TestInstallAndUninstall(t *testing.T) {
	home, bin := t.TempDir(), t.TempDir()
	calls := filepath.Join(bin, "calls")
	script := "#!/bin/sh\necho \"$@\" >> " + calls + "\n"
	if err := os.WriteFile(filepath.Join(bin, "systemctl"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	env, out := installEnv(home, nil)
	s, err := serviceOf("linux", env, []string{"/skiff", "daemon", "run"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.install(t.Context(), env, config.Config{Dir: datadir.Dir(t.TempDir())}); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(home, ".config/systemd/user/skiff.service")); err != nil || string(text) != s.text {
		t.Errorf("%s, %v", text, err)
	}
	for range 2 { // the second finds nothing
		if err := s.uninstall(t.Context(), env); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(s.path); !os.IsNotExist(err) {
		t.Errorf("the unit is left: %v", err)
	}
	said, err := os.ReadFile(calls)
	if want := "--user daemon-reload\n--user enable skiff.service\n--user restart skiff.service\n--user disable --now skiff.service\n"; err != nil || string(said) != want {
		t.Errorf("calls %s, %v", said, err)
	}
	if !strings.Contains(out.String(), "there is no service") {
		t.Errorf("said %s", out)
	}
}

func TestNotify(t *testing.T) {
	path := filepath.Join(t.TempDir(), "n")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	if err := notify(); err != nil {
		t.Fatal(err)
	}
	var said [64]byte
	n, err := l.Read(said[:])
	if err != nil || string(said[:n]) != "READY=1" {
		t.Errorf("%q, %v", said[:n], err)
	}
	if err := notify(); err != nil { // said once
		t.Error(err)
	}
}

package docker

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// writeContext stores a context as the docker CLI does.
func writeContext(t *testing.T, dir, name, meta string) (tls string) {
	t.Helper()
	sum := sha256.Sum256([]byte(name))
	id := hex.EncodeToString(sum[:])
	writeFile(t, filepath.Join(dir, "contexts", "meta", id, "meta.json"), meta)
	return filepath.Join(dir, "contexts", "tls", id, "docker")
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	check(t, os.MkdirAll(filepath.Dir(path), 0o755))
	check(t, os.WriteFile(path, []byte(content), 0o600))
}

func TestFindEndpoint(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "config.json"), `{"currentContext": "current"}`)
	writeContext(t, dir, "current", `{"Name":"current","Endpoints":{"docker":{"Host":"unix:///current.sock"}}}`)
	writeContext(t, dir, "named", `{"Name":"named","Endpoints":{"docker":{"Host":"unix:///named.sock"}}}`)
	writeContext(t, dir, "far", `{"Name":"far","Endpoints":{"docker":{"Host":"ssh://me@there"}}}`)
	writeContext(t, dir, "hollow", `{"Name":"hollow","Endpoints":{"kubernetes":{}}}`)
	writeContext(t, dir, "broken", `{`)
	bare := t.TempDir()
	broken := t.TempDir()
	writeFile(t, filepath.Join(broken, "config.json"), `{"currentContext":`)

	for _, test := range []struct {
		name, host, dir string
		env             map[string]string
		want            string
		err             error
	}{
		{name: "host given", host: "unix:///given.sock", dir: dir, env: map[string]string{"DOCKER_HOST": "unix:///e.sock"}, want: "unix:///given.sock"},
		{name: "environment before contexts", dir: dir, env: map[string]string{"DOCKER_HOST": "unix:///e.sock", "DOCKER_CONTEXT": "named"}, want: "unix:///e.sock"},
		{name: "context of the environment", dir: dir, env: map[string]string{"DOCKER_CONTEXT": "named"}, want: "unix:///named.sock"},
		{name: "default context of the environment", dir: dir, env: map[string]string{"DOCKER_CONTEXT": "default"}, want: "unix:///var/run/docker.sock"},
		{name: "current context", dir: dir, want: "unix:///current.sock"},
		{name: "no configuration", dir: bare, want: "unix:///var/run/docker.sock"},
		{name: "no such context", dir: dir, env: map[string]string{"DOCKER_CONTEXT": "nope"}, err: ErrNotFound},
		{name: "engine elsewhere", dir: dir, env: map[string]string{"DOCKER_CONTEXT": "far"}, err: ErrInvalid},
		{name: "context without docker", dir: dir, env: map[string]string{"DOCKER_CONTEXT": "hollow"}, err: ErrInvalid},
		{name: "broken context", dir: dir, env: map[string]string{"DOCKER_CONTEXT": "broken"}, err: errAny},
		{name: "broken configuration", dir: broken, err: errAny},
	} {
		t.Run(test.name, func(t *testing.T) {
			at, err := findEndpoint(test.host, test.dir, func(name string) string { return test.env[name] })
			switch {
			case test.err == errAny && err != nil:
			case !errors.Is(err, test.err):
				t.Fatalf("error %v, want %v", err, test.err)
			case at.Host != test.want:
				t.Fatalf("host %q, want %q", at.Host, test.want)
			case at.TLS != nil:
				t.Fatalf("TLS %+v where none is configured", at.TLS)
			}
		})
	}
}

// errAny stands for an error that has no kind.
var errAny = errors.New("any")

func TestFindEndpointTLS(t *testing.T) {
	dir := t.TempDir()
	certs := writeContext(t, dir, "secure", `{"Endpoints":{"docker":{"Host":"tcp://there:2376"}}}`)
	writeFile(t, filepath.Join(certs, "ca.pem"), "x")
	writeContext(t, dir, "careless", `{"Endpoints":{"docker":{"Host":"tcp://there:2376","SkipTLSVerify":true}}}`)
	for _, test := range []struct {
		name     string
		env      map[string]string
		ca       string
		insecure bool
	}{
		{"certificates of the context", map[string]string{"DOCKER_CONTEXT": "secure"}, filepath.Join(certs, "ca.pem"), false},
		{"context that does not verify", map[string]string{"DOCKER_CONTEXT": "careless"}, "", true},
		{"environment", map[string]string{"DOCKER_HOST": "tcp://there:2376", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": certs}, filepath.Join(certs, "ca.pem"), false},
		{"environment that does not verify", map[string]string{"DOCKER_HOST": "tcp://there:2376", "DOCKER_CERT_PATH": certs}, filepath.Join(certs, "ca.pem"), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			at, err := findEndpoint("", dir, func(name string) string { return test.env[name] })
			check(t, err)
			if at.TLS == nil || at.TLS.CAFile != test.ca || at.TLS.InsecureSkipVerify != test.insecure {
				t.Fatalf("TLS %+v, want ca %q, insecure %v", at.TLS, test.ca, test.insecure)
			}
		})
	}
}

func TestConfigDir(t *testing.T) {
	for want, env := range map[string]map[string]string{
		"/home/me/.docker": {"HOME": "/home/me"},
		"/elsewhere":       {"HOME": "/home/me", "DOCKER_CONFIG": "/elsewhere"},
	} {
		if got := configDir(func(name string) string { return env[name] }); got != want {
			t.Errorf("directory %q, want %q", got, want)
		}
	}
}

// The system's socket is taken while it is there, then the user's own ones in their order.
func TestUsualHost(t *testing.T) {
	dir := t.TempDir()
	listen := func(parts ...string) string {
		t.Helper()
		path := filepath.Join(append([]string{dir}, parts...)...)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return "unix://" + path
	}
	env := map[string]string{"HOME": filepath.Join(dir, "home"), "XDG_RUNTIME_DIR": filepath.Join(dir, "run")}
	system := "unix://" + filepath.Join(dir, "system.sock")
	expect := func(want string) {
		t.Helper()
		if got := usualHost(system, func(name string) string { return env[name] }); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	expect(system) // for the error that names it
	desktop := listen("home", ".docker", "desktop", "docker.sock")
	expect(desktop)
	rootless := listen("run", "docker.sock")
	expect(rootless)
	delete(env, "XDG_RUNTIME_DIR")
	expect(desktop)
	listen("system.sock")
	expect(system)
	if got := usualHost("npipe:////./pipe/docker_engine", func(string) string { return "" }); got != "npipe:////./pipe/docker_engine" {
		t.Errorf("on Windows: %s", got)
	}
}

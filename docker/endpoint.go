package docker

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/docker/docker/client"
	"github.com/docker/go-connections/tlsconfig"
)

// endpoint is where an engine listens. TLS is nil where it speaks plain HTTP.
type endpoint struct {
	Host string
	TLS  *tlsconfig.Options
}

// configDir is the docker CLI's directory.
func configDir(getenv func(string) string) string {
	if dir := getenv("DOCKER_CONFIG"); dir != "" {
		return dir
	}
	return filepath.Join(homeDir(getenv), ".docker")
}

func homeDir(getenv func(string) string) string {
	return cmp.Or(getenv("HOME"), getenv("USERPROFILE")) // the latter is Windows'
}

// findEndpoint looks where the docker CLI looks, in its order: host, DOCKER_HOST, DOCKER_CONTEXT,
// the current context, the default socket. Where there is no such socket, it is that of the user's own engine.
func findEndpoint(host, dir string, getenv func(string) string) (endpoint, error) {
	if host = cmp.Or(host, getenv(client.EnvOverrideHost)); host != "" {
		return checkEndpoint(endpoint{Host: host, TLS: tlsFromEnv(dir, getenv)})
	}
	name := getenv("DOCKER_CONTEXT")
	if name == "" {
		config, err := readCLIConfig(dir)
		if err != nil {
			return endpoint{}, err
		}
		name = config.CurrentContext
	}
	if name == "" || name == "default" {
		return checkEndpoint(endpoint{Host: usualHost(client.DefaultDockerHost, getenv), TLS: tlsFromEnv(dir, getenv)})
	}
	at, err := readContext(dir, name)
	if err != nil {
		return endpoint{}, err
	}
	return checkEndpoint(at)
}

// usualHost is the system's engine or, where its socket is missing, one of the user's own that has a socket: a
// rootless one (https://docs.docker.com/engine/security/rootless) or Docker Desktop's.
func usualHost(system string, getenv func(string) string) string {
	isSocket := func(path string) bool {
		info, err := os.Stat(path)
		return err == nil && info.Mode()&fs.ModeSocket != 0
	}
	path, local := strings.CutPrefix(system, "unix://")
	if !local || isSocket(path) {
		return system
	}
	for _, own := range []string{
		filepath.Join(getenv("XDG_RUNTIME_DIR"), "docker.sock"),
		filepath.Join(homeDir(getenv), ".docker", "run", "docker.sock"), filepath.Join(homeDir(getenv), ".docker", "desktop", "docker.sock"),
	} {
		if filepath.IsAbs(own) && isSocket(own) {
			return "unix://" + own
		}
	}
	return system
}

func checkEndpoint(at endpoint) (endpoint, error) {
	scheme, _, _ := strings.Cut(at.Host, "://")
	switch scheme {
	case "unix", "npipe", "tcp":
		return at, nil
	case "ssh":
		return endpoint{}, fmt.Errorf("host %s: %w: pods' volumes are files of this machine, so the engine must run "+
			"on it: set DOCKER_HOST or choose another docker context", at.Host, ErrInvalid)
	}
	return endpoint{}, fmt.Errorf("host %q: %w: want unix:///path or tcp://host:port", at.Host, ErrInvalid)
}

// tlsFromEnv reads DOCKER_TLS_VERIFY and DOCKER_CERT_PATH as the docker CLI does.
func tlsFromEnv(dir string, getenv func(string) string) *tlsconfig.Options {
	verify, certs := getenv(client.EnvTLSVerify) != "", getenv(client.EnvOverrideCertPath)
	if !verify && certs == "" {
		return nil
	}
	return tlsFiles(cmp.Or(certs, dir), !verify)
}

// tlsFiles names the files of dir that exist.
func tlsFiles(dir string, insecure bool) *tlsconfig.Options {
	existing := func(name string) string {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err != nil {
			return ""
		}
		return path
	}
	return &tlsconfig.Options{
		CAFile: existing("ca.pem"), CertFile: existing("cert.pem"), KeyFile: existing("key.pem"),
		InsecureSkipVerify: insecure, ExclusiveRootPools: true,
	}
}

// readContext reads a context of the docker CLI: contexts/meta/<sha256 of its name>/meta.json, its
// certificates in contexts/tls/<sha256>/docker.
func readContext(dir, name string) (endpoint, error) {
	sum := sha256.Sum256([]byte(name))
	id := hex.EncodeToString(sum[:])
	data, err := os.ReadFile(filepath.Join(dir, "contexts", "meta", id, "meta.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return endpoint{}, fmt.Errorf("docker context %q: %w: choose one of docker context ls, or set DOCKER_HOST", name, ErrNotFound)
	}
	if err != nil {
		return endpoint{}, fmt.Errorf("docker context %q: %w", name, err)
	}
	var meta struct {
		Endpoints map[string]struct {
			Host          string
			SkipTLSVerify bool
		}
	}
	if err := json.Unmarshal(data, &meta); err != nil {
		return endpoint{}, fmt.Errorf("docker context %q: %w", name, err)
	}
	found, ok := meta.Endpoints["docker"]
	if !ok || found.Host == "" {
		return endpoint{}, fmt.Errorf("docker context %q: %w: it names no docker host", name, ErrInvalid)
	}
	at := endpoint{Host: found.Host}
	certs := filepath.Join(dir, "contexts", "tls", id, "docker")
	if _, err := os.Stat(certs); err == nil || found.SkipTLSVerify {
		at.TLS = tlsFiles(certs, found.SkipTLSVerify)
	}
	return at, nil
}

// cliConfig is the part of the docker CLI's config.json that skiff reads.
type cliConfig struct {
	CurrentContext    string                `json:"currentContext"`
	Auths             map[string]storedAuth `json:"auths"`
	CredentialsStore  string                `json:"credsStore"`
	CredentialHelpers map[string]string     `json:"credHelpers"`
}

// readCLIConfig reads config.json; where there is none the configuration is empty.
func readCLIConfig(dir string) (cliConfig, error) {
	path := filepath.Join(dir, "config.json")
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return cliConfig{}, nil
	}
	if err != nil {
		return cliConfig{}, fmt.Errorf("read docker configuration: %w", err)
	}
	var config cliConfig
	if err := json.Unmarshal(data, &config); err != nil {
		return cliConfig{}, fmt.Errorf("read docker configuration %s: %w", path, err)
	}
	return config, nil
}

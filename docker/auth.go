package docker

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/registry"
)

// dockerHub is the name under which the docker CLI keeps the credentials of docker.io.
const dockerHub = "https://index.docker.io/v1/"

// storedAuth is an entry of config.json's auths: auth is base64 of user:password.
type storedAuth struct {
	Auth          string `json:"auth"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

// registryAuth is the header with the credentials for ref's registry, the given ones before the
// stored; empty where there are none. A given document that can't be read, or whose entry can't,
// counts for none, as with kubelet: another may fit, and the registry says so where none does.
func (e *Engine) registryAuth(ctx context.Context, ref string, given [][]byte) (string, error) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return "", fmt.Errorf("reference %q: %w", ref, err)
	}
	server := reference.Domain(named)
	if server == "docker.io" {
		server = dockerHub
	}
	for _, document := range given {
		var config cliConfig
		if err := json.Unmarshal(document, &config); err != nil {
			e.log.Warn("given registry credentials skipped, they can't be read", "image", ref, "error", err)
			continue
		}
		auth, err := config.stored(server)
		if err != nil {
			e.log.Warn("given registry credentials skipped, they can't be read", "image", ref, "error", err)
			continue
		}
		if auth != nil {
			return encodeAuth(auth, nil)
		}
	}
	config, err := readCLIConfig(e.configDir)
	if err != nil {
		return "", err
	}
	return encodeAuth(config.credentials(ctx, server))
}

func encodeAuth(auth *registry.AuthConfig, err error) (string, error) {
	if err != nil || auth == nil {
		return "", err
	}
	return registry.EncodeAuthConfig(*auth)
}

// credentials looks where docker login put them: the registry's helper, else the common one, else
// the file.
func (c *cliConfig) credentials(ctx context.Context, server string) (*registry.AuthConfig, error) {
	helper := c.CredentialHelpers[server]
	if helper == "" {
		helper = c.CredentialsStore
	}
	if helper != "" {
		auth, err := askHelper(ctx, helper, server)
		if auth != nil || err != nil {
			return auth, err
		}
	}
	return c.stored(server)
}

// stored looks in the document itself; nil where it knows nothing.
func (c *cliConfig) stored(server string) (*registry.AuthConfig, error) {
	for name, stored := range c.Auths {
		if name == server || hostOf(name) == hostOf(server) {
			return stored.decode(server)
		}
	}
	return nil, nil
}

// hostOf reduces a registry's name, which older CLIs kept as a URL, to its host and port.
func hostOf(name string) string {
	_, after, hasScheme := strings.Cut(name, "://")
	if !hasScheme {
		after = name
	}
	host, _, _ := strings.Cut(after, "/")
	return host
}

// decode gives nil for the empty entry the CLI leaves where a helper keeps the secret.
func (s storedAuth) decode(server string) (*registry.AuthConfig, error) {
	if s == (storedAuth{}) {
		return nil, nil
	}
	plain, err := base64.StdEncoding.DecodeString(s.Auth)
	if err != nil {
		return nil, fmt.Errorf("credentials of %s in docker's config.json: %w", server, err)
	}
	user, password, _ := strings.Cut(string(plain), ":")
	return &registry.AuthConfig{
		Username: user, Password: strings.TrimRight(password, "\x00"), ServerAddress: server,
		IdentityToken: s.IdentityToken, RegistryToken: s.RegistryToken,
	}, nil
}

// askHelper speaks the CLI's protocol with docker-credential-<helper>: the server on standard
// input, JSON on standard output, and a fixed text where it knows nothing.
func askHelper(ctx context.Context, helper, server string) (*registry.AuthConfig, error) {
	command := exec.CommandContext(ctx, "docker-credential-"+helper, "get")
	command.Stdin = strings.NewReader(server)
	var complaint bytes.Buffer
	command.Stderr = &complaint
	answer, err := command.Output()
	if err != nil {
		told := strings.TrimSpace(string(answer) + complaint.String())
		if strings.Contains(told, "credentials not found") {
			return nil, nil
		}
		return nil, fmt.Errorf("ask docker-credential-%s for the credentials of %s: %w", helper, server, errors.Join(err, note(told)))
	}
	var secret struct{ Username, Secret string }
	if err := json.Unmarshal(answer, &secret); err != nil {
		return nil, fmt.Errorf("read the answer of docker-credential-%s: %w", helper, err)
	}
	auth := &registry.AuthConfig{ServerAddress: server}
	if secret.Username == "<token>" {
		auth.IdentityToken = secret.Secret
	} else {
		auth.Username, auth.Password = secret.Username, secret.Secret
	}
	return auth, nil
}

func note(text string) error {
	if text == "" {
		return nil
	}
	return errors.New(text)
}

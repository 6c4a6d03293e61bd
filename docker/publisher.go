package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/docker/go-connections/nat"
)

// publisherLabel is on the containers that hold ports of the machine. It holds the digest of what one
// was made from.
const publisherLabel = "skiff/publisher"

// publisherPort is the container's own end of its port: one that needs no rights.
const publisherPort = 10080

// publisherMemory bounds a publisher, in bytes: one that carries nothing takes 3 MB.
const publisherMemory = 128 << 20

// PublisherSpec is what a publisher is made from: a port of the engine's machine that leads into the
// instance's network.
type PublisherSpec struct {
	// Program and Digest are the router's, which can do this too.
	Program func() ([]byte, error)
	Digest  string
	// Protocol is "tcp" or "udp".
	Protocol string
	At, To   netip.AddrPort
}

// Local reports whether the engine listens on this machine alone, so that ports that it publishes are
// this machine's: its own, or passed on from a virtual machine as Docker Desktop does.
func (e *Engine) Local() bool {
	scheme, _, _ := strings.Cut(e.at.Host, "://")
	return scheme == "unix" || scheme == "npipe"
}

func (e *Engine) publisherName(s *PublisherSpec) string {
	at := strings.NewReplacer(":", "-", "[", "", "]", "").Replace(s.At.String())
	return fmt.Sprintf("%s-port-%s-%s", e.networkName(), s.Protocol, at)
}

func (s *PublisherSpec) digest() (string, error) {
	text, err := json.Marshal(struct{ Program, Protocol, At, To string }{s.Digest, s.Protocol, s.At.String(), s.To.String()})
	if err != nil {
		return "", fmt.Errorf("encode publisher: %w", err)
	}
	return digest(text), nil
}

// EnsurePublisher sees to it that a container holds the port and leads it where spec says: one whose
// port leads elsewhere is made anew. ErrPortInUse says that somebody else has the port.
//
// The container runs as nobody and has no rights: the engine opens the port.
func (e *Engine) EnsurePublisher(ctx context.Context, spec PublisherSpec) error {
	name := e.publisherName(&spec)
	want, err := spec.digest()
	if err != nil {
		return &Error{Op: "ensure publisher", Name: name, Err: err}
	}
	have, err := e.inspectOwn(ctx, "ensure publisher", name)
	switch {
	case err != nil && !errors.Is(err, ErrNotFound):
		return err
	case err == nil && have.Labels[publisherLabel] == want && have.State == Running:
		return nil
	case err == nil:
		if err := e.Remove(ctx, have.ID); err != nil {
			return err
		}
	}
	ref, err := e.ensureRouterImage(ctx, RouterSpec{Program: spec.Program, Digest: spec.Digest})
	if err != nil {
		return err
	}
	config, host := e.publisherConfig(&spec, ref, want)
	id, err := e.createOwn(ctx, name, config, host, nil)
	if err != nil {
		return err
	}
	if err := e.Start(ctx, id); err != nil {
		return errors.Join(err, e.Remove(context.WithoutCancel(ctx), id))
	}
	return nil
}

func (e *Engine) publisherConfig(spec *PublisherSpec, ref, want string) (*container.Config, *container.HostConfig) {
	inside := nat.Port(fmt.Sprintf("%d/%s", publisherPort, spec.Protocol))
	config := &container.Config{
		Image: ref, Cmd: []string{"publish", spec.Protocol, strconv.Itoa(publisherPort), spec.To.String()}, User: "65534:65534",
		Labels:       e.labels(map[string]string{publisherLabel: want}),
		ExposedPorts: nat.PortSet{inside: {}},
		Healthcheck:  &container.HealthConfig{Test: []string{"NONE"}},
	}
	host := &container.HostConfig{
		LogConfig:      container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": "1m", "max-file": "1"}},
		NetworkMode:    container.NetworkMode(e.networkName()),
		PortBindings:   nat.PortMap{inside: {{HostIP: spec.At.Addr().String(), HostPort: strconv.Itoa(int(spec.At.Port()))}}},
		RestartPolicy:  container.RestartPolicy{Name: container.RestartPolicyUnlessStopped},
		CapDrop:        []string{"ALL"},
		SecurityOpt:    []string{"no-new-privileges"},
		ReadonlyRootfs: true,
		Init:           new(bool),
		Resources:      container.Resources{Memory: publisherMemory},
	}
	return config, host
}

// RemovePublisher closes a port that EnsurePublisher has opened. None is no error.
func (e *Engine) RemovePublisher(ctx context.Context, protocol string, at netip.AddrPort) error {
	name := e.publisherName(&PublisherSpec{Protocol: protocol, At: at})
	have, err := e.Inspect(ctx, name)
	if errors.Is(err, ErrNotFound) || err == nil && have.Labels[InstanceLabel] != e.instance {
		return nil
	}
	if err != nil {
		return err
	}
	return e.Remove(ctx, have.ID)
}

// RemovePublishers closes all ports that EnsurePublisher has opened for this instance.
func (e *Engine) RemovePublishers(ctx context.Context) error {
	var found []container.Summary
	err := e.call(ctx, "list", "", func(ctx context.Context, c *client.Client) (err error) {
		own := e.own()
		own.Add("label", publisherLabel)
		found, err = c.ContainerList(ctx, container.ListOptions{All: true, Filters: own})
		return err
	})
	for i := range found {
		err = errors.Join(err, e.Remove(ctx, found[i].ID))
	}
	return err
}

package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
)

// routerLabel is on the router's container and its image. On the container it holds the digest of
// what it was made from, on the image that of the program.
const routerLabel = "skiff/router"

// routerImage is the repository of router images; the tag is the program's digest.
const routerImage = "skiff/router"

// routerMemory and routerThreads bound the router and its front door together, in bytes and in threads:
// they take 35 MB with 1,000 services of 10 endpoints each.
const (
	routerMemory  = 512 << 20
	routerThreads = int64(512)
)

// RouterStateDir is the directory that a router finds again when it is restarted or made anew.
const RouterStateDir = "/state"

// RouterSpec is what the instance's router is made from.
type RouterSpec struct {
	// Program gives a static executable for the engine's machine. It is called if an image has to be
	// made of it. Digest ("sha256:…") tells it from others.
	Program func() ([]byte, error)
	Digest  string
	// Args are given to it, and Env, NAME=value pairs, too.
	Args, Env []string
	Layout    Layout
}

func (e *Engine) routerName() string { return e.networkName() + "-router" }

// EnsureRouter sees to it that the instance's router runs as spec says, and returns its container:
// it makes the image, from nothing but the program, and the container where they are missing, makes
// the container anew if it was made from something else, or if somebody has taken it off the network,
// and starts it.
//
// The router may rule over its own network namespace and nothing else: it has no capability but
// those for that, and can't write but to RouterStateDir. The engine starts it again with itself.
func (e *Engine) EnsureRouter(ctx context.Context, spec RouterSpec) (id string, err error) {
	want, err := spec.digest()
	if err != nil {
		return "", &Error{Op: "ensure router", Name: e.routerName(), Err: err}
	}
	have, err := e.inspectOwn(ctx, "ensure router", e.routerName())
	switch {
	case err != nil && !errors.Is(err, ErrNotFound):
		return "", err
	case err == nil && (have.Labels[routerLabel] != want || have.State == Removing || have.State == Running && !have.IP.IsValid()):
		if err := e.removeRouter(ctx, have); err != nil {
			return "", err
		}
	case err == nil && have.State == Running:
		return have.ID, nil
	case err == nil:
		return have.ID, e.Start(ctx, have.ID)
	}
	id, err = e.createRouter(ctx, spec, want)
	if err == nil && have.Image != "" && have.Image != routerRef(spec.Digest) {
		err = e.removeRouterImage(ctx, have.Image)
	}
	if err != nil {
		return "", err
	}
	return id, e.Start(ctx, id)
}

func (s *RouterSpec) digest() (string, error) {
	text, err := json.Marshal(struct {
		Program   string
		Args, Env []string
		Layout    Layout
	}{s.Digest, s.Args, s.Env, s.Layout})
	if err != nil {
		return "", fmt.Errorf("encode router: %w", err)
	}
	return digest(text), nil
}

func (e *Engine) createRouter(ctx context.Context, spec RouterSpec, want string) (string, error) {
	ref, err := e.ensureRouterImage(ctx, spec)
	if err != nil {
		return "", err
	}
	config, host, endpoint := e.routerConfig(spec, ref, want)
	return e.createOwn(ctx, e.routerName(), config, host, endpoint)
}

// inspectOwn is Inspect for a container of skiff's own. One that has its name and is not this instance's is
// ErrConflict.
func (e *Engine) inspectOwn(ctx context.Context, op, name string) (Container, error) {
	have, err := e.Inspect(ctx, name)
	if err == nil && have.Labels[InstanceLabel] != e.instance {
		err = &Error{Op: op, Name: name, Kind: ErrConflict, Err: fmt.Errorf(
			"a container of that name exists and is not this instance's: remove it (docker rm -f %s)", name)}
	}
	return have, err
}

// createOwn creates a container of skiff's own and returns its ID.
func (e *Engine) createOwn(ctx context.Context, name string, config *container.Config, host *container.HostConfig, endpoint *network.NetworkingConfig) (string, error) {
	var made container.CreateResponse
	err := e.change(ctx, "create", name, func(ctx context.Context, c *client.Client) (err error) {
		made, err = c.ContainerCreate(ctx, config, host, endpoint, nil, name)
		return err
	})
	return made.ID, err
}

func (e *Engine) routerConfig(spec RouterSpec, ref, want string) (*container.Config, *container.HostConfig, *network.NetworkingConfig) {
	config := &container.Config{
		Image: ref, Cmd: spec.Args, Env: spec.Env, Hostname: "skiff-router",
		Labels:      e.labels(map[string]string{routerLabel: want}),
		Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
		// Pods keep what they know of the router's address when another takes its place.
		MacAddress: hardwareAddress(spec.Layout).String(), //nolint:staticcheck // SA1019: the endpoint's setting is not in API 1.41
	}
	host := &container.HostConfig{
		LogConfig:      container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": "1m", "max-file": "2"}},
		NetworkMode:    container.NetworkMode(e.networkName()),
		RestartPolicy:  container.RestartPolicy{Name: container.RestartPolicyUnlessStopped},
		CapDrop:        []string{"ALL"},
		CapAdd:         []string{"NET_ADMIN", "NET_BIND_SERVICE"},
		SecurityOpt:    []string{"no-new-privileges"},
		ReadonlyRootfs: true,
		// What leaves by the device it came in on would make the kernel tell pods of a shorter way. Nothing
		// leaves until the router has its rules: it forwards from then on. The rest it sets itself.
		Sysctls: map[string]string{"net.ipv4.conf.all.send_redirects": "0", "net.ipv4.ip_forward": "0"},
		Init:    new(bool),
		// A fault in it, or a flood that it is sent, is not to take the machine with it.
		Resources: container.Resources{Memory: routerMemory, PidsLimit: new(routerThreads)},
		Mounts: []mount.Mount{{
			Type: mount.TypeVolume, Source: e.routerName(), Target: RouterStateDir,
			VolumeOptions: &mount.VolumeOptions{NoCopy: true, Labels: e.labels(map[string]string{routerLabel: "state"})},
		}},
	}
	endpoint := &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{
		e.networkName(): {IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: spec.Layout.Router.String()}},
	}}
	return config, host, endpoint
}

// hardwareAddress is the router's: that which engines before 28 make of its address by themselves.
func hardwareAddress(l Layout) net.HardwareAddr {
	return append(net.HardwareAddr{0x02, 0x42}, l.Router.AsSlice()...)
}

func routerRef(digest string) string {
	return routerImage + ":" + strings.TrimPrefix(digest, "sha256:")[:12]
}

// ensureRouterImage makes the image FROM scratch. The same program makes the same image everywhere.
func (e *Engine) ensureRouterImage(ctx context.Context, spec RouterSpec) (string, error) {
	sum, ref := spec.Digest, routerRef(spec.Digest)
	have, err := e.Image(ctx, ref)
	if err == nil && have.Labels[routerLabel] == sum {
		return ref, nil
	}
	if err != nil && !errors.Is(err, ErrImageNotFound) {
		return "", err
	}
	info, err := e.Info(ctx)
	if err != nil {
		return "", err
	}
	program, err := spec.Program()
	if err != nil {
		return "", err
	}
	config := imageConfig{Entrypoint: []string{"/router"}, Labels: map[string]string{routerLabel: sum}}
	archive, err := imageArchive(ref, info.Arch, config, file{"router", 0o555, program})
	if err != nil {
		return "", &Error{Op: "make router image", Name: ref, Err: err}
	}
	return ref, e.load(ctx, ref, archive)
}

// RemoveRouter removes the router, what it has kept, and its image unless another instance has a
// router of it. None is no error.
func (e *Engine) RemoveRouter(ctx context.Context) error {
	have, err := e.Inspect(ctx, e.routerName())
	if err == nil && have.Labels[InstanceLabel] != e.instance {
		return nil
	}
	if err == nil {
		err = e.removeRouter(ctx, have)
	}
	if err == nil || errors.Is(err, ErrNotFound) {
		err = e.RemoveVolume(ctx, e.routerName())
	}
	if err != nil || have.Image == "" {
		return err
	}
	return e.removeRouterImage(ctx, have.Image)
}

// removeRouterImage removes an image unless a container is made of it.
func (e *Engine) removeRouterImage(ctx context.Context, ref string) error {
	err := e.call(ctx, "image_remove", ref, func(ctx context.Context, c *client.Client) error {
		_, err := c.ImageRemove(ctx, ref, image.RemoveOptions{PruneChildren: true})
		return err
	})
	if errors.Is(err, ErrConflict) || errors.Is(err, ErrImageNotFound) || errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

func (e *Engine) removeRouter(ctx context.Context, have Container) error {
	if have.State == Running {
		if err := e.end(ctx, have.ID); err != nil {
			return err
		}
	}
	return e.Remove(ctx, have.ID)
}

// Connect runs a process in a running container and gives its standard streams as one connection,
// which lasts until either side closes it or ctx ends. What the process writes to its standard error
// is the error of the read at which its output ends.
func (e *Engine) Connect(ctx context.Context, id string, cmd ...string) (io.ReadWriteCloser, error) {
	spec := ExecSpec{Cmd: cmd, Streams: Streams{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard}}
	exec, err := e.execCreate(ctx, id, &spec)
	if err != nil {
		return nil, err
	}
	var conn *connection
	err = e.stream(ctx, "exec_start", id, func(ctx context.Context, c *client.Client) error {
		s, err := e.hijack(ctx, c, "/exec/"+exec+"/start", nil, container.ExecStartOptions{})
		if err == nil {
			conn = newConnection(s)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return conn, nil
}

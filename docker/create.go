package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
	"github.com/docker/go-connections/nat"
)

// Logs of a container are kept by the engine as kubelet keeps them: ten MiB in each of five files
// (containerLogMaxSize and containerLogMaxFiles of KubeletConfiguration). The json-file driver is
// named so that logs can be read whatever the engine's default is.
var logConfig = container.LogConfig{
	Type:   "json-file",
	Config: map[string]string{"max-size": "10m", "max-file": "5"},
}

// Create makes a container and gives its ID. When a container of that name is there already, of
// this instance and with all of spec's labels, that one's ID is returned: a create whose answer was
// lost in a crash is found, not repeated. Errors: ErrImageNotFound, ErrConflict (the name belongs
// to something else, or to a container that is going away), ErrInvalid, ErrNotFound (the container
// whose namespace to join). When ctx ends while the engine creates the container, Create returns once
// the engine has answered.
func (e *Engine) Create(ctx context.Context, spec ContainerSpec) (string, error) {
	if err := spec.check(); err != nil {
		return "", &Error{Op: "create", Name: spec.Name, Kind: ErrInvalid, Err: err}
	}
	var made container.CreateResponse
	err := e.change(ctx, "create", spec.Name, func(ctx context.Context, c *client.Client) (err error) {
		made, err = c.ContainerCreate(ctx, e.config(&spec), hostConfig(&spec, e.networkName()),
			e.endpoint(&spec), nil, spec.Name)
		return err
	})
	if errors.Is(err, ErrConflict) && spec.Name != "" {
		return e.adopt(ctx, &spec, err)
	}
	for _, warning := range made.Warnings {
		if _, again := e.warned.LoadOrStore(warning, true); !again {
			e.log.Warn("docker engine warns", "container", spec.Name, "warning", warning)
		}
	}
	return made.ID, err
}

// adopt finds the container that holds spec's name; refused is the engine's refusal.
func (e *Engine) adopt(ctx context.Context, spec *ContainerSpec, refused error) (string, error) {
	found, err := e.Inspect(ctx, spec.Name)
	if errors.Is(err, ErrNotFound) {
		return "", refused // gone meanwhile, or not yet there: the caller's next try settles it
	}
	if err != nil {
		return "", err
	}
	// The engine adds the image's labels to the container's, so there may be more than were asked
	// for.
	for name, value := range e.labels(spec.Labels) {
		if have, ok := found.Labels[name]; !ok || have != value {
			return "", fmt.Errorf("%w (container %.12s has label %s=%q, want %q)", refused, found.ID, name, have, value)
		}
	}
	if found.State == Removing {
		return "", refused
	}
	return found.ID, nil
}

// labels are those given and the instance's.
func (e *Engine) labels(given map[string]string) map[string]string {
	all := maps.Clone(given)
	if all == nil {
		all = map[string]string{}
	}
	all[InstanceLabel] = e.instance
	return all
}

// check refuses what the engine would misread or answer obscurely.
func (s *ContainerSpec) check() error {
	ways := 0
	for _, chosen := range []bool{s.Network.Join != "", s.Network.Host, s.Network.IP.IsValid()} {
		if chosen {
			ways++
		}
	}
	switch {
	case s.Image == "":
		return errors.New("no image")
	case ways != 1:
		return errors.New("network: want exactly one of Join, Host and IP")
	case s.Resources.OOMScoreAdj < 0 || s.Resources.OOMScoreAdj > 1000:
		return fmt.Errorf("oom score adjustment %d: want 0 to 1000", s.Resources.OOMScoreAdj)
	}
	return nil
}

func (e *Engine) config(s *ContainerSpec) *container.Config {
	config := &container.Config{
		Image: s.Image, Entrypoint: s.Entrypoint, Cmd: s.Args, Env: s.Env,
		WorkingDir: s.WorkingDir, User: s.User, Labels: e.labels(s.Labels), StopSignal: s.StopSignal,
		Tty: s.TTY, OpenStdin: s.Stdin, StdinOnce: s.StdinOnce,
		AttachStdin: s.Stdin, AttachStdout: true, AttachStderr: true,
		// Whoever runs the containers asks after their health; the image's own check would cost a
		// second exec.
		Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
	}
	if s.Network.Join == "" { // else they are the other container's, and the engine refuses any
		config.Hostname, config.Domainname = s.Network.Hostname, s.Network.Domain
		config.ExposedPorts, _ = ports(s.Network.Ports)
	}
	return config
}

func hostConfig(s *ContainerSpec, networkName string) *container.HostConfig {
	host := &container.HostConfig{
		LogConfig:      logConfig,
		NetworkMode:    networkMode(&s.Network, networkName),
		RestartPolicy:  container.RestartPolicy{Name: container.RestartPolicyDisabled},
		CapAdd:         s.Security.CapAdd,
		CapDrop:        s.Security.CapDrop,
		Privileged:     s.Security.Privileged,
		SecurityOpt:    s.Security.options(),
		ReadonlyRootfs: s.ReadOnlyRoot,
		GroupAdd:       s.Groups,
		IpcMode:        ipcMode(s),
		PidMode:        pidMode(s),
		ShmSize:        s.Shm,
		Sysctls:        s.Sysctls,
		OomScoreAdj:    s.Resources.OOMScoreAdj,
		Resources:      s.Resources.limits(),
		Mounts:         mounts(s.Mounts),
		Init:           new(bool), // PID 1 is the container's own process, even under dockerd --init
	}
	if s.Network.Join == "" {
		host.DNS, host.DNSSearch, host.DNSOptions = s.Network.DNS, s.Network.DNSSearch, s.Network.DNSOpts
		host.ExtraHosts = s.Network.Hosts
		_, host.PortBindings = ports(s.Network.Ports)
	}
	return host
}

// endpoint asks for the container's fixed address on the instance's network.
func (e *Engine) endpoint(s *ContainerSpec) *network.NetworkingConfig {
	if !s.Network.IP.IsValid() {
		return nil
	}
	return &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{
		e.networkName(): {IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: s.Network.IP.String()}},
	}}
}

func networkMode(n *Network, name string) container.NetworkMode {
	switch {
	case n.Join != "":
		return container.NetworkMode("container:" + n.Join)
	case n.Host:
		return "host"
	}
	return container.NetworkMode(name)
}

// ipcMode makes every namespace shareable: which container of a pod others will join is not known
// when it is made, and it costs nothing measurable.
func ipcMode(s *ContainerSpec) container.IpcMode {
	switch {
	case s.HostIPC:
		return container.IPCModeHost
	case s.IPCContainer != "":
		return container.IpcMode("container:" + s.IPCContainer)
	}
	return container.IPCModeShareable
}

func pidMode(s *ContainerSpec) container.PidMode {
	switch {
	case s.HostPID:
		return "host"
	case s.PIDContainer != "":
		return container.PidMode("container:" + s.PIDContainer)
	}
	return ""
}

// ports gives what the engine wants twice: the ports exposed, and where on the machine each is
// published.
func ports(published []Port) (nat.PortSet, nat.PortMap) {
	if len(published) == 0 {
		return nil, nil
	}
	exposed, bound := nat.PortSet{}, nat.PortMap{}
	for _, p := range published {
		port := nat.Port(strconv.Itoa(int(p.ContainerPort)) + "/" + cmp.Or(p.Protocol, "tcp"))
		exposed[port] = struct{}{}
		bound[port] = append(bound[port], nat.PortBinding{HostIP: p.HostIP, HostPort: strconv.Itoa(int(p.HostPort))})
	}
	return exposed, bound
}

func (r *Resources) limits() container.Resources {
	limits := container.Resources{
		CPUShares: r.CPUShares, CPUQuota: r.CPUQuota, CPUPeriod: r.CPUPeriod,
		Memory: r.Memory, MemoryReservation: r.MemoryReservation,
		// No swap beyond the memory's own limit: the engine's default is as much again.
		MemorySwap: r.Memory,
	}
	if r.PidsLimit > 0 {
		limits.PidsLimit = &r.PidsLimit
	}
	return limits
}

func mounts(list []Mount) []mount.Mount {
	made := make([]mount.Mount, 0, len(list))
	for _, m := range list {
		one := mount.Mount{Type: mount.Type(m.Type), Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly}
		switch one.Type {
		case mount.TypeBind:
			if m.Propagation != "" {
				one.BindOptions = &mount.BindOptions{Propagation: mount.Propagation(m.Propagation)}
			}
		case mount.TypeVolume:
			one.VolumeOptions = &mount.VolumeOptions{NoCopy: !m.Fill} // else a volume hides the image's files, it does not take them
		case mount.TypeTmpfs:
			one.TmpfsOptions = &mount.TmpfsOptions{SizeBytes: m.SizeBytes}
		}
		made = append(made, one)
	}
	return made
}

// options in the engine's form: key=value.
func (s *Security) options() []string {
	var options []string
	if s.NoNewPrivileges {
		options = append(options, "no-new-privileges")
	}
	if s.Seccomp != "" {
		options = append(options, "seccomp="+s.Seccomp)
	}
	if s.AppArmor != "" {
		options = append(options, "apparmor="+s.AppArmor)
	}
	return options
}

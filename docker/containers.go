package docker

import (
	"context"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
)

// List gives this instance's containers in every state, but not its router and publishers. It is cheap
// (one call, some 70 µs a container) and leaves Pid, OOMKilled, Error, StartedAt and FinishedAt empty:
// Inspect tells those. ExitCode is right where State is Exited. A container whose first start failed is
// still Created, here as on the engine.
func (e *Engine) List(ctx context.Context) ([]Container, error) {
	var found []container.Summary
	err := e.call(ctx, "list", "", func(ctx context.Context, c *client.Client) (err error) {
		found, err = c.ContainerList(ctx, container.ListOptions{All: true, Filters: e.own()})
		return err
	})
	if err != nil {
		return nil, err
	}
	list := make([]Container, 0, len(found))
	for i := range found {
		_, router := found[i].Labels[routerLabel]
		_, publisher := found[i].Labels[publisherLabel]
		if !router && !publisher {
			list = append(list, e.fromSummary(&found[i]))
		}
	}
	return list, nil
}

// Inspect tells all about one container, found by ID or name. ErrNotFound where there is none.
// While the engine puts a dead container's network away Inspect waits for it: after Inspect has
// shown Exited the address is free.
func (e *Engine) Inspect(ctx context.Context, id string) (Container, error) {
	found, err := e.inspect(ctx, id)
	if err != nil {
		return Container{}, err
	}
	return e.fromInspect(&found), nil
}

func (e *Engine) inspect(ctx context.Context, id string) (found container.InspectResponse, err error) {
	err = e.call(ctx, "inspect", id, func(ctx context.Context, c *client.Client) (err error) {
		found, err = c.ContainerInspect(ctx, id)
		return err
	})
	return found, err
}

func (e *Engine) fromSummary(s *container.Summary) Container {
	c := Container{
		ID: s.ID, Image: s.Image, ImageID: s.ImageID, Labels: s.Labels,
		State: stateOf(s.State), CreatedAt: time.Unix(s.Created, 0),
	}
	if len(s.Names) > 0 {
		c.Name = strings.TrimPrefix(s.Names[0], "/")
	}
	if c.State == Exited {
		c.ExitCode = exitCode(s.Status)
	}
	if s.NetworkSettings != nil {
		c.IP = e.address(s.NetworkSettings.Networks)
	}
	return c
}

func (e *Engine) fromInspect(i *container.InspectResponse) Container {
	c := Container{ID: i.ID, Name: strings.TrimPrefix(i.Name, "/"), ImageID: i.Image, CreatedAt: timeOf(i.Created)}
	if i.Config != nil {
		c.Image, c.Labels = i.Config.Image, i.Config.Labels
	}
	if i.State != nil {
		c.State = stateOf(i.State.Status)
		c.Pid, c.ExitCode, c.OOMKilled, c.Error = i.State.Pid, i.State.ExitCode, i.State.OOMKilled, i.State.Error
		c.StartedAt, c.FinishedAt = timeOf(i.State.StartedAt), timeOf(i.State.FinishedAt)
	}
	if i.NetworkSettings != nil {
		c.IP = e.address(i.NetworkSettings.Networks)
	}
	return c
}

// address is the container's on the instance's network: the one it asked for, which it keeps when
// it is dead.
func (e *Engine) address(networks map[string]*network.EndpointSettings) netip.Addr {
	settings := networks[e.networkName()]
	if settings == nil {
		return netip.Addr{}
	}
	if settings.IPAMConfig != nil {
		if asked, err := netip.ParseAddr(settings.IPAMConfig.IPv4Address); err == nil {
			return asked
		}
	}
	given, _ := netip.ParseAddr(settings.IPAddress) // empty while it is not running: no address
	return given
}

func stateOf(s container.ContainerState) State {
	switch s {
	case container.StateCreated:
		return Created
	case container.StateRemoving:
		return Removing
	case container.StateExited, container.StateDead:
		return Exited
	default: // running, paused, restarting
		return Running
	}
}

// exited matches the engine's Status of a container that has run, "Exited (137) 2 seconds ago". The
// number comes from the same state as inspect's; a dead container's Status has none.
var exited = regexp.MustCompile(`^Exited \((\d+)\)`)

func exitCode(status string) int {
	match := exited.FindStringSubmatch(status)
	if match == nil {
		return 0
	}
	code, _ := strconv.Atoi(match[1]) // digits, by the pattern
	return code
}

// timeOf reads the engine's time; it writes year 1 for "never".
func timeOf(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Year() == 1 {
		return time.Time{}
	}
	return t
}

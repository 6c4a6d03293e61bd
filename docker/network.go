package docker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
)

// networkName is that of the instance's own network.
func (e *Engine) networkName() string { return "skiff-" + e.instance }

// EnsureNetwork finds the instance's bridge network or makes it, and gives its layout. A network made
// anew has the prefix the instance's containers lie in, where there are any; else Options.Subnet; else
// one that neither the engine's other networks nor this machine's routes overlap. ErrNoSubnet where
// none is left, ErrConflict where a network of that name is not the instance's.
func (e *Engine) EnsureNetwork(ctx context.Context) (Layout, error) {
	all, err := e.networks(ctx)
	if err != nil {
		return Layout{}, err
	}
	if found, divided, err := e.ownNetwork(all); err != nil || divided {
		return found, err
	} else if found.Subnet.IsValid() {
		return e.aside(ctx, found)
	}
	choices, err := e.subnets(ctx, all)
	if err != nil {
		return Layout{}, err
	}
	for _, prefix := range choices {
		layout, invalid := Divide(prefix)
		if invalid != nil {
			return Layout{}, e.networkError(ErrInvalid, invalid)
		}
		err = e.createNetwork(ctx, layout)
		if err == nil {
			return layout, nil
		}
		if !overlaps(err) { // another daemon may have been quicker: then the next
			return Layout{}, err
		}
		e.log.Debug("subnet refused", "subnet", prefix, "error", err)
	}
	return Layout{}, e.networkError(ErrNoSubnet, noSubnet(choices, err))
}

// noSubnet says why none of the choices would do; last is the engine's latest refusal.
func noSubnet(choices []netip.Prefix, last error) error {
	const advice = "remove networks nobody uses (docker network prune), or name another subnet"
	switch len(choices) {
	case 0:
		return errors.New("this machine's routes and the engine's networks leave no private subnet free: " + advice)
	case 1:
		return fmt.Errorf("subnet %s is in use by another network: %s: %w", choices[0], advice, last)
	}
	return fmt.Errorf("none of %d subnets is free: %s: %w", len(choices), advice, last)
}

func (e *Engine) networkError(kind, err error) error {
	return &Error{Op: "ensure network", Name: e.networkName(), Kind: kind, Err: err}
}

func (e *Engine) networks(ctx context.Context) (all []network.Summary, err error) {
	err = e.call(ctx, "network_list", "", func(ctx context.Context, c *client.Client) (err error) {
		all, err = c.NetworkList(ctx, network.ListOptions{})
		return err
	})
	return all, err
}

// aside gives the router of a network that was not made divided an address that no container has: the
// one that it has, if there is a router, so that it stays where it is when containers go.
func (e *Engine) aside(ctx context.Context, l Layout) (Layout, error) {
	containers, err := e.List(ctx)
	if err != nil {
		return Layout{}, err
	}
	taken := map[netip.Addr]bool{}
	for i := range containers {
		taken[containers[i].IP] = true
	}
	router, err := e.Inspect(ctx, e.routerName())
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Layout{}, err
	}
	if l.IsNode(router.IP) && !taken[router.IP] {
		l.Router = router.IP
		return l, nil
	}
	for at := l.Router; l.Nodes.Contains(at); at = at.Next() {
		if !taken[at] {
			l.Router = at
			return l, nil
		}
	}
	return Layout{}, e.networkError(ErrNoAddress, fmt.Errorf("all of %s is in use by containers: there is no place for a router", l.Nodes))
}

// ownNetwork looks for the instance's among all. Without one, the layout is the zero value. divided
// says that the engine keeps to its part.
func (e *Engine) ownNetwork(all []network.Summary) (l Layout, divided bool, err error) {
	for i := range all {
		if all[i].Name != e.networkName() {
			continue
		}
		if all[i].Labels[InstanceLabel] != e.instance {
			return Layout{}, false, e.networkError(ErrConflict, fmt.Errorf("a network of that name exists and is not "+
				"this instance's: remove it (docker network rm %s)", all[i].Name))
		}
		for _, config := range all[i].IPAM.Config {
			prefix, err := netip.ParsePrefix(config.Subnet)
			if err != nil || !prefix.Addr().Is4() {
				continue
			}
			layout, err := Divide(prefix)
			if err == nil {
				layout.Gateway, err = netip.ParseAddr(config.Gateway)
			}
			if err != nil {
				return Layout{}, false, e.networkError(nil, fmt.Errorf("read the network's addresses: %w", err))
			}
			return layout, config.IPRange != "", nil
		}
		return Layout{}, false, e.networkError(ErrConflict, errors.New("the network has no IPv4 subnet: remove it"))
	}
	return Layout{}, false, nil
}

func (e *Engine) createNetwork(ctx context.Context, l Layout) error {
	return e.call(ctx, "network_create", e.networkName(), func(ctx context.Context, c *client.Client) error {
		_, err := c.NetworkCreate(ctx, e.networkName(), network.CreateOptions{
			Driver: "bridge",
			Labels: e.labels(nil),
			IPAM: &network.IPAM{Config: []network.IPAMConfig{
				{Subnet: l.Subnet.String(), Gateway: l.Gateway.String(), IPRange: l.Engine.String()},
			}},
		})
		return err
	})
}

// overlaps tells the engine's refusals of a subnet by their texts: that of its address manager, and
// the bridge driver's.
func overlaps(err error) bool {
	text := err.Error()
	return strings.Contains(text, "overlaps with other one") || strings.Contains(text, "networks have overlapping IPv4")
}

// RemoveNetwork removes the instance's network; none is no error. The engine refuses while a
// container runs in it.
func (e *Engine) RemoveNetwork(ctx context.Context) error {
	var own []network.Summary
	err := e.call(ctx, "network_list", "", func(ctx context.Context, c *client.Client) (err error) {
		chosen := e.own()
		chosen.Add("name", e.networkName())
		own, err = c.NetworkList(ctx, network.ListOptions{Filters: chosen})
		return err
	})
	for i := range own {
		if err != nil {
			return err
		}
		err = e.removeNetwork(ctx, own[i])
		if errors.Is(err, ErrNotFound) || errors.Is(err, ErrNoNetwork) {
			err = nil
		}
	}
	return err
}

// A network whose last container is gone may have endpoints for a moment longer, so its removal is
// tried so often.
const (
	networkTries = 20
	networkPause = 100 * time.Millisecond
)

func (e *Engine) removeNetwork(ctx context.Context, n network.Summary) error {
	for try := 1; ; try++ {
		err := e.call(ctx, "network_remove", n.Name, func(ctx context.Context, c *client.Client) error {
			return c.NetworkRemove(ctx, n.ID)
		})
		switch {
		case err == nil || !strings.Contains(err.Error(), "has active endpoints"):
			return err
		case try == networkTries:
			return e.refusedRemoval(ctx, n, err)
		}
		if err := e.pause(ctx, networkPause); err != nil {
			return err
		}
	}
}

// refusedRemoval tells a network that is in use from one that the engine only takes to be.
func (e *Engine) refusedRemoval(ctx context.Context, n network.Summary, refused error) error {
	var found network.Inspect
	err := e.call(ctx, "network_inspect", n.Name, func(ctx context.Context, c *client.Client) (err error) {
		found, err = c.NetworkInspect(ctx, n.ID, network.InspectOptions{})
		return err
	})
	if err != nil || len(found.Containers) > 0 {
		return refused
	}
	return &Error{Op: "network_remove", Name: n.Name, Kind: ErrEndpointsLost, Err: fmt.Errorf(
		"%w, but no container is in it: the engine has lost count; restart the engine, then `docker network rm %s`", refused, n.Name)}
}

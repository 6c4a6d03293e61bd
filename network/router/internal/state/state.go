// Package state is all that a router knows: what the daemon has told it, put together, and the file in
// which it outlives the router.
package state

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"

	"skiff/network/protocol"
)

// State is the desired state of the network. Services are replaced and never changed in place: what
// was once got from here stays as it was.
type State struct {
	// Config is nil until it is told.
	Config   *protocol.Config
	Nodes    []protocol.Node
	Services map[protocol.Key]*protocol.Service
	// Door is what the front door serves, nil until it is told.
	Door *protocol.Door
}

// Change is what an update has changed.
type Change struct {
	Config, Nodes, Door bool
	// Services are those that are new, other than they were, or gone, sorted.
	Services []protocol.Key
	// Problems are services that make no sense, and why. They are not in the state.
	Problems map[protocol.Key]error
}

// Empty reports whether nothing has changed.
func (c Change) Empty() bool {
	return !c.Config && !c.Nodes && !c.Door && len(c.Services) == 0 && len(c.Problems) == 0
}

// Merge returns what has changed by this change and a later one.
func (c Change) Merge(later Change) Change {
	merged := Change{
		Config: c.Config || later.Config, Nodes: c.Nodes || later.Nodes, Door: c.Door || later.Door,
		Services: slices.Concat(c.Services, later.Services), Problems: map[protocol.Key]error{},
	}
	slices.SortFunc(merged.Services, CompareKeys)
	merged.Services = slices.Compact(merged.Services)
	maps.Copy(merged.Problems, c.Problems)
	for _, key := range later.Services {
		delete(merged.Problems, key)
	}
	maps.Copy(merged.Problems, later.Problems)
	return merged
}

// ErrNoConfig is of an update that comes before there is a configuration.
var ErrNoConfig = errors.New("the network's configuration has not been told")

// Apply changes the state by an update, or leaves it as it is if the update makes no sense.
func (s *State) Apply(u *protocol.Update) (Change, error) {
	config := s.Config
	if u.Config != nil {
		if err := checkConfig(u.Config); err != nil {
			return Change{}, err
		}
		config = u.Config
	}
	if config == nil {
		return Change{}, ErrNoConfig
	}
	nodes := s.Nodes
	if u.Nodes != nil || u.Whole {
		nodes = slices.SortedFunc(slices.Values(u.Nodes), func(a, b protocol.Node) int { return cmp.Compare(a.Name, b.Name) })
	}
	if err := checkNodes(config, nodes); err != nil {
		return Change{}, err
	}
	if err := checkKeys(u); err != nil {
		return Change{}, err
	}
	change := Change{
		Config:   s.Config == nil || !reflect.DeepEqual(*s.Config, *config),
		Nodes:    !reflect.DeepEqual(s.Nodes, nodes),
		Problems: map[protocol.Key]error{},
	}
	s.Config, s.Nodes = config, nodes
	if u.Door != nil && !reflect.DeepEqual(s.Door, u.Door) {
		s.Door, change.Door = u.Door, true
	}
	s.setServices(u, &change)
	return change, nil
}

// setServices changes services, and notes those that are not as they were.
func (s *State) setServices(u *protocol.Update, change *Change) {
	if s.Services == nil {
		s.Services = map[protocol.Key]*protocol.Service{}
	}
	gone := map[protocol.Key]bool{}
	for _, key := range u.Delete {
		gone[key] = true
	}
	if u.Whole {
		for key := range s.Services {
			gone[key] = true
		}
	}
	changed := map[protocol.Key]bool{}
	for i := range u.Set {
		service := &u.Set[i]
		if err := Check(s.Config, service); err != nil {
			change.Problems[service.Key] = err
			gone[service.Key] = true
			continue
		}
		delete(gone, service.Key)
		delete(change.Problems, service.Key)
		if old := s.Services[service.Key]; old == nil || !reflect.DeepEqual(old, service) {
			own := *service // the others of the update are not kept for its sake
			s.Services[service.Key] = &own
			changed[service.Key] = true
		}
	}
	if change.Config { // what made sense may do so no longer
		for key, service := range s.Services {
			if err := Check(s.Config, service); err != nil {
				change.Problems[key] = err
				gone[key] = true
			}
		}
	}
	for key := range gone {
		if s.Services[key] != nil {
			delete(s.Services, key)
			changed[key] = true
		}
	}
	change.Services = slices.SortedFunc(maps.Keys(changed), CompareKeys)
}

// CompareKeys orders services by namespace and name.
func CompareKeys(a, b protocol.Key) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

func checkConfig(c *protocol.Config) error {
	if !c.Subnet.IsValid() || !c.Subnet.Addr().Is4() {
		return fmt.Errorf("configuration: subnet %s is no IPv4 prefix", c.Subnet)
	}
	for _, address := range []struct {
		name  string
		value netip.Addr
	}{{"gateway", c.Gateway}, {"router", c.Router}} {
		if !c.Subnet.Contains(address.value) {
			return fmt.Errorf("configuration: %s %s is not in %s", address.name, address.value, c.Subnet)
		}
	}
	for _, part := range []struct {
		name  string
		value netip.Prefix
	}{{"pods", c.Pods}, {"shadows", c.Shadows}, {"services", c.Services}, {"nodes", c.Nodes}} {
		if !part.value.IsValid() || part.value.Bits() < c.Subnet.Bits() || !c.Subnet.Contains(part.value.Addr()) {
			return fmt.Errorf("configuration: %s %s is no part of %s", part.name, part.value, c.Subnet)
		}
	}
	if c.Pods.Bits() != c.Shadows.Bits() || c.Pods.Overlaps(c.Shadows) {
		return fmt.Errorf("configuration: shadows %s can't stand for pods %s", c.Shadows, c.Pods)
	}
	if c.Domain == "" {
		return errors.New("configuration: no domain")
	}
	return nil
}

func checkNodes(c *protocol.Config, nodes []protocol.Node) error {
	seen := map[string]bool{}
	for i := range nodes {
		n := &nodes[i]
		if n.Name == "" || seen[n.Name] {
			return fmt.Errorf("node %q: there is another one of that name, or it has none", n.Name)
		}
		seen[n.Name] = true
		if !c.Nodes.Contains(n.Address) {
			return fmt.Errorf("node %s: address %s is not in %s", n.Name, n.Address, c.Nodes)
		}
		for _, pod := range n.Pods {
			if !pod.Is4() {
				return fmt.Errorf("node %s: pod's address %s is no IPv4 address", n.Name, pod)
			}
		}
	}
	return nil
}

func checkKeys(u *protocol.Update) error {
	for i := range u.Set {
		if key := u.Set[i].Key; key.Namespace == "" || key.Name == "" {
			return fmt.Errorf("service %q has no name or no namespace", key)
		}
	}
	return nil
}

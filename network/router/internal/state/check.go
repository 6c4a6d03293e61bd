package state

import (
	"fmt"
	"net/netip"
	"strings"

	"skiff/network/protocol"
)

// Check reports what is wrong with a service by itself; nil if it can be brought in force.
func Check(c *protocol.Config, s *protocol.Service) error {
	if !isLabel(s.Namespace) || !isLabel(s.Name) {
		return fmt.Errorf("%q is no name of a service", s.Key)
	}
	for _, address := range s.Addresses {
		if !c.Services.Contains(address) {
			return fmt.Errorf("address %s is not in %s", address, c.Services)
		}
	}
	for _, address := range s.External {
		if !address.Is4() {
			return fmt.Errorf("external address %s is no IPv4 address", address)
		}
	}
	for _, host := range s.Hosts {
		if !host.Address.IsValid() {
			return fmt.Errorf("host %q has no address", host.Name)
		}
	}
	if s.Affinity < 0 {
		return fmt.Errorf("affinity of %s", s.Affinity)
	}
	for i := range s.Ports {
		if err := checkPort(&s.Ports[i]); err != nil {
			return err
		}
	}
	return nil
}

// isLabel reports whether a name can be one of DNS (RFC 1123), which the names of services and
// namespaces are.
func isLabel(name string) bool {
	const longest = 63
	return name != "" && len(name) <= longest && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

func checkPort(p *protocol.Port) error {
	if p.Protocol != protocol.TCP && p.Protocol != protocol.UDP {
		return fmt.Errorf("port %d: protocol %q is neither tcp nor udp", p.Port, p.Protocol)
	}
	if p.Port == 0 {
		return fmt.Errorf("port %q: no number", p.Name)
	}
	if err := checkEndpoints(p.Endpoints); err != nil {
		return fmt.Errorf("port %d: %w", p.Port, err)
	}
	for _, lists := range []map[string][]netip.AddrPort{p.From, p.At} {
		for node, list := range lists {
			if err := checkEndpoints(list); err != nil {
				return fmt.Errorf("port %d, node %s: %w", p.Port, node, err)
			}
		}
	}
	return nil
}

func checkEndpoints(list []netip.AddrPort) error {
	for _, e := range list {
		if !e.Addr().Is4() || e.Port() == 0 {
			return fmt.Errorf("endpoint %s has no IPv4 address or no port", e)
		}
	}
	return nil
}

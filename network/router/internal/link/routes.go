//go:build linux

package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"skiff/network/router/internal/netlink"
)

// Route is one of the local table's.
type Route struct {
	Prefix netip.Prefix
	// Local says that its addresses are this machine's, with which the kernel answers for all of
	// them: ARP too. Otherwise they are somebody else's on the device.
	Local bool
}

// String is as ip route shows it.
func (r Route) String() string {
	if r.Local {
		return "local " + r.Prefix.String()
	}
	return "unicast " + r.Prefix.String()
}

// Taken are the routes by which the kernel answers for whole prefixes, but for addresses in them that
// are others'. Those come first: not for a moment are they answered for.
func Taken(prefixes []netip.Prefix, kept []netip.Addr) []Route {
	var routes []Route
	for _, address := range kept {
		if slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(address) }) {
			routes = append(routes, Route{Prefix: netip.PrefixFrom(address, address.BitLen())})
		}
	}
	for _, prefix := range prefixes {
		routes = append(routes, Route{Prefix: prefix.Masked(), Local: true})
	}
	return routes
}

// Replace brings routes in force in place of others that were there before, which may be none.
func Replace(device *net.Interface, before, routes []Route) error {
	loopback, err := net.InterfaceByName("lo")
	if err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	c, err := netlink.Dial(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // it was done or not
	send := func(r Route, kind uint16, flags uint16) error {
		index := device.Index
		if r.Local {
			index = loopback.Index
		}
		if err := c.Do(netlink.Message{Type: kind, Flags: flags, Body: r.body(index)}); err != nil {
			return fmt.Errorf("route %s: %w", r, err)
		}
		return nil
	}
	for _, r := range routes {
		if err := send(r, unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE); err != nil {
			return err
		}
	}
	// In the opposite order, for the same reason.
	for _, r := range slices.Backward(before) {
		if slices.Contains(routes, r) {
			continue
		}
		if err := send(r, unix.RTM_DELROUTE, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	return nil
}

// body is a route as it is sent, by the device of an index.
func (r Route) body(device int) []byte {
	kind, scope := byte(unix.RTN_UNICAST), byte(unix.RT_SCOPE_LINK)
	if r.Local {
		kind, scope = unix.RTN_LOCAL, unix.RT_SCOPE_HOST
	}
	attributes := netlink.Attributes{
		unix.AF_INET, byte(r.Prefix.Bits()), 0, 0, unix.RT_TABLE_LOCAL, unix.RTPROT_STATIC, scope, kind, 0, 0, 0, 0,
	}
	attributes.Bytes(unix.RTA_DST, r.Prefix.Addr().AsSlice())
	attributes.Native32(unix.RTA_OIF, uint32(device))
	return attributes
}

//go:build linux

// Package link makes the router's device and routes what the data path needs, by netlink: /proc/sys
// may be read-only in a container.
package link

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"

	"skiff/network/router/internal/netlink"
)

// Settings of a device (IPV4_DEVCONF_* in include/uapi/linux/ip.h).
const (
	forwarding    = 1
	sendRedirects = 6
)

// Device finds the device that has an address.
func Device(address netip.Addr) (*net.Interface, error) {
	devices, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	for i := range devices {
		addresses, err := devices[i].Addrs()
		if err != nil {
			return nil, fmt.Errorf("addresses of %s: %w", devices[i].Name, err)
		}
		for _, a := range addresses {
			if have, err := netip.ParsePrefix(a.String()); err == nil && have.Addr() == address {
				return &devices[i], nil
			}
		}
	}
	return nil, fmt.Errorf("no device has the address %s", address)
}

// Forward lets packets go on by the device they came in on, or keeps them from it, without telling
// their senders of a better way. That takes a setting of the device and one of all devices, which only
// the engine can write (net.ipv4.conf.all.send_redirects): the data path drops what is said all the same.
func Forward(device *net.Interface, on bool) error {
	c, err := netlink.Dial(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // it was done or not
	body := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(body[4:], uint32(device.Index))
	attributes := netlink.Attributes(body)
	var forwards uint32
	if on {
		forwards = 1
	}
	const inetConf = 1 // IFLA_INET_CONF
	attributes.Nest(unix.IFLA_AF_SPEC, func(a *netlink.Attributes) {
		a.Nest(unix.AF_INET, func(a *netlink.Attributes) {
			a.Nest(inetConf, func(a *netlink.Attributes) {
				a.Native32(forwarding, forwards)
				a.Native32(sendRedirects, 0)
			})
		})
	})
	if err := c.Do(netlink.Message{Type: unix.RTM_SETLINK, Body: attributes}); err != nil {
		return fmt.Errorf("settings of %s: %w", device.Name, err)
	}
	return nil
}

package door

import (
	"bytes"
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

// maxProxyLine is the longest line that the PROXY protocol, version 1, allows, in bytes with its end.
const maxProxyLine = 107

// errNoProxyLine says that a connection does not come from the daemon. Pods can reach the door's
// port, and must not be able to say who calls.
var errNoProxyLine = errors.New("connection does not begin with a PROXY line")

// proxyLine reads the line at the beginning of data, "PROXY TCP4 source destination port port"
// (https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt, section 2.1). n is its length, 0 if
// data has only a part of it. What can't become such a line is refused as soon as that is clear.
func proxyLine(data []byte) (n int, who caller, err error) {
	const prefix = "PROXY "
	start := data[:min(len(data), len(prefix))]
	if !strings.HasPrefix(prefix, string(start)) {
		return 0, caller{}, errNoProxyLine
	}
	end := bytes.Index(data[:min(len(data), maxProxyLine)], []byte("\r\n"))
	if end < 0 {
		if len(data) >= maxProxyLine {
			return 0, caller{}, errNoProxyLine
		}
		return 0, caller{}, nil
	}
	fields := strings.Split(string(data[:end]), " ")
	if len(fields) != 6 || fields[0] != "PROXY" {
		return 0, caller{}, errNoProxyLine
	}
	var ok1, ok2 bool
	who.remote, ok1 = proxyAddress(fields[1], fields[2], fields[4])
	who.local, ok2 = proxyAddress(fields[1], fields[3], fields[5])
	if !ok1 || !ok2 {
		return 0, caller{}, errNoProxyLine
	}
	return end + len("\r\n"), who, nil
}

// proxyAddress reads an address and a port of a PROXY line.
func proxyAddress(family, address, port string) (netip.AddrPort, bool) {
	a, err := netip.ParseAddr(address)
	if err != nil || a.Zone() != "" || a.Is4() != (family == "TCP4") || a.Is6() != (family == "TCP6") {
		return netip.AddrPort{}, false
	}
	p, err := strconv.ParseUint(port, 10, 16)
	if err != nil || strconv.FormatUint(p, 10) != port {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(a.Unmap(), uint16(p)), true
}

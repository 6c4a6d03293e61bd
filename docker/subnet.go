package docker

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"math/bits"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/docker/docker/api/types/network"
)

// subnetBits is the length of a chosen prefix, a quarter of which is for pods: 4,093 of them.
const subnetBits = 18

// ranges are where prefixes are looked for, in this order: first what Kubernetes clusters like to
// use, last what the engine's own pool hands out to others.
var ranges = []netip.Prefix{
	netip.MustParsePrefix("10.244.0.0/14"),
	netip.MustParsePrefix("10.200.0.0/14"),
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.168.0.0/16"),
}

// subnets lists the prefixes to try for the instance's network, best first.
func (e *Engine) subnets(ctx context.Context, all []network.Summary) ([]netip.Prefix, error) {
	kept, err := e.formerSubnet(ctx)
	if err != nil {
		return nil, err
	}
	if kept.IsValid() {
		return []netip.Prefix{kept}, nil
	}
	if e.subnet.IsValid() {
		return []netip.Prefix{e.subnet.Masked()}, nil
	}
	taken, err := e.routes()
	if err != nil {
		return nil, e.networkError(nil, err)
	}
	return freeSubnets(append(taken, prefixesOf(all)...), e.instance), nil
}

// LikelyLayout is the layout that the instance's network will have if it has none yet and the engine
// runs on this machine, without asking the engine.
func (e *Engine) LikelyLayout() Layout {
	subnet := e.subnet
	if !subnet.IsValid() {
		subnet = nthSubnet(ranges[0], 0)
		taken, err := e.routes()
		if free := freeSubnets(taken, e.instance); err == nil && len(free) > 0 {
			subnet = free[0]
		}
	}
	return divided(subnet) // Connect has checked a subnet that was asked for
}

// DefaultLayout is the layout of an instance's network on an engine without any other.
func DefaultLayout() Layout {
	return divided(nthSubnet(ranges[0], 0))
}

// divided is the layout of a subnet that is known to be large enough, as those of ranges are.
func divided(subnet netip.Prefix) Layout {
	l, err := Divide(subnet)
	if err != nil {
		panic(err)
	}
	return l
}

// formerSubnet is the prefix of a network that has been removed from under the instance's
// containers: they keep their addresses, so it must come back as it was.
func (e *Engine) formerSubnet(ctx context.Context) (netip.Prefix, error) {
	containers, err := e.List(ctx)
	if err != nil {
		return netip.Prefix{}, err
	}
	size := subnetBits
	if e.subnet.IsValid() {
		size = e.subnet.Bits()
	}
	for i := range containers {
		if containers[i].IP.Is4() {
			return containers[i].IP.Prefix(size)
		}
	}
	return netip.Prefix{}, nil
}

func prefixesOf(networks []network.Summary) []netip.Prefix {
	var list []netip.Prefix
	for i := range networks {
		for _, config := range networks[i].IPAM.Config {
			if prefix, err := netip.ParsePrefix(config.Subnet); err == nil {
				list = append(list, prefix)
			}
		}
	}
	return list
}

// freeSubnets lists the candidates that overlap nothing taken. Within a range each instance begins
// at a place of its own, so that daemons that start together seldom want the same.
func freeSubnets(taken []netip.Prefix, instance string) []netip.Prefix {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(instance)) // a hash never fails
	var free []netip.Prefix
	for _, whole := range ranges {
		count := uint32(1) << (subnetBits - whole.Bits())
		for i := range count {
			candidate := nthSubnet(whole, (sum.Sum32()+i)%count)
			if !overlapsAny(candidate, taken) {
				free = append(free, candidate)
			}
		}
	}
	return free
}

func nthSubnet(whole netip.Prefix, n uint32) netip.Prefix {
	return netip.PrefixFrom(offset(whole.Addr(), n<<(32-subnetBits)), subnetBits)
}

func overlapsAny(p netip.Prefix, others []netip.Prefix) bool {
	for _, other := range others {
		if p.Overlaps(other) {
			return true
		}
	}
	return false
}

// localRoutes are this machine's addresses and routes but the default one; a VPN's, for instance.
func localRoutes() ([]netip.Prefix, error) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	var list []netip.Prefix
	for _, address := range addresses {
		if prefix, err := netip.ParsePrefix(address.String()); err == nil && prefix.Addr().Is4() {
			list = append(list, prefix.Masked())
		}
	}
	table, err := os.ReadFile("/proc/net/route")
	if errors.Is(err, fs.ErrNotExist) { // not Linux: the engine is in a virtual machine with routes of its own
		return list, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	return append(list, parseRoutes(table)...), nil
}

// parseRoutes reads the kernel's table: destination and mask are the second and eighth field,
// hexadecimal in the machine's byte order.
func parseRoutes(table []byte) []netip.Prefix {
	var list []netip.Prefix
	lines := bufio.NewScanner(bytes.NewReader(table))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 8 {
			continue
		}
		destination, okDestination := routeWord(fields[1])
		mask, okMask := routeWord(fields[7])
		if !okDestination || !okMask || mask == 0 { // the heading, and the default route
			continue
		}
		var address [4]byte
		binary.BigEndian.PutUint32(address[:], destination)
		list = append(list, netip.PrefixFrom(netip.AddrFrom4(address), bits.LeadingZeros32(^mask)).Masked())
	}
	return list
}

func routeWord(text string) (uint32, bool) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != 4 {
		return 0, false
	}
	value := binary.BigEndian.Uint32(raw) // as printed: a number in the machine's order
	var word [4]byte
	binary.NativeEndian.PutUint32(word[:], value)
	return binary.BigEndian.Uint32(word[:]), true
}

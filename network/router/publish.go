//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"

	"skiff/network/publish"
)

// publishPort leads one port of this container into the pods' network, until ctx ends: the engine has
// opened one of the machine's for it, which the daemon may not. The arguments are a protocol, the port,
// and where it leads.
func publishPort(ctx context.Context, args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("publish takes a protocol, a port and an address, not %q", args)
	}
	number, err := strconv.ParseUint(args[1], 10, 16)
	if err != nil {
		return fmt.Errorf("the port: %w", err)
	}
	to, err := netip.ParseAddrPort(args[2])
	if err != nil {
		return fmt.Errorf("where it leads: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := publish.New(publish.Options{Dial: (&net.Dialer{}).DialContext, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	at := netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(number))
	for _, r := range p.Set("publisher", []publish.Port{{Protocol: args[0], At: at, To: to}}) {
		if r.Err != nil {
			cancel()
			return fmt.Errorf("%s: %w", r.Port, errors.Join(r.Err, <-ended))
		}
	}
	return <-ended
}

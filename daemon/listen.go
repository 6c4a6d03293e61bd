package daemon

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"

	"skiff/daemon/config"
	"skiff/network/publish"
)

// freePort is an address of this machine with a port that the kernel chooses.
const freePort = "127.0.0.1:0"

// listen opens the API's listener. The address that the user chose is taken or refused. Without one
// it is the address that the data directory had last, so that clients find it again; then the usual
// one; and when another instance has that, any free port.
func listen(ctx context.Context, c config.Config, usual string, log *slog.Logger) (net.Listener, error) {
	var cfg net.ListenConfig
	if c.Listen != "" {
		l, err := cfg.Listen(ctx, "tcp", c.Listen)
		return l, explainListen(c.Listen, err)
	}
	last, err := c.Dir.LastAddress()
	if err != nil {
		return nil, err
	}
	for _, address := range []string{cmp.Or(last, usual), usual} {
		l, err := cfg.Listen(ctx, "tcp", address)
		if publish.InUse(err) {
			continue
		}
		return l, explainListen(address, err)
	}
	l, err := cfg.Listen(ctx, "tcp", freePort)
	if err == nil {
		log.Warn("another program listens on the API's usual address: a free port is taken", "usual", usual, "api", l.Addr().String())
	}
	return l, explainListen(freePort, err)
}

func explainListen(address string, err error) error {
	switch {
	case err == nil:
		return nil
	case publish.InUse(err):
		return fmt.Errorf("another program listens on %s: choose another address with --listen or SKIFF_LISTEN (%s takes a free port)", address, freePort)
	}
	return fmt.Errorf("listening on %s (choose an address with --listen or SKIFF_LISTEN): %w", address, err)
}

// keepAddress notes the address that listen chose.
func (d *daemon) keepAddress() error {
	if d.config.Listen != "" {
		return nil
	}
	return d.config.Dir.KeepAddress(d.listener.Addr().String())
}

package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/daemon/config"
	"skiff/manifests/registry"
	"skiff/manifests/servicefacts"
	"skiff/network/protocol"
	"skiff/network/publish"
)

// listenDoor opens the front door's port, nil if there is to be none: the one that the data directory
// had last, or the usual one, which may be another daemon's: then a free one. One that the user chose is
// taken or refused.
func listenDoor(ctx context.Context, c config.Config, log *slog.Logger) (*net.TCPListener, error) {
	if c.FrontDoorPort == 0 {
		return nil, nil
	}
	wanted := []string{c.FrontDoor().String()}
	if c.FrontDoorPort == config.FrontDoorPort {
		last, err := c.Dir.LastDoor()
		if err != nil {
			return nil, err
		}
		if at, err := netip.ParseAddrPort(last); err == nil && at.Addr() == c.PublishAddress {
			wanted = slices.Insert(wanted, 0, last)
		}
		wanted = append(wanted, netip.AddrPortFrom(c.PublishAddress, 0).String())
	}
	var cfg net.ListenConfig
	var err error
	for _, address := range wanted {
		var l net.Listener
		l, err = cfg.Listen(ctx, "tcp", address)
		if err == nil {
			if l.Addr().String() != c.FrontDoor().String() {
				log.Info("the front door is not at its usual port", "usual", c.FrontDoor(), "door", l.Addr().String())
			}
			return l.(*net.TCPListener), keepDoor(c, l)
		}
		if !publish.InUse(err) {
			break
		}
	}
	return nil, fmt.Errorf("opening the front door at %s (--front-door chooses another port, 0 leaves it out): %w", c.FrontDoor(), err)
}

// keepDoor notes the address that was chosen, as that of the API is.
func keepDoor(c config.Config, l net.Listener) error {
	if c.FrontDoorPort != config.FrontDoorPort {
		return nil
	}
	if err := c.Dir.KeepDoor(l.Addr().String()); err != nil {
		return errors.Join(err, l.Close())
	}
	return nil
}

// doorAddress is where the front door listens, the zero value if there is none.
func (d *daemon) doorAddress() netip.AddrPort {
	if d.door == nil {
		return netip.AddrPort{}
	}
	at := d.door.Addr().(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

// openDoor leads the front door to the router, once it is known where that is.
func (d *daemon) openDoor(router netip.Addr) {
	if d.door == nil {
		return
	}
	d.ports.Serve("the front door", d.door, publish.Port{
		Protocol: protocol.TCP, At: d.doorAddress(), To: netip.AddrPortFrom(router, protocol.DoorPort), Proxy: true,
	})
}

// tellAddresses says, where every client may read it, how this daemon is reached from its machine, and
// how long it waits for a silent node.
func (d *daemon) tellAddresses(ctx context.Context) error {
	at := ""
	if d.door != nil {
		at = d.doorAddress().String()
	}
	if err := d.tellInfo(ctx, servicefacts.InfoFrontDoor, at); err != nil {
		return err
	}
	return d.tellInfo(ctx, servicefacts.InfoNodeGrace, cmp.Or(d.config.NodeGracePeriod, config.NodeGracePeriod).String())
}

// tellInfo writes a value of the ConfigMap in which the daemon describes itself; empty is none.
func (d *daemon) tellInfo(ctx context.Context, key, value string) error {
	set := func(m *corev1.ConfigMap) error {
		if value == "" {
			delete(m.Data, key)
			return nil
		}
		if m.Data == nil {
			m.Data = map[string]string{}
		}
		m.Data[key] = value
		return nil
	}
	maps := registry.For[*corev1.ConfigMap](d.registry)
	_, err := maps.Update(ctx, servicefacts.InfoNamespace, servicefacts.InfoName, set)
	if apierrors.IsNotFound(err) {
		m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: servicefacts.InfoNamespace, Name: servicefacts.InfoName}}
		_ = set(m) // never fails
		_, err = maps.Create(ctx, m)
	}
	if apierrors.IsAlreadyExists(err) { // another value came first
		_, err = maps.Update(ctx, servicefacts.InfoNamespace, servicefacts.InfoName, set)
	}
	if err != nil {
		return fmt.Errorf("telling %s in ConfigMap %s/%s: %w", key, servicefacts.InfoNamespace, servicefacts.InfoName, err)
	}
	return nil
}

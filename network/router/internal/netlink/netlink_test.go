//go:build linux

package netlink

import (
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// TestAttributes checks that what is written can be read, padding and nesting included.
func TestAttributes(t *testing.T) {
	var a Attributes
	a.String(1, "name")
	a.Nest(2, func(a *Attributes) {
		a.Network32(3, 258)
		a.Bytes(4, nil)
		a.Network64(5, 1)
	})
	a.Bytes(6, []byte{7})
	if len(a)%4 != 0 {
		t.Errorf("%d bytes", len(a))
	}
	if got, want := read(t, a), "1=6e616d6500 2=(3=00000102 4= 5=0000000000000001 ) 6=07 "; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, bad := range [][]byte{{3, 0, 1, 0}, {9, 0, 1, 0, 1, 2, 3, 4}} {
		if err := Each(bad, func(uint16, []byte) error { return nil }); !errors.Is(err, errMalformed) {
			t.Errorf("%x: %v", bad, err)
		}
	}
}

func read(t *testing.T, data []byte) string {
	var out string
	err := Each(data, func(kind uint16, value []byte) error {
		if kind == 2 {
			out += "2=(" + read(t, value) + ") "
		} else {
			out += fmt.Sprintf("%d=%x ", kind, value)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return out
}

// TestKernel asks this machine's kernel what any user may: for its devices, and for one that is not
// there.
func TestKernel(t *testing.T) {
	c, err := Dial(unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	devices := 0
	list := Message{Type: unix.RTM_GETLINK, Body: make([]byte, unix.SizeofIfInfomsg)}
	for range 2 {
		devices = 0
		if err := c.Dump(list, func(m Message) error { devices++; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if devices == 0 {
		t.Error("there are no devices")
	}
	var a Attributes = make([]byte, unix.SizeofIfInfomsg)
	a.String(unix.IFLA_IFNAME, "no such one")
	err = c.Do(Message{Type: unix.RTM_GETLINK, Body: a})
	var refused *MessageError
	if !errors.As(err, &refused) || !errors.Is(err, unix.ENODEV) {
		t.Errorf("got %v", err)
	}
	// What is given up in the middle leaves nothing behind for the next.
	stop := errors.New("stop")
	if err := c.Dump(list, func(Message) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
	if err := c.Dump(list, func(Message) error { return nil }); err != nil {
		t.Error(err)
	}
}

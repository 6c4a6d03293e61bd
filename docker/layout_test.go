package docker

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
)

func TestDivide(t *testing.T) {
	for _, c := range []struct{ subnet, want string }{
		{"10.244.64.0/18", "gateway 10.244.64.1 pods 10.244.64.0/20 engine 10.244.80.0/21 router 10.244.88.1 nodes 10.244.88.0/21 shadows 10.244.96.0/20 services 10.244.112.0/20"},
		{"172.16.16.0/20", "gateway 172.16.16.1 pods 172.16.16.0/22 engine 172.16.20.0/23 router 172.16.22.1 nodes 172.16.22.0/23 shadows 172.16.24.0/22 services 172.16.28.0/22"},
		{"10.0.0.7/26", "gateway 10.0.0.1 pods 10.0.0.0/28 engine 10.0.0.16/29 router 10.0.0.25 nodes 10.0.0.24/29 shadows 10.0.0.32/28 services 10.0.0.48/28"},
	} {
		l, err := Divide(netip.MustParsePrefix(c.subnet))
		got := fmt.Sprintf("gateway %s pods %s engine %s router %s nodes %s shadows %s services %s", l.Gateway, l.Pods, l.Engine, l.Router, l.Nodes, l.Shadows, l.Services)
		if err != nil || got != c.want {
			t.Errorf("%s:\ngot  %s, %v\nwant %s", c.subnet, got, err, c.want)
		}
	}
	for _, bad := range []string{"10.0.0.0/27", "fd00::/64"} {
		if _, err := Divide(netip.MustParsePrefix(bad)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

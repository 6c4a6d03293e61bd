package daemon

import (
	"strings"
	"testing"

	"skiff/daemon/config"
	"skiff/daemon/datadir"
)

func TestNodeNameIsKept(t *testing.T) {
	c := config.Config{Dir: datadir.Dir(t.TempDir())}
	c.NodeName = "first"
	for _, step := range []struct{ given, want, fails string }{
		{"first", "first", ""}, {"", "first", ""}, {"second", "", `is called "first" and can not become "second"`},
	} {
		c.NodeName = step.given
		got, err := nodeName(c)
		if got != step.want || (err != nil) != (step.fails != "") || err != nil && !strings.Contains(err.Error(), step.fails) {
			t.Errorf("given %q: %q, %v", step.given, got, err)
		}
	}
	bad := config.Config{Dir: datadir.Dir(t.TempDir())}
	bad.NodeName = "Bad_Name"
	if _, err := nodeName(bad); err == nil || !strings.Contains(err.Error(), "--node-name") {
		t.Errorf("a bad name: %v", err)
	}
}

func TestNodeNameOfAHost(t *testing.T) {
	for host, want := range map[string]string{"vm": "vm", "My_Laptop.local": "my-laptop.local", "-odd-": "odd", "Jürgens PC": "j-rgens-pc"} {
		if got, err := hostNodeName(func() (string, error) { return host, nil }); got != want || err != nil {
			t.Errorf("%q: %q, %v", host, got, err)
		}
	}
}

package integration

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"skiff/integration/harness"
)

// TestTakenHostPort holds that a pod whose port of the machine is taken by another program says
// which one, and runs as soon as it is free, without a restart.
func TestTakenHostPort(t *testing.T) {
	t.Parallel()
	d := harness.Start(t)
	listener, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	for _, c := range d.CLIs() {
		name := "pod-" + c.Name
		c.DoIn(fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":%q},"spec":{"terminationGracePeriodSeconds":0,"containers":[
			{"name":"main","image":"ksfzhaohui/kubia","ports":[{"containerPort":8080,"hostPort":%d}]}]}}`, name, port), "apply", "-f", "-")
		harness.Until(t, soon, "the pod says that the port is taken", func() bool {
			return strings.Contains(c.Do("get", "pod", name, "--no-headers"), "HostPortInUse")
		})
		want := fmt.Sprintf("hostPort %d is in use on this machine: free it, or use another hostPort", port)
		if got := c.Do("describe", "pod", name); !strings.Contains(got, want) || strings.Contains(got, "StartError") {
			t.Errorf("%s describe:\n%s\nwant %q", c.Name, got, want)
		}
		if err := listener.Close(); err != nil {
			t.Fatal(err)
		}
		harness.Until(t, soon, "the pod runs", func() bool {
			return slices.Equal(strings.Fields(c.Do("get", "pod", name, "--no-headers"))[1:4], []string{"1/1", "Running", "0"})
		})
		c.Do("delete", "pod", name)
		harness.Until(t, soon, "the port is free", func() bool {
			listener, err = net.Listen("tcp", fmt.Sprintf("0.0.0.0:%d", port))
			return err == nil
		})
	}
	listener.Close() //nolint:errcheck // the test has ended
}

// TestStopFinishesRemovals holds that a daemon that is told to stop right after pods were deleted
// leaves none of their containers, and those of other pods running.
func TestStopFinishesRemovals(t *testing.T) {
	t.Parallel()
	d := harness.Start(t)
	c := d.SkiffCLI()
	for _, rc := range []string{"gone", "kept"} {
		c.DoIn(rcManifest(rc, 4), "apply", "-f", "-")
	}
	harness.Until(t, soon, "all run", func() bool { return len(running(d)) == 8 })
	c.Do("delete", "rc", "gone", "--cascade=foreground", "--wait=false")
	c.Do("delete", "pods", "-l", "app=gone", "--grace-period=0", "--force")
	d.Stop()
	left := d.Containers()
	if len(left) != 4 {
		t.Errorf("%d containers are left, want 4", len(left))
	}
	for _, l := range left {
		if l.State != "running" || !strings.Contains(l.Names[0], "kept") {
			t.Errorf("%s %s is left", l.Names[0], l.State)
		}
	}
}

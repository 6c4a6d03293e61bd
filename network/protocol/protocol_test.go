package protocol

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestResult checks that an error is the same for who asks from afar.
func TestResult(t *testing.T) {
	for _, err := range []error{
		&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)},
		&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EHOSTUNREACH)},
		&net.OpError{Op: "dial", Err: context.DeadlineExceeded},
		errors.New("of another kind"),
		nil,
	} {
		line, encodeErr := json.Marshal(ResultOf(err))
		if encodeErr != nil {
			t.Fatal(encodeErr)
		}
		var r Result
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
		got := r.Err()
		if err == nil || got == nil {
			if got != err {
				t.Errorf("%v became %v", err, got)
			}
			continue
		}
		for _, errno := range []syscall.Errno{syscall.ECONNREFUSED, syscall.EHOSTUNREACH} {
			if errors.Is(got, errno) != errors.Is(err, errno) {
				t.Errorf("%v became %v", err, got)
			}
		}
		var timeout, wasTimeout net.Error
		is := errors.As(got, &timeout) && timeout.Timeout()
		if was := errors.As(err, &wasTimeout) && wasTimeout.Timeout(); got.Error() != err.Error() || is != was {
			t.Errorf("%v became %v, timeout %v", err, got, is)
		}
	}
}

// TestLines checks that a line is read, and nothing of what follows.
func TestLines(t *testing.T) {
	var b bytes.Buffer
	want := Greeting{Kind: KindDial, Network: TCP, Address: "10.0.0.1:80"}
	if err := WriteLine(&b, want); err != nil {
		t.Fatal(err)
	}
	b.WriteString("the rest")
	in := bufio.NewReader(&b)
	var got Greeting
	if err := ReadLine(in, &got); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	if rest, err := io.ReadAll(in); err != nil || string(rest) != "the rest" {
		t.Errorf("the rest is %q, %v", rest, err)
	}
	for _, bad := range []string{"", "{}", "nonsense\n", strings.Repeat("x", maxLine+1) + "\n"} {
		if err := ReadLine(bufio.NewReader(strings.NewReader(bad)), &got); err == nil {
			t.Errorf("%.20q is a greeting", bad)
		}
	}
}

// TestNoNodes: that there are no nodes any more is not the same as that nothing is said of them.
func TestNoNodes(t *testing.T) {
	for _, nodes := range [][]Node{nil, {}} {
		text, err := json.Marshal(Update{Nodes: nodes})
		if err != nil {
			t.Fatal(err)
		}
		var u Update
		if err := json.Unmarshal(text, &u); err != nil || (u.Nodes == nil) != (nodes == nil) {
			t.Errorf("%#v became %#v, %v", nodes, u.Nodes, err)
		}
	}
}

func TestShadow(t *testing.T) {
	c := Config{Pods: netip.MustParsePrefix("10.77.0.0/22"), Shadows: netip.MustParsePrefix("10.77.8.0/22")}
	for pod, want := range map[string]string{"10.77.0.10": "10.77.8.10", "10.77.3.255": "10.77.11.255", "10.77.4.1": "invalid IP", "fd00::1": "invalid IP"} {
		if got, ok := c.Shadow(netip.MustParseAddr(pod)); got.String() != want || ok != got.IsValid() {
			t.Errorf("%s has the shadow %s, want %s", pod, got, want)
		}
	}
}

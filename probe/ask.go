package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"
)

// maxOutput is how much of a container's answer is read (pkg/probe: maxRespBodyLength,
// maxReadLength).
const maxOutput = 10 << 10

// maxTries is how often kubelet asks when the probe itself fails (pkg/kubelet/prober:
// maxProbeRetries).
const maxTries = 3

// answer is what a probe brought back. With an error it says nothing about the container.
type answer struct {
	outcome Outcome
	message string
	err     error
}

// asker asks one container one question. When ctx is cancelled it returns soon, with whatever
// answer.
type asker interface {
	ask(ctx context.Context, timeout time.Duration) answer
	handler() handler
}

// handler is the way a question is put.
type handler uint8

const (
	handlerHTTP handler = iota
	handlerTCP
	handlerGRPC
	handlerExec
	handlerNone

	handlers = 5
)

func (h handler) String() string {
	return [...]string{"http", "tcp", "grpc", "exec", "none"}[h]
}

// askPatiently asks again when the asking itself has failed.
func askPatiently(ctx context.Context, a asker, timeout time.Duration) answer {
	var got answer
	for range maxTries {
		got = a.ask(ctx, timeout)
		if got.err == nil || ctx.Err() != nil {
			break
		}
	}
	return got
}

// failed is the answer for a container that could not be reached, in the words of text. When the
// reason is this process's own want of files or ports, or its network is down, the container is not to
// blame.
func failed(err error, text string) answer {
	for _, ours := range want {
		if errors.Is(err, ours) {
			return answer{outcome: Unknown, err: err}
		}
	}
	return answer{outcome: Failure, message: text}
}

// broken is an asker for a probe that makes no sense.
type broken struct {
	err error
	how handler
}

func (b broken) ask(context.Context, time.Duration) answer { return answer{err: b.err} }
func (b broken) handler() handler                          { return b.how }

// builder makes askers of probes.
type builder struct {
	dial Dial
	http *httpClient
	grpc *grpcClient
}

// Dial connects to a container's port: "tcp", and host and port.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

func newBuilder(version string, dial Dial) *builder {
	agent := "kube-probe/" + version
	if dial == nil {
		// Connections live for one question, so keep-alive probes would only cost system calls.
		// Kubelet also makes its sockets linger for a second, against a pile-up of TIME_WAIT; on
		// Linux that changes nothing about it, and costs a TCP probe an eighth of its CPU.
		dial = (&net.Dialer{KeepAlive: -1}).DialContext
	}
	return &builder{dial: dial, http: newHTTPClient(agent, dial), grpc: &grpcClient{userAgent: agent, dial: dial}}
}

// build returns the asker for a container's probe of a kind and the lane it is asked in.
func (b *builder) build(c *Container, k Kind) (asker, laneName) {
	switch p := c.probe(k); {
	case p.Exec != nil:
		return newExecAsker(c, p.Exec), execs
	case p.HTTPGet != nil:
		return b.http.asker(c, p.HTTPGet), network
	case p.TCPSocket != nil:
		return newTCPAsker(c, p.TCPSocket, b.dial), network
	case p.GRPC != nil:
		return b.grpc.asker(c, p.GRPC), network
	}
	err := fmt.Errorf("missing probe handler for %s:%s", c.Key.Pod, c.Key.Container)
	return broken{err, handlerNone}, network
}

// port is the number of a port given by number or by name (pkg/probe/util.go).
func (c *Container) port(p intstr.IntOrString) (int32, error) {
	number := p.IntVal
	if p.Type == intstr.String {
		named, ok := c.Ports[p.StrVal]
		if !ok {
			return 0, fmt.Errorf("port %q not found", p.StrVal)
		}
		number = named
	}
	if number < 1 || number > 65535 {
		return 0, fmt.Errorf("invalid port number: %d", number)
	}
	return number, nil
}

// hostOr is the probe's own host, or else the container's.
func (c *Container) hostOr(own string) string {
	if own != "" {
		return own
	}
	return c.Host
}

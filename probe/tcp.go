package probe

import (
	"context"
	"net"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// tcpAsker opens a connection and closes it again (pkg/probe/tcp).
type tcpAsker struct {
	dial    Dial
	address string
}

func newTCPAsker(c *Container, a *corev1.TCPSocketAction, d Dial) asker {
	port, err := c.port(a.Port)
	if err != nil {
		return broken{err, handlerTCP}
	}
	return &tcpAsker{dial: d, address: address(c.hostOr(a.Host), port)}
}

func (t *tcpAsker) handler() handler { return handlerTCP }

func (t *tcpAsker) ask(ctx context.Context, timeout time.Duration) answer {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := t.dial(ctx, "tcp", t.address)
	if err != nil {
		return failed(err, err.Error())
	}
	_ = conn.Close() // the question was whether it opens
	return answer{outcome: Success}
}

// address joins a host and a port.
func address(host string, port int32) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

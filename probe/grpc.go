package probe

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
)

// grpcClient is what all gRPC probes share. grpc-go is linked already, by k8s.io/apiserver.
type grpcClient struct {
	userAgent string
	dial      Dial
}

// grpcAsker asks gRPC's own health service (pkg/probe/grpc).
type grpcAsker struct {
	*grpcClient
	address, service string
	credentials      credentials.TransportCredentials
}

func (g *grpcClient) asker(of *Container, a *corev1.GRPCAction) asker {
	q := &grpcAsker{grpcClient: g, address: address(of.Host, a.Port), credentials: insecure.NewCredentials()}
	if a.Service != nil {
		q.service = *a.Service
	}
	if a.Mode != nil && *a.Mode == corev1.GRPCProbeModeTLS {
		q.credentials = credentials.NewTLS(&tls.Config{InsecureSkipVerify: true}) // asks about health, not identity
	}
	return q
}

func (g *grpcAsker) handler() handler { return handlerGRPC }

func (g *grpcAsker) ask(ctx context.Context, timeout time.Duration) answer {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var refused atomic.Pointer[error]
	conn, err := g.client(&refused)
	if err != nil {
		return failed(err, fmt.Sprintf("error: failed to connect service at %q: %v", g.address, err))
	}
	defer conn.Close()
	if err := connect(ctx, conn); err != nil {
		text := fmt.Sprintf("timeout: failed to connect service %q within %v: %v", g.address, timeout, err)
		if reason := refused.Load(); reason != nil {
			err = *reason
		}
		return failed(err, text)
	}
	request := &grpc_health_v1.HealthCheckRequest{Service: g.service}
	response, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, request)
	if err != nil {
		return answer{outcome: Failure, message: rpcFailure(err, timeout)}
	}
	if s := response.GetStatus(); s != grpc_health_v1.HealthCheckResponse_SERVING {
		return answer{outcome: Failure, message: fmt.Sprintf("service unhealthy (responded with %q)", s)}
	}
	return answer{outcome: Success, message: "service healthy"}
}

// client returns a client for one question. It notes in refused why the latest connection failed.
func (g *grpcAsker) client(refused *atomic.Pointer[error]) (*grpc.ClientConn, error) {
	dial := func(ctx context.Context, addr string) (net.Conn, error) {
		conn, err := g.dial(ctx, "tcp", addr)
		if err != nil {
			refused.Store(&err)
		}
		return conn, err
	}
	return grpc.NewClient("passthrough:///"+g.address,
		grpc.WithUserAgent(g.userAgent),
		grpc.WithTransportCredentials(g.credentials),
		grpc.WithContextDialer(dial),
		grpc.WithDisableServiceConfig())
}

// connect waits until the connection stands. A refused one is tried again until ctx ends, as
// kubelet does.
func connect(ctx context.Context, conn *grpc.ClientConn) error {
	conn.Connect()
	for s := conn.GetState(); s != connectivity.Ready; s = conn.GetState() {
		if s == connectivity.Idle {
			conn.Connect()
		}
		if !conn.WaitForStateChange(ctx, s) {
			return ctx.Err()
		}
	}
	return nil
}

// rpcFailure is kubelet's text for a health call that failed.
func rpcFailure(err error, timeout time.Duration) string {
	switch s := status.Convert(err); s.Code() {
	case codes.Unimplemented:
		return "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): " + s.Message()
	case codes.DeadlineExceeded:
		return fmt.Sprintf("timeout: health rpc did not complete within %v", timeout)
	}
	return fmt.Sprintf("error: health rpc probe failed: %v", err)
}

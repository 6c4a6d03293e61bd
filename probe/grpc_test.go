package probe

import (
	"context"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
)

// healthServer answers by the name of the service it is asked for.
type healthServer struct {
	grpc_health_v1.UnimplementedHealthServer
}

func (healthServer) Check(ctx context.Context, r *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	switch md, _ := metadata.FromIncomingContext(ctx); r.Service {
	case "hang":
		<-ctx.Done()
		return nil, ctx.Err()
	case "down":
		return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_NOT_SERVING}, nil
	case "agent":
		return nil, status.Error(codes.Aborted, strings.Join(md.Get("user-agent"), ","))
	case "":
		return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING}, nil
	}
	return nil, status.Error(codes.NotFound, "unknown service")
}

// serveGRPC runs a server until the test ends.
func serveGRPC(t *testing.T, healthy bool, o ...grpc.ServerOption) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(o...)
	if healthy {
		grpc_health_v1.RegisterHealthServer(server, healthServer{})
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() { server.Stop(); serving.Wait() })
	return l.Addr().String()
}

func TestGRPC(t *testing.T) {
	healthy, unhealthy := serveGRPC(t, true), serveGRPC(t, false)
	tlsServer := httptest.NewUnstartedServer(nil)
	tlsServer.StartTLS() // for its certificate
	defer tlsServer.Close()
	secure := serveGRPC(t, true, grpc.Creds(credentials.NewTLS(tlsServer.TLS)))
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts, says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	mode := corev1.GRPCProbeModeTLS
	for _, test := range []struct {
		name, address, service string
		mode                   *corev1.GRPCProbeMode
		timeout                time.Duration
		want                   string
	}{
		{"serving", healthy, "", nil, 5 * time.Second, `success: service healthy`},
		{"not serving", healthy, "down", nil, 5 * time.Second, `failure: service unhealthy (responded with "NOT_SERVING")`},
		{"unknown service", healthy, "x", nil, 5 * time.Second,
			`failure: error: health rpc probe failed: rpc error: code = NotFound desc = unknown service`},
		{"no health service", unhealthy, "", nil, 5 * time.Second,
			`failure: error: this server does not implement the grpc health protocol (grpc.health.v1.Health): ` +
				`unknown service grpc.health.v1.Health`},
		{"hanging", healthy, "hang", nil, 100 * time.Millisecond,
			`failure: timeout: health rpc did not complete within 100ms`},
		{"refused", refusing(t), "", nil, 50 * time.Millisecond,
			`failure: timeout: failed to connect service "HOST" within 50ms: context deadline exceeded`},
		{"silent", silent.Addr().String(), "", nil, 50 * time.Millisecond,
			`failure: timeout: failed to connect service "HOST" within 50ms: context deadline exceeded`},
		{"tls", secure, "", &mode, 5 * time.Second, `success: service healthy`},
	} {
		action := &corev1.GRPCAction{Port: portOf(t, test.address).IntVal, Service: &test.service, Mode: test.mode}
		got := askOf(t, Container{Host: "127.0.0.1"}, test.timeout, corev1.ProbeHandler{GRPC: action})
		if got.text(test.address) != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got.text(test.address), test.want)
		}
	}
	agent := "agent"
	got := askOf(t, Container{Host: "127.0.0.1"}, 5*time.Second, corev1.ProbeHandler{
		GRPC: &corev1.GRPCAction{Port: portOf(t, healthy).IntVal, Service: &agent}})
	if !strings.Contains(got.message, "desc = kube-probe/1.37") {
		t.Errorf("user agent: %s", got.message)
	}
}

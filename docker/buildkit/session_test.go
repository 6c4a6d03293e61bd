package buildkit

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http/httptest"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	grpcstatus "google.golang.org/grpc/status"
)

// raw carries messages as they are.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error)      { return *v.(*[]byte), nil }
func (raw) Unmarshal(data []byte, v any) error { *v.(*[]byte) = data; return nil }
func (raw) Name() string                       { return "proto" }

// connect is a client as BuildKit is one, on a connection that a session serves.
func connect(t *testing.T, s *Session, ours, theirs net.Conn) *grpc.ClientConn {
	t.Helper()
	served := make(chan struct{})
	go func() { defer close(served); s.Serve(t.Context(), ours) }()
	c, err := grpc.NewClient("passthrough:session", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return theirs, nil }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Close()
		<-served
	})
	return c
}

func TestSession(t *testing.T) {
	s := NewSession()
	s.Secrets = map[string][]byte{"token": []byte("\x00secret")}
	s.Credentials = func(_ context.Context, host string) (string, string, error) {
		if host == "broken" {
			return "", "", errors.New("the helper failed: 100%")
		}
		return "me@" + host, "word", nil
	}
	ours, theirs := net.Pipe()
	c := connect(t, s, ours, theirs)
	call := func(method string, request []byte) ([]byte, error) {
		var answer []byte
		err := c.Invoke(t.Context(), method, &request, &answer, grpc.ForceCodec(raw{}))
		return answer, err
	}
	if answer, err := call(credentialsMethod, message(1, "registry:5000")); err != nil || string(answer) != string(message(1, "me@registry:5000", 2, "word")) {
		t.Errorf("credentials: %q %v", answer, err)
	}
	if answer, err := call(secretMethod, message(1, "token")); err != nil || string(answer) != string(message(1, "\x00secret")) {
		t.Errorf("secret: %q %v", answer, err)
	}
	for _, test := range []struct {
		method, with string
		code         codes.Code
		text         string
	}{
		{secretMethod, "other", codes.NotFound, "the build has no secret other"},
		{credentialsMethod, "broken", codes.Internal, "the helper failed: 100%"},
		// BuildKit then asks for plain credentials instead.
		{"/moby.filesync.v1.Auth/GetTokenAuthority", "x", codes.Unimplemented, "skiff does not serve /moby.filesync.v1.Auth/GetTokenAuthority"},
	} {
		_, err := call(test.method, message(1, test.with))
		if got := grpcstatus.Convert(err); got.Code() != test.code || got.Message() != test.text {
			t.Errorf("%s of %s: %v", test.method, test.with, err)
		}
	}
	checkHealth(t, c)
}

func checkHealth(t *testing.T, c *grpc.ClientConn) {
	t.Helper()
	health, err := grpc_health_v1.NewHealthClient(c).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil || health.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("health: %v %v", health, err)
	}
}

// TestSessionOverTLS: an engine that is reached over TLS talks HTTP/2 in it without having said so.
func TestSessionOverTLS(t *testing.T) {
	certified := httptest.NewTLSServer(nil)
	defer certified.Close()
	trust := x509.NewCertPool()
	trust.AddCert(certified.Certificate())
	ours, theirs := net.Pipe()
	client := tls.Client(ours, &tls.Config{RootCAs: trust, ServerName: "example.com", MinVersion: tls.VersionTLS12})
	engine := tls.Server(theirs, &tls.Config{Certificates: certified.TLS.Certificates, MinVersion: tls.VersionTLS12})
	checkHealth(t, connect(t, NewSession(), client, engine))
}

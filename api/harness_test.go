package api_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/apiserver/pkg/authentication/token/tokenfile"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"skiff/api"
	"skiff/api/authn"
	"skiff/api/credentials"
	"skiff/api/openapi"
	"skiff/manifests"
	"skiff/manifests/admission"
	"skiff/manifests/rbac"
	"skiff/manifests/registry"
	"skiff/orchestrator/cluster/roles"
	"skiff/store"
)

const token = "the-token-of-the-test"

// harness is an API over a store of its own, served over TLS on a free port.
type harness struct {
	t        testing.TB
	registry *registry.Registry
	server   *api.Server
	creds    *credentials.Credentials
	address  string
	// config is a client's with the administrator's certificate.
	config *rest.Config
	client kubernetes.Interface
	any    dynamic.Interface
	// stop ends the server, and returns when it has ended.
	stop func()
}

type options struct {
	pods   api.PodStreams
	checks []api.Check
	logger *slog.Logger
	// bookmarks is the time between bookmarks.
	bookmarks time.Duration
	// window is how many events the store keeps.
	window int
}

func start(t testing.TB, o options) *harness {
	t.Helper()
	if o.logger == nil {
		o.logger = slog.New(slog.DiscardHandler)
		if os.Getenv("SKIFF_TEST_LOG") != "" {
			o.logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
		}
	}
	dir := t.TempDir()
	state, err := store.Open(store.Options{
		Path: filepath.Join(dir, "skiff.db"), Codec: manifests.StoreCodec(), Clock: clock.RealClock{}, Logger: o.logger, Indexes: registry.Indexes(), OtherIndexes: registry.OtherIndexes(), Window: o.window,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	stored := make(chan error, 1)
	go func() { stored <- state.Run(ctx) }()
	h := &harness{t: t, registry: registry.New(registry.Options{
		Store: state, Clock: clock.RealClock{}, Admission: admission.Chain(state, admission.Options{}), BookmarkPeriod: o.bookmarks,
	})}
	h.namespace("default")
	h.namespace("kube-system")
	h.namespace("kube-public")
	if err := roles.EnsureDefaults(ctx, h.registry); err != nil {
		t.Fatal(err)
	}
	robots := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "robots"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "robots"}},
	}
	if _, err := registry.For[*rbacv1.ClusterRoleBinding](h.registry).Create(ctx, robots); err != nil {
		t.Fatal(err)
	}
	if _, err := h.registry.Services().SetRange(ctx, netip.MustParsePrefix("10.244.48.0/20"), nil); err != nil {
		t.Fatal(err)
	}
	serve := h.serve(dir, o)
	served := make(chan error, 1)
	serving, stopServing := context.WithCancel(ctx)
	go func() { served <- serve(serving) }()
	stopped := false
	h.stop = func() {
		if stopped {
			return
		}
		stopped = true
		stopServing()
		if err := <-served; err != nil {
			t.Errorf("serving: %v", err)
		}
		cancel()
		if err := <-stored; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("storing: %v", err)
		}
		if err := state.Close(); err != nil {
			t.Errorf("closing the store: %v", err)
		}
	}
	t.Cleanup(h.stop)
	return h
}

// serve makes the API and its clients, and returns what runs it.
func (h *harness) serve(dir string, o options) func(context.Context) error {
	t := h.t
	t.Helper()
	var err error
	if h.creds, err = credentials.Load(credentials.Options{Dir: filepath.Join(dir, "credentials"), Clock: clock.RealClock{}}); err != nil {
		t.Fatal(err)
	}
	documents, err := openapi.New()
	if err != nil {
		t.Fatal(err)
	}
	h.server, err = api.New(api.Options{
		Registry: h.registry, OpenAPI: documents, Metrics: prometheus.NewRegistry(), PodStreams: o.pods, Checks: o.checks, Logger: o.logger,
		Version:    version.Info{Major: "1", Minor: "37", GitVersion: "v1.37.2+skiff"},
		Authorizer: rbac.NewAuthorizer(h.registry.Store(), nil),
		Authenticator: union.New(
			authn.NewClientCertificate(h.creds.Roots(), clock.RealClock{}),
			group.NewAuthenticatedGroupAdder(bearertoken.New(tokenfile.New(map[string]*user.DefaultInfo{
				token: {Name: "robot", Groups: []string{"robots"}},
			}))),
		),
	})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.address = listener.Addr().String()
	h.config = &rest.Config{
		Host: "https://" + h.address, QPS: -1, WarningHandler: rest.NoWarnings{},
		TLSClientConfig: rest.TLSClientConfig{CAData: h.creds.CA(), CertData: h.creds.AdminCert(), KeyData: h.creds.AdminKey()},
	}
	if h.client, err = kubernetes.NewForConfig(h.config); err != nil {
		t.Fatal(err)
	}
	if h.any, err = dynamic.NewForConfig(h.config); err != nil {
		t.Fatal(err)
	}
	return func(ctx context.Context) error { return h.server.Serve(ctx, h.creds.ServerTLS(), listener) }
}

// namespace makes a namespace and the service account that its pods need.
func (h *harness) namespace(name string) {
	h.t.Helper()
	ctx := context.Background()
	if _, err := registry.For[*corev1.Namespace](h.registry).Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
		h.t.Fatal(err)
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: "default"}}
	if _, err := registry.For[*corev1.ServiceAccount](h.registry).Create(ctx, account); err != nil {
		h.t.Fatal(err)
	}
}

// http is a client with the administrator's certificate.
func (h *harness) http() *http.Client {
	h.t.Helper()
	c, err := rest.HTTPClientFor(h.config)
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

func pod(name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": "kubia"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "kubia", Image: "kubia"}}},
	}
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// client-go's WebSocket client leaves its heartbeat behind when it is cut off,
		goleak.IgnoreTopFunction("k8s.io/client-go/tools/remotecommand.(*heartbeat).start"),
		// and its SPDY client waits a second for somebody to ask why a close failed.
		goleak.IgnoreTopFunction("github.com/moby/spdystream.(*Connection).shutdown"),
	)
}

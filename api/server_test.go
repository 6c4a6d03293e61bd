package api_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"k8s.io/utils/clock"
	"skiff/api"
	"skiff/api/credentials"
)

// stranger is a client without credentials.
func (h *harness) stranger(certs ...tls.Certificate) *http.Client {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(h.creds.CA())
	transport := &http.Transport{TLSClientConfig: &tls.Config{
		RootCAs: pool,
		// Whatever the server asks for.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if len(certs) == 0 {
				return &tls.Certificate{}, nil
			}
			return &certs[0], nil
		},
	}, DisableKeepAlives: true}
	return &http.Client{Transport: transport}
}

func TestAuthentication(t *testing.T) {
	h := start(t, options{})
	other, err := credentials.Load(credentials.Options{Dir: t.TempDir(), Clock: clock.RealClock{}})
	if err != nil {
		t.Fatal(err)
	}
	foreign := must[tls.Certificate](t)(tls.X509KeyPair(other.AdminCert(), other.AdminKey()))
	const refused = "401 Unauthorized: Unauthorized"
	for _, test := range []struct {
		name   string
		client *http.Client
		path   string
		header []string
		want   string
	}{
		{"nothing", h.stranger(), pods, nil, refused},
		{"nothing, of a path that is not there", h.stranger(), "/nowhere", nil, refused},
		{"nothing, of metrics", h.stranger(), "/metrics", nil, refused},
		{"another authority's certificate", h.stranger(foreign), pods, nil, refused},
		{"a wrong token", h.stranger(), pods, []string{"Authorization: Bearer " + token + "x"}, refused},
		{"an empty token", h.stranger(), pods, []string{"Authorization: Bearer"}, refused},
		{"another scheme", h.stranger(), pods, []string{"Authorization: Basic " + token}, refused},
		{"the token", h.stranger(), pods, []string{"Authorization: Bearer " + token}, "200 PodList"},
		{"the certificate", h.http(), pods, nil, "200 PodList"},
		{"health", h.stranger(), "/healthz", nil, "200 ok"},
		{"a single check", h.stranger(), "/readyz/ping", nil, "200 ok"},
		{"what only begins like health", h.stranger(), "/healthzz", nil, refused},
	} {
		equal(t, test.name, h.doWith(test.client, "GET", test.path, strings.NewReader(""), test.header...).String(), test.want)
	}
}

func TestReviews(t *testing.T) {
	h := start(t, options{})
	ctx := context.Background()
	config := rest.AnonymousClientConfig(h.config)
	config.BearerToken = token
	robot := must[*kubernetes.Clientset](t)(kubernetes.NewForConfig(config))
	who := must[*authenticationv1.SelfSubjectReview](t)(robot.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{}))
	equal(t, "robot", who.Status.UserInfo.Username+" "+strings.Join(who.Status.UserInfo.Groups, ","), "robot robots,system:authenticated")
	who = must[*authenticationv1.SelfSubjectReview](t)(h.client.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{}))
	equal(t, "admin", who.Status.UserInfo.Username+" "+strings.Join(who.Status.UserInfo.Groups, ","), "skiff-admin system:masters,system:authenticated")

	attributes := &authorizationv1.ResourceAttributes{Verb: "create", Resource: "pods"}
	can := must[*authorizationv1.SelfSubjectAccessReview](t)(h.client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: attributes},
	}, metav1.CreateOptions{}))
	equal(t, "self", can.Status.Allowed, true)
	other := must[*authorizationv1.SubjectAccessReview](t)(h.client.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{ResourceAttributes: attributes, User: "robot", Groups: []string{"robots"}},
	}, metav1.CreateOptions{}))
	equal(t, "other", fmt.Sprint(other.Status.Allowed, " ", other.Status.Reason), `true RBAC: allowed by ClusterRoleBinding "robots" of ClusterRole "cluster-admin" to Group "robots"`)
	other = must[*authorizationv1.SubjectAccessReview](t)(h.client.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{ResourceAttributes: attributes, User: "robot"},
	}, metav1.CreateOptions{}))
	equal(t, "a robot of no group", other.Status.Allowed, false)
	local := must[*authorizationv1.LocalSubjectAccessReview](t)(h.client.AuthorizationV1().LocalSubjectAccessReviews("default").Create(ctx, &authorizationv1.LocalSubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: "default", Verb: "create", Resource: "pods"}, User: "robot", Groups: []string{"robots"}},
	}, metav1.CreateOptions{}))
	equal(t, "local", local.Status.Allowed, true)
	rules := must[*authorizationv1.SelfSubjectRulesReview](t)(h.client.AuthorizationV1().SelfSubjectRulesReviews().Create(ctx, &authorizationv1.SelfSubjectRulesReview{
		Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: "default"},
	}, metav1.CreateOptions{}))
	equal(t, "rules", strings.Join(rules.Status.ResourceRules[0].Verbs, " "), "*")

	_, err := h.client.AuthorizationV1().LocalSubjectAccessReviews("default").Create(ctx, &authorizationv1.LocalSubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{ResourceAttributes: attributes, User: "robot"},
	}, metav1.CreateOptions{})
	equal(t, "of another namespace", fmt.Sprint(err), `LocalSubjectAccessReview.authorization.k8s.io "" is invalid: spec.resourceAttributes.namespace: Invalid value: "": must match metadata.namespace`)

	for path, want := range map[string]string{
		"/apis/authorization.k8s.io/v1/selfsubjectaccessreviews": `422 Invalid: SelfSubjectAccessReview.authorization.k8s.io "" is invalid: spec: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified`,
		"/apis/authorization.k8s.io/v1/selfsubjectrulesreviews":  "400 BadRequest: no namespace on request",
	} {
		equal(t, path, h.do("POST", path, "{}", asJSON).String(), want)
	}
}

// TestEphemeralContainers: the subresource adds containers, and changes nothing else.
func TestEphemeralContainers(t *testing.T) {
	h := start(t, options{})
	ctx := context.Background()
	client := h.client.CoreV1().Pods("default")
	p := must[*corev1.Pod](t)(client.Create(ctx, pod("a"), metav1.CreateOptions{}))
	p.Labels = map[string]string{"new": "label"}
	p.Spec.Containers[0].Image = "other"
	p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: "i"}}}
	must[*corev1.Pod](t)(client.UpdateEphemeralContainers(ctx, "a", p, metav1.UpdateOptions{}))
	got := must[*corev1.Pod](t)(client.Get(ctx, "a", metav1.GetOptions{}))
	equal(t, "ephemeral containers", len(got.Spec.EphemeralContainers), 1)
	equal(t, "image", got.Spec.Containers[0].Image, pod("a").Spec.Containers[0].Image)
	equal(t, "label", got.Labels["new"], "")
	equal(t, "generation", got.Generation, int64(2))
}

func TestActsOnPods(t *testing.T) {
	h := start(t, options{})
	ctx := context.Background()
	client := h.client.CoreV1().Pods("default")
	for _, name := range []string{"a", "b", "c"} {
		must[*corev1.Pod](t)(client.Create(ctx, pod(name), metav1.CreateOptions{}))
	}
	bind := func(name string) *corev1.Binding {
		return &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: name}, Target: corev1.ObjectReference{Kind: "Node", Name: "node"}}
	}
	if err := client.Bind(ctx, bind("a"), metav1.CreateOptions{}); err != nil {
		t.Error(err)
	}
	equal(t, "node", must[*corev1.Pod](t)(client.Get(ctx, "a", metav1.GetOptions{})).Spec.NodeName, "node")
	if err := client.Bind(ctx, bind("b"), metav1.CreateOptions{DryRun: []string{"All"}}); err != nil {
		t.Error(err)
	}
	equal(t, "node", must[*corev1.Pod](t)(client.Get(ctx, "b", metav1.GetOptions{})).Spec.NodeName, "")
	body := `{"metadata":{"name":"b"},"target":{"name":"node"}}`
	equal(t, "bindings", h.do("POST", "/api/v1/namespaces/default/bindings", body, asJSON).code, 201)
	equal(t, "twice", h.do("POST", "/api/v1/namespaces/default/bindings", body, asJSON).String(),
		`409 Conflict: Operation cannot be fulfilled on pods/binding "b": pod b is already assigned to node "node"`)
	equal(t, "no target", h.do("POST", pods+"/c/binding", `{"metadata":{"name":"c"}}`, asJSON).String(),
		`422 Invalid: Binding "c" is invalid: target.name: Required value`)
	equal(t, "another name", h.do("POST", pods+"/c/binding", body, asJSON).String(), "400 BadRequest: name in URL does not match name in Binding object")

	if err := client.EvictV1(ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: "c"}, DeleteOptions: &metav1.DeleteOptions{DryRun: []string{"All"}}}); err != nil {
		t.Error(err)
	}
	equal(t, "after a dry run", h.do("GET", pods+"/c", "").code, 200)
	if err := client.EvictV1(ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: "c"}}); err != nil {
		t.Error(err)
	}
	equal(t, "after the eviction", h.do("GET", pods+"/c", "").code, 404)
}

func TestFinalizeNamespace(t *testing.T) {
	h := start(t, options{})
	ctx := context.Background()
	namespaces := h.client.CoreV1().Namespaces()
	must[*corev1.Namespace](t)(namespaces.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "gone"}}, metav1.CreateOptions{}))
	if err := namespaces.Delete(ctx, "gone", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	ns := must[*corev1.Namespace](t)(namespaces.Get(ctx, "gone", metav1.GetOptions{}))
	equal(t, "phase", ns.Status.Phase, corev1.NamespaceTerminating)
	equal(t, "create in it", h.do("POST", "/api/v1/namespaces/gone/configmaps", goodMap, asJSON).String(),
		`403 Forbidden: configmaps "m" is forbidden: unable to create new content in namespace gone because it is being terminated`)
	ns.Spec.Finalizers = nil
	must[*corev1.Namespace](t)(namespaces.Finalize(ctx, ns, metav1.UpdateOptions{}))
	equal(t, "finalized", h.do("GET", "/api/v1/namespaces/gone", "").String(), `404 NotFound: namespaces "gone" not found`)
}

func TestDeleteAnswers(t *testing.T) {
	h := start(t, options{})
	ctx := context.Background()
	must[*corev1.ConfigMap](t)(h.client.CoreV1().ConfigMaps("default").Create(ctx, newMap("m"), metav1.CreateOptions{}))
	var status metav1.Status
	h.do("DELETE", configMaps+"/m", "").decode(t, &status)
	equal(t, "status", status.Status+" "+status.Details.Kind+" "+status.Details.Name, "Success configmaps m")
	if status.Details.UID == "" {
		t.Error("no UID")
	}
	must[*corev1.Pod](t)(h.client.CoreV1().Pods("default").Create(ctx, pod("p"), metav1.CreateOptions{}))
	equal(t, "a pod", h.do("DELETE", pods+"/p", "").String(), "200 Pod p")
}

func TestHealth(t *testing.T) {
	broken := errors.New("the engine is gone: a secret")
	sick := false
	h := start(t, options{checks: []api.Check{
		{Name: "store", Do: func(context.Context) error { return nil }, Live: true},
		{Name: "engine", Do: func(context.Context) error {
			if sick {
				return broken
			}
			return nil
		}},
	}})
	for _, state := range []struct {
		sick  bool
		wants map[string]string
	}{
		{false, map[string]string{
			"/healthz":                      "200 ok",
			"/readyz?verbose":               "200 [+]ping ok\n[+]store ok\n[+]engine ok\n[+]shutdown ok\nreadyz check passed",
			"/livez?verbose":                "200 [+]ping ok\n[+]store ok\nlivez check passed",
			"/livez?verbose&exclude=store":  "200 [+]ping ok\n[+]store excluded: ok\nlivez check passed",
			"/livez?verbose&exclude=engine": "200 [+]ping ok\n[+]store ok\nwarn: some health checks cannot be excluded: no matches for [\"engine\"]\nlivez check passed",
			"/readyz/engine":                "200 ok",
			"/healthz/":                     "200 ok",
			"/livez/engine":                 "401 Unauthorized: Unauthorized",
		}},
		{true, map[string]string{
			"/readyz":                "500 [+]ping ok\n[+]store ok\n[-]engine failed: reason withheld\n[+]shutdown ok\nreadyz check failed",
			"/livez":                 "200 ok",
			"/readyz?exclude=engine": "200 ok",
			"/readyz/engine":         "500 internal server error: reason withheld",
		}},
	} {
		sick = state.sick
		for path, want := range state.wants {
			got := h.doWith(h.stranger(), "GET", path, strings.NewReader("")).String()
			if path == "/livez/engine" {
				want = "404 NotFound: the server could not find the requested resource"
			}
			equal(t, path, got, want)
		}
	}
}

func TestOwnPaths(t *testing.T) {
	h := start(t, options{})
	equal(t, "version", string(h.do("GET", "/version", "").body) != "", true)
	v, err := h.client.Discovery().ServerVersion()
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "version", v.GitVersion, "v1.37.2+skiff")
	var paths struct{ Paths []string }
	h.do("GET", "/", "").decode(t, &paths)
	all := strings.Join(paths.Paths, " ")
	for _, want := range []string{"/api/v1", "/apis/apps/v1", "/healthz/ping", "/metrics", "/openapi/v2", "/version"} {
		if !strings.Contains(" "+all+" ", " "+want+" ") {
			t.Errorf("%s is not in %s", want, all)
		}
	}
	h.do("POST", configMaps, goodMap, asJSON)
	h.do("GET", "/nowhere", "")
	metrics := string(h.do("GET", "/metrics", "").body)
	for _, want := range []string{
		`skiff_api_requests_total{code="201",resource="configmaps",verb="create"} 1`,
		`skiff_api_requests_total{code="404",resource="",verb="get"} 1`,
		`skiff_api_request_duration_seconds_count{resource="configmaps",verb="create"} 1`,
		`skiff_api_requests_in_flight{long_running="false"} 1`,
	} {
		if !strings.Contains(metrics, want+"\n") {
			t.Errorf("no %s in\n%s", want, metrics)
		}
	}
	equal(t, "OpenAPI v2", h.do("GET", "/openapi/v2", "").code, 200)
	equal(t, "OpenAPI v3", h.do("GET", "/openapi/v3/apis/apps/v1", "").code, 200)
}

// TestWarnings has a deprecated kind and an unknown field warn.
func TestDeprecationWarns(t *testing.T) {
	h := start(t, options{})
	got := h.do("GET", "/api/v1/namespaces/default/endpoints", "").header.Get("Warning")
	equal(t, "warning", got, `299 - "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"`)
}

func TestShutdownIsQuickAndReadyTellsOfIt(t *testing.T) {
	h := start(t, options{})
	answer, _ := h.open(context.Background(), pods+"?watch=1")
	defer answer.Body.Close()
	began := time.Now()
	h.stop()
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("stopping took %v", took)
	}
	if _, err := h.http().Get("https://" + h.address + "/healthz"); err == nil {
		t.Error("it still answers")
	}
}

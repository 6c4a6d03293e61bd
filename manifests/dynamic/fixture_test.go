package dynamic_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	arv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"skiff/api/openapi"
	"skiff/manifests"
	"skiff/manifests/admission"
	"skiff/manifests/dynamic"
	"skiff/manifests/registry"
	"skiff/manifests/webhook"
	"skiff/store"
)

// fixture is a registry with admission that can be configured, on a store of its own.
type fixture struct {
	*registry.Registry
	t        testing.TB
	ctx      context.Context
	warnings *warnings
}

// warnings are what requests are warned of.
type warnings struct {
	mu   sync.Mutex
	text []string
}

// AddWarning implements warning.Recorder.
func (w *warnings) AddWarning(_, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, text)
}

func open(t testing.TB) *fixture {
	t.Helper()
	s, err := store.Open(store.Options{Path: filepath.Join(t.TempDir(), "skiff.db"), Codec: manifests.StoreCodec(), Indexes: registry.Indexes()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, s.Close()); err != nil {
			t.Error(err)
		}
	})
	documents, err := openapi.New()
	if err != nil {
		t.Fatal(err)
	}
	caller := webhook.NewCaller(nil)
	t.Cleanup(caller.Close)
	e := dynamic.New(dynamic.Options{Reader: s, Caller: caller, Types: documents.TypeConverter()})
	r := registry.New(registry.Options{Store: s, Admission: admission.Chain(s, admission.Options{}), Extension: e})
	e.Attach(r)
	f := &fixture{Registry: r, t: t, warnings: &warnings{}}
	f.ctx = warning.WithWarningRecorder(ctx, f.warnings)
	f.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: default, labels: {team: a}}")
	return f
}

// decode reads a manifest as the API does.
func decode(t testing.TB, text string) store.Object {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(strings.ReplaceAll(text, "\t", "  ")))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	obj, _, err := manifests.Codecs().UniversalDecoder().Decode(raw, nil, nil)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return obj.(store.Object)
}

func (f *fixture) try(text string) (store.Object, error) {
	f.t.Helper()
	obj := decode(f.t, text)
	gvks, _, err := manifests.Scheme().ObjectKinds(obj)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, k := range f.Kinds() {
		if k.GVK.Kind == gvks[0].Kind {
			namespace := ""
			if k.Namespaced {
				namespace = "default"
			}
			return f.Resource(k.GroupResource()).Create(f.ctx, namespace, obj, registry.CreateOptions{})
		}
	}
	f.t.Fatalf("%v is not served", gvks)
	return nil, nil
}

func (f *fixture) apply(texts ...string) (last store.Object) {
	f.t.Helper()
	for _, text := range texts {
		var err error
		if last, err = f.try(text); err != nil {
			f.t.Fatalf("%v in\n%s", err, text)
		}
	}
	return last
}

// responder is what a webhook answers to a request.
type responder func(*admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse

func allow(*admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	return &admissionv1.AdmissionResponse{Allowed: true}
}

func deny(message string) responder {
	return func(*admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
		return &admissionv1.AdmissionResponse{Result: &metav1.Status{Message: message}}
	}
}

func patching(patch string) responder {
	return func(*admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
		return &admissionv1.AdmissionResponse{Allowed: true, Patch: []byte(patch), PatchType: ptr.To(admissionv1.PatchTypeJSONPatch)}
	}
}

// serve starts a webhook, and returns how clients reach it.
func serve(t testing.TB, respond responder) arv1.WebhookClientConfig {
	t.Helper()
	return serveRaw(t, func(w http.ResponseWriter, r *http.Request) {
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			t.Error(err)
			return
		}
		response := respond(review.Request)
		if response != nil && response.UID == "" {
			response.UID = review.Request.UID
		}
		review.Request, review.Response = nil, response
		_ = json.NewEncoder(w).Encode(review)
	})
}

func serveRaw(t testing.TB, h http.HandlerFunc) arv1.WebhookClientConfig {
	t.Helper()
	s := httptest.NewTLSServer(h)
	t.Cleanup(s.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	return arv1.WebhookClientConfig{URL: &s.URL, CABundle: ca}
}

func rule(resources string, operations ...arv1.OperationType) arv1.RuleWithOperations {
	return arv1.RuleWithOperations{Operations: operations, Rule: arv1.Rule{
		APIGroups: []string{"*"}, APIVersions: []string{"*"}, Resources: strings.Split(resources, ","),
	}}
}

// hook is a webhook for all operations on ConfigMaps.
func hook(c arv1.WebhookClientConfig, adapt ...func(*arv1.MutatingWebhook)) arv1.MutatingWebhook {
	h := arv1.MutatingWebhook{
		Name: "hook.example.com", ClientConfig: c, SideEffects: ptr.To(arv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"},
		Rules: []arv1.RuleWithOperations{rule("configmaps", arv1.OperationAll)},
	}
	for _, a := range adapt {
		a(&h)
	}
	return h
}

func (f *fixture) mutating(name string, hooks ...arv1.MutatingWebhook) {
	f.t.Helper()
	c := registry.For[*arv1.MutatingWebhookConfiguration](f.Registry)
	if _, err := c.Create(f.ctx, &arv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: name}, Webhooks: hooks}); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) validating(name string, hooks ...arv1.MutatingWebhook) {
	f.t.Helper()
	c := &arv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, h := range hooks {
		c.Webhooks = append(c.Webhooks, arv1.ValidatingWebhook{
			Name: h.Name, ClientConfig: h.ClientConfig, Rules: h.Rules, FailurePolicy: h.FailurePolicy, MatchPolicy: h.MatchPolicy,
			NamespaceSelector: h.NamespaceSelector, ObjectSelector: h.ObjectSelector, SideEffects: h.SideEffects, TimeoutSeconds: h.TimeoutSeconds,
			AdmissionReviewVersions: h.AdmissionReviewVersions, MatchConditions: h.MatchConditions,
		})
	}
	if _, err := registry.For[*arv1.ValidatingWebhookConfiguration](f.Registry).Create(f.ctx, c); err != nil {
		f.t.Fatal(err)
	}
}

func configMap(name string, data ...string) *corev1.ConfigMap {
	c := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}, Data: map[string]string{}}
	for _, d := range data {
		key, value, _ := strings.Cut(d, "=")
		c.Data[key] = value
	}
	return c
}

func (f *fixture) configMaps() registry.Client[*corev1.ConfigMap] {
	return registry.For[*corev1.ConfigMap](f.Registry)
}

func wantError(t testing.TB, what string, err error, want string) {
	t.Helper()
	if want == "" && err != nil {
		t.Errorf("%s: %v", what, err)
	}
	if want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("%s: got %v, want %q", what, err, want)
	}
}

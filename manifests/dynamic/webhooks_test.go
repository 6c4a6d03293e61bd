package dynamic_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	arv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/utils/ptr"

	"skiff/manifests/registry"
)

func TestReviewSaysWhatIsAsked(t *testing.T) {
	f := open(t)
	var seen []*admissionv1.AdmissionRequest
	f.validating("c", hook(serve(t, func(r *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
		seen = append(seen, r)
		return &admissionv1.AdmissionResponse{Allowed: true, Warnings: []string{"be careful"}}
	})))
	f.ctx = apirequest.WithUser(f.ctx, &user.DefaultInfo{Name: "jane", Groups: []string{"devs"}})
	if _, err := f.configMaps().Create(f.ctx, configMap("c", "a=b")); err != nil {
		t.Fatal(err)
	}
	if err := f.configMaps().Delete(f.ctx, "default", "c", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	created, deleted := seen[0], seen[1]
	var obj corev1.ConfigMap
	if err := json.Unmarshal(created.Object.Raw, &obj); err != nil {
		t.Fatal(err)
	}
	if obj.Kind != "ConfigMap" || obj.APIVersion != "v1" || obj.Data["a"] != "b" || obj.UID == "" {
		t.Errorf("the object is %s", created.Object.Raw)
	}
	if created.Operation != "CREATE" || created.Name != "c" || created.Namespace != "default" || created.UserInfo.Username != "jane" || *created.DryRun {
		t.Errorf("%+v", created)
	}
	if string(created.OldObject.Raw) != "null" && len(created.OldObject.Raw) > 0 || !strings.Contains(string(created.Options.Raw), "CreateOptions") {
		t.Errorf("old %s, options %s", created.OldObject.Raw, created.Options.Raw)
	}
	if deleted.Operation != "DELETE" || !strings.Contains(string(deleted.OldObject.Raw), `"a":"b"`) || len(deleted.Object.Raw) > 0 && string(deleted.Object.Raw) != "null" {
		t.Errorf("%+v", deleted)
	}
	if got := strings.Join(f.warnings.text, "; "); got != "be careful; be careful" {
		t.Errorf("warned of %q", got)
	}
}

func TestMutation(t *testing.T) {
	f := open(t)
	f.mutating("c", hook(serve(t, patching(`[{"op":"add","path":"/data/by","value":"hook"},{"op":"add","path":"/unknown","value":1}]`))))
	made, err := f.configMaps().Create(f.ctx, configMap("c", "a=b"))
	if err != nil {
		t.Fatal(err)
	}
	if made.Data["by"] != "hook" || made.Data["a"] != "b" || made.Kind != "" {
		t.Errorf("%+v", made)
	}
}

// TestDefaultsAfterMutation: what a webhook adds gets defaults as what a client sends.
func TestDefaultsAfterMutation(t *testing.T) {
	f := open(t)
	f.apply("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: default}")
	f.mutating("c", hook(serve(t, patching(`[{"op":"add","path":"/spec/initContainers","value":[{"name":"i","image":"i"}]}]`)), func(h *arv1.MutatingWebhook) {
		h.Rules = []arv1.RuleWithOperations{rule("pods", arv1.Create)}
	}))
	made := f.apply("apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c, image: c}]}").(*corev1.Pod)
	if got := made.Spec.InitContainers[0].TerminationMessagePath; got != "/dev/termination-log" {
		t.Errorf("the container's terminationMessagePath is %q", got)
	}
}

// answers are webhooks' answers and what becomes of a request that changes nothing else.
func TestAnswers(t *testing.T) {
	with := func(change func(*admissionv1.AdmissionResponse)) responder {
		return func(*admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
			r := &admissionv1.AdmissionResponse{Allowed: true}
			change(r)
			return r
		}
	}
	invalid := `Internal error occurred: failed calling webhook "hook.example.com": received invalid webhook response: `
	for _, test := range []struct {
		name     string
		respond  responder
		mutating bool
		want     string
	}{
		{"allowed", allow, false, ""},
		{"denied", deny("not today"), false, `admission webhook "hook.example.com" denied the request: not today`},
		{"denied by a mutating one", deny("not today"), true, `admission webhook "hook.example.com" denied the request: not today`},
		{"denied without a word", with(func(r *admissionv1.AdmissionResponse) { r.Allowed = false }), false, `admission webhook "hook.example.com" denied the request without explanation`},
		{"no response", func(*admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse { return nil }, false, invalid + "webhook response was absent"},
		{"another UID", with(func(r *admissionv1.AdmissionResponse) { r.UID = "x" }), false, invalid + `expected response.uid=`},
		{"a patch of a validating one", patching(`[]`), false, invalid + "validating webhook may not return response.patch"},
		{"a patch without type", with(func(r *admissionv1.AdmissionResponse) { r.Patch = []byte(`[]`) }), true, invalid + "webhook returned response.patch but not response.patchType"},
		{"a type without patch", with(func(r *admissionv1.AdmissionResponse) { r.PatchType = ptr.To(admissionv1.PatchTypeJSONPatch) }), true, invalid + "webhook returned response.patchType but not response.patch"},
		{"another type of patch", with(func(r *admissionv1.AdmissionResponse) {
			r.Patch, r.PatchType = []byte(`[]`), ptr.To(admissionv1.PatchType("Full"))
		}), true, invalid + `unsupported patch type "Full"`},
		{"an empty patch", patching(`[]`), true, ""},
		{"no patch at all", patching(`{"a":1}`), true, `failed calling webhook "hook.example.com": received undecodable patch in webhook response`},
		{"a patch that fails", patching(`[{"op":"remove","path":"/data/none"}]`), true, "Unable to remove nonexistent key"},
		{"a test that fails", patching(`[{"op":"test","path":"/data/a","value":"z"}]`), true, "testing value /data/a failed"},
		{"a patch that breaks the object", patching(`[{"op":"replace","path":"/data","value":7}]`), true, "cannot unmarshal number"},
		{"a patch that makes another kind", patching(`[{"op":"replace","path":"/kind","value":"ServiceAccount"}]`), true, "the patch makes a /v1, Kind=ServiceAccount of a /v1, Kind=ConfigMap"},
		{"a patch that moves the object", patching(`[{"op":"replace","path":"/metadata/namespace","value":"other"}]`), true, "does not match the namespace"},
		{"a patch that grows without end", patching(`[{"op":"add","path":"/data/x","value":"0123456789"}` + strings.Repeat(`,{"op":"copy","from":"/data","path":"/data/y"}`, 60) + `]`), true, "Internal error"},
		{"broken managed fields", patching(`[{"op":"add","path":"/metadata/managedFields","value":[{"manager":"x","operation":"Perhaps"}]}]`), true, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := open(t)
			if test.mutating {
				f.mutating("c", hook(serve(t, test.respond)))
			} else {
				f.validating("c", hook(serve(t, test.respond)))
			}
			_, err := f.configMaps().Create(f.ctx, configMap("c", "a=b"))
			wantError(t, "create", err, test.want)
		})
	}
}

func TestPatchOfADeletion(t *testing.T) {
	f := open(t)
	if _, err := f.configMaps().Create(f.ctx, configMap("c")); err != nil {
		t.Fatal(err)
	}
	f.mutating("c", hook(serve(t, patching(`[{"op":"add","path":"/data/x","value":"y"}]`))))
	err := f.configMaps().Delete(f.ctx, "default", "c", metav1.DeleteOptions{})
	wantError(t, "delete", err, `admission webhook "hook.example.com" attempted to modify the object, which is not supported for this operation`)
}

func TestFailurePolicy(t *testing.T) {
	for _, test := range []struct {
		name string
		h    http.HandlerFunc
		want string
	}{
		{"garbage", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, "decoding the answer"},
		{"an error", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "broken", http.StatusInternalServerError) }, `an error on the server ("broken")`},
		{"silence", func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // else nobody sees that the client leaves
			<-r.Context().Done()
		}, "context deadline exceeded"},
	} {
		for _, policy := range []arv1.FailurePolicyType{arv1.Fail, arv1.Ignore} {
			for _, kind := range []string{"mutating", "validating"} {
				t.Run(test.name+" "+string(policy)+" "+kind, func(t *testing.T) {
					f := open(t)
					h := hook(serveRaw(t, test.h), func(h *arv1.MutatingWebhook) { h.FailurePolicy, h.TimeoutSeconds = &policy, ptr.To[int32](1) })
					if kind == "mutating" {
						f.mutating("c", h)
					} else {
						f.validating("c", h)
					}
					_, err := f.configMaps().Create(f.ctx, configMap("c"))
					want := ""
					if policy == arv1.Fail {
						want = `failed calling webhook "hook.example.com": failed to call webhook: `
						wantError(t, "create", err, test.want)
					}
					wantError(t, "create", err, want)
				})
			}
		}
	}
}

// matching are webhooks that refuse whatever they match, and whether they match.
func TestMatching(t *testing.T) {
	selector := func(key, value string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchLabels: map[string]string{key: value}}
	}
	rules := func(r ...arv1.RuleWithOperations) func(*arv1.MutatingWebhook) {
		return func(h *arv1.MutatingWebhook) { h.Rules = r }
	}
	condition := func(text string) func(*arv1.MutatingWebhook) {
		return func(h *arv1.MutatingWebhook) {
			h.MatchConditions = []arv1.MatchCondition{{Name: "c", Expression: text}}
		}
	}
	for _, test := range []struct {
		name    string
		adapt   func(*arv1.MutatingWebhook)
		matches bool
	}{
		{"the rule", func(*arv1.MutatingWebhook) {}, true},
		{"another operation", rules(rule("configmaps", arv1.Delete)), false},
		{"another resource", rules(rule("secrets", arv1.OperationAll)), false},
		{"a subresource", rules(rule("configmaps/status", arv1.OperationAll)), false},
		{"the second rule", rules(rule("secrets", arv1.OperationAll), rule("*", arv1.Create)), true},
		{"another scope", func(h *arv1.MutatingWebhook) { h.Rules[0].Scope = ptr.To(arv1.ClusterScope) }, false},
		{"its scope", func(h *arv1.MutatingWebhook) { h.Rules[0].Scope = ptr.To(arv1.NamespacedScope) }, true},
		{"the namespace", func(h *arv1.MutatingWebhook) { h.NamespaceSelector = selector("team", "a") }, true},
		{"another namespace", func(h *arv1.MutatingWebhook) { h.NamespaceSelector = selector("team", "b") }, false},
		{"the object", func(h *arv1.MutatingWebhook) { h.ObjectSelector = selector("app", "x") }, true},
		{"another object", func(h *arv1.MutatingWebhook) { h.ObjectSelector = selector("app", "y") }, false},
		{"a condition", condition(`object.data.a == "b" && request.operation == "CREATE"`), true},
		{"a condition that is not met", condition(`object.data.a == "c"`), false},
		{"the authorizer", condition(`authorizer.group("").resource("pods").check("get").allowed()`), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := open(t)
			f.validating("c", hook(serve(t, deny("matched")), test.adapt))
			c := configMap("c", "a=b")
			c.Labels = map[string]string{"app": "x"}
			_, err := f.configMaps().Create(f.ctx, c)
			want := ""
			if test.matches {
				want = "matched"
			}
			wantError(t, "create", err, want)
		})
	}
}

func TestConditionThatFails(t *testing.T) {
	for policy, want := range map[arv1.FailurePolicyType]string{arv1.Fail: "no such key: none", arv1.Ignore: ""} {
		f := open(t)
		f.validating("c", hook(serve(t, deny("matched")), func(h *arv1.MutatingWebhook) {
			h.FailurePolicy = &policy
			h.MatchConditions = []arv1.MatchCondition{{Name: "c", Expression: `object.data.none == "c"`}}
		}))
		_, err := f.configMaps().Create(f.ctx, configMap("c", "a=b"))
		wantError(t, string(policy), err, want)
	}
}

// TestEquivalentVersions: a rule for an old version matches what comes by the new one, in the old one.
func TestEquivalentVersions(t *testing.T) {
	for policy, want := range map[arv1.MatchPolicyType]string{arv1.Equivalent: "apps/v1beta1", arv1.Exact: ""} {
		f := open(t)
		var got atomic.Value
		got.Store("")
		f.validating("c", hook(serve(t, func(r *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
			var obj metav1.TypeMeta
			_ = json.Unmarshal(r.Object.Raw, &obj)
			got.Store(obj.APIVersion)
			if r.Kind.Version != "v1beta1" || r.Resource.Version != "v1beta1" || r.RequestKind.Version != "v1" {
				t.Errorf("kind %v, resource %v, asked for %v", r.Kind, r.Resource, r.RequestKind)
			}
			return allow(r)
		}), func(h *arv1.MutatingWebhook) {
			h.MatchPolicy = &policy
			h.Rules = []arv1.RuleWithOperations{{Operations: []arv1.OperationType{arv1.Create}, Rule: arv1.Rule{
				APIGroups: []string{"apps"}, APIVersions: []string{"v1beta1"}, Resources: []string{"deployments"},
			}}}
		}))
		f.apply(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: d}
spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: c}]}}}`)
		if got.Load() != want {
			t.Errorf("%s: the webhook sees %q, want %q", policy, got.Load(), want)
		}
	}
}

func TestDryRun(t *testing.T) {
	f := open(t)
	f.validating("c", hook(serve(t, deny("asked")), func(h *arv1.MutatingWebhook) { h.SideEffects = ptr.To(arv1.SideEffectClassNoneOnDryRun) }))
	_, err := f.Resource(corev1.Resource("configmaps")).Create(f.ctx, "default", configMap("c"), registry.CreateOptions{DryRun: true})
	wantError(t, "dry run", err, "asked")
}

// TestConfigurationsAreExempt: nobody can lock himself out.
func TestConfigurationsAreExempt(t *testing.T) {
	f := open(t)
	everything := func(h *arv1.MutatingWebhook) { h.Rules = []arv1.RuleWithOperations{rule("*/*", arv1.OperationAll)} }
	f.validating("c", hook(serve(t, deny("no")), everything))
	f.mutating("c", hook(serve(t, deny("no")), everything))
	_, err := f.configMaps().Create(f.ctx, configMap("c"))
	wantError(t, "a ConfigMap", err, "denied the request: no")
	if err := registry.For[*arv1.ValidatingWebhookConfiguration](f.Registry).Delete(f.ctx, "", "c", metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
	if err := registry.For[*arv1.MutatingWebhookConfiguration](f.Registry).Delete(f.ctx, "", "c", metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
	_, err = f.configMaps().Create(f.ctx, configMap("c"))
	wantError(t, "without them", err, "")
}

// TestReinvocation: the first webhook is asked again because the second has changed the object, if it
// wants to be.
func TestReinvocation(t *testing.T) {
	for policy, want := range map[arv1.ReinvocationPolicyType]int64{arv1.NeverReinvocationPolicy: 1, arv1.IfNeededReinvocationPolicy: 2} {
		f := open(t)
		var asked, second atomic.Int64
		f.mutating("c",
			hook(serve(t, func(r *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
				if asked.Add(1) == 2 && !strings.Contains(string(r.Object.Raw), "second") {
					t.Errorf("the second round sees %s", r.Object.Raw)
				}
				return allow(r)
			}), func(h *arv1.MutatingWebhook) { h.Name, h.ReinvocationPolicy = "first.example.com", &policy }),
			hook(serve(t, func(r *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
				second.Add(1)
				return patching(`[{"op":"add","path":"/data/second","value":"yes"}]`)(r)
			}), func(h *arv1.MutatingWebhook) { h.Name = "second.example.com" }))
		if _, err := f.configMaps().Create(f.ctx, configMap("c", "a=b")); err != nil {
			t.Fatal(err)
		}
		if asked.Load() != want || second.Load() != 1 {
			t.Errorf("%s: the first is asked %d times, the second %d times", policy, asked.Load(), second.Load())
		}
	}
}

// FuzzAnswer: whatever a webhook answers, the object that is stored is valid, and nothing crashes.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"response":{"allowed":true}}`, `null`, `{"response":{"allowed":true,"patchType":"JSONPatch","patch":"W10="}}`,
		`[{"op":"add","path":"/metadata/labels","value":{"a":"b"}}]`, `[{"op":"copy","from":"","path":"/data/x"}]`,
		`[{"op":"replace","path":"","value":null}]`, `[{"op":"move","from":"/metadata","path":"/data/x"}]`,
	} {
		f.Add([]byte(seed), true)
		f.Add([]byte(seed), false)
	}
	var answer []byte
	var asPatch bool
	fix := open(f)
	fix.mutating("c", hook(serveRaw(f, func(w http.ResponseWriter, r *http.Request) {
		if !asPatch {
			_, _ = w.Write(answer)
			return
		}
		var review admissionv1.AdmissionReview
		_ = json.NewDecoder(r.Body).Decode(&review)
		response := patching(string(answer))(review.Request)
		response.UID = review.Request.UID
		review.Request, review.Response = nil, response
		_ = json.NewEncoder(w).Encode(review)
	})))
	f.Fuzz(func(t *testing.T, data []byte, patch bool) {
		answer, asPatch = data, patch
		made, err := fix.configMaps().Create(fix.ctx, configMap("c", "a=b"))
		if err != nil {
			return
		}
		if made.Namespace != "default" || made.UID == "" || made.Name == "" {
			t.Errorf("%s has made %+v", data, made)
		}
		if err := fix.Resource(corev1.Resource("configmaps")).Kind().Create(fix.ctx, made.DeepCopy()).Errors.ToAggregate(); err != nil {
			t.Errorf("%s has made an invalid object: %v", data, err)
		}
		remove(t, fix, made.Name)
	})
}

// remove takes an object away without asking the webhook, which would refuse.
func remove(t *testing.T, f *fixture, name string) {
	t.Helper()
	r := f.Resource(corev1.Resource("configmaps"))
	if _, _, err := r.Delete(f.ctx, "default", name, nil, registry.DeleteOptions{Reviewed: true}); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkWrite compares a write without any configuration with one that a webhook sees.
func BenchmarkWrite(b *testing.B) {
	for _, configured := range []string{"idle", "other kind", "webhook"} {
		b.Run(configured, func(b *testing.B) {
			f := open(b)
			switch configured {
			case "other kind":
				f.validating("c", hook(serve(b, allow), func(h *arv1.MutatingWebhook) { h.Rules = []arv1.RuleWithOperations{rule("secrets", arv1.OperationAll)} }))
			case "webhook":
				f.validating("c", hook(serve(b, allow)))
			}
			for b.Loop() {
				made, err := f.configMaps().Create(f.ctx, configMap("c", "a=b"))
				if err != nil {
					b.Fatal(err)
				}
				_, _, err = f.Resource(corev1.Resource("configmaps")).Delete(f.ctx, "default", made.Name, nil, registry.DeleteOptions{Reviewed: true})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

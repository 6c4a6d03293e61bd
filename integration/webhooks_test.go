package integration

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/utils/ptr"

	"skiff/integration/harness"
)

// admit labels what comes from a controller, and refuses ConfigMaps that say so.
func admit(r *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	answer := &admissionv1.AdmissionResponse{UID: r.UID, Allowed: true}
	switch {
	case r.Resource.Resource == "configmaps" && strings.Contains(string(r.Object.Raw), "refuse-me"):
		answer.Allowed = false
	case r.Resource.Resource == "pods" && r.UserInfo.Username == "system:serviceaccount:kube-system:replicaset-controller":
		answer.PatchType = ptr.To(admissionv1.PatchTypeJSONPatch)
		answer.Patch = []byte(`[{"op":"add","path":"/metadata/labels/seen","value":"yes"}]`)
		answer.Warnings = []string{"nobody reads this"}
	}
	return answer
}

const webhooks = `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: test}
webhooks:
- name: hook.example.com
  sideEffects: None
  admissionReviewVersions: [v1]
  clientConfig: {url: %q, caBundle: %s}
  rules: [{operations: [CREATE], apiGroups: [""], apiVersions: [v1], resources: [pods, configmaps]}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: few}
spec:
  matchConstraints: {resourceRules: [{operations: [CREATE, UPDATE], apiGroups: [apps], apiVersions: [v1], resources: [deployments, deployments/scale]}]}
  validations: [{expression: "object.spec.replicas <= 3", messageExpression: "'3 at most, not ' + string(object.spec.replicas)"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: few}
spec: {policyName: few, validationActions: [Deny]}
`

const admittedDeployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: d}
spec: {replicas: 2, selector: {matchLabels: {app: d}}, template: {metadata: {labels: {app: d}}, spec: {nodeName: nowhere, containers: [{name: c, image: none}]}}}
`

// TestWebhooksAndPolicies has a webhook of this machine, by its URL, and a policy decide about what
// clients and controllers write.
func TestWebhooksAndPolicies(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		review.Response, review.Request = admit(review.Request), nil
		_ = json.NewEncoder(w).Encode(review)
	}))
	defer server.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	cli := harness.Start(t).SkiffCLI()
	cli.DoIn(fmt.Sprintf(webhooks, server.URL, base64.StdEncoding.EncodeToString(ca)), "apply", "-f", "-")

	cli.DoIn(admittedDeployment, "apply", "-f", "-")
	harness.Until(t, soon, "both pods to be labelled by the webhook", func() bool {
		return strings.Count(cli.Do("get", "pods", "-l", "app=d,seen=yes", "-o", "name"), "pod/") == 2
	})
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"create", "configmap", "c", "--from-literal=a=refuse-me"}, `admission webhook "hook.example.com" denied the request without explanation`},
		{[]string{"create", "configmap", "c", "--from-literal=a=b"}, ""},
		{[]string{"scale", "deployment", "d", "--replicas=4"}, "ValidatingAdmissionPolicy 'few' with binding 'few' denied request: 3 at most, not 4"},
		{[]string{"scale", "deployment", "d", "--replicas=3"}, ""},
	} {
		r := cli.Try("", test.args...)
		if (r.Code == 0) != (test.want == "") || !strings.Contains(r.Err, test.want) {
			t.Errorf("%q: exit %d, says %q, want %q", test.args, r.Code, r.Err, test.want)
		}
	}
	server.Close()
	r := cli.Try("", "create", "configmap", "away", "--from-literal=a=b")
	if want := `failed calling webhook "hook.example.com": failed to call webhook: Post "` + server.URL; r.Code == 0 || !strings.Contains(r.Err, want) {
		t.Errorf("exit %d, says %q, want %q", r.Code, r.Err, want)
	}
	cli.Do("delete", "mutatingwebhookconfiguration", "test")
	cli.Do("create", "configmap", "away", "--from-literal=a=b")
}

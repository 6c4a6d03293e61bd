package manifests

import (
	"strings"
	"testing"

	arv1 "k8s.io/api/admissionregistration/v1"
)

// What upstream says is in k8s.io/kubernetes/pkg/apis/admissionregistration/validation, whose messages
// these are.

func TestCreateWebhooks(t *testing.T) {
	const good = `{name: h.example.com, sideEffects: None, admissionReviewVersions: [v1], clientConfig: {url: "https://h.example.com"}}`
	for _, test := range []struct{ name, hooks, want string }{
		{"good", good, ""},
		{"twice", good + ", " + good, `webhooks[1].name: Duplicate value: "h.example.com"`},
		{"no name", strings.Replace(good, "name: h.example.com", "name: h", 1), `webhooks[0].name: Invalid value: "h": should be a domain with at least three segments separated by dots`},
		{"side effects", strings.Replace(good, "None", "Some", 1), `webhooks[0].sideEffects: Unsupported value: "Some": supported values: "None", "NoneOnDryRun"`},
		{"no side effects", strings.Replace(good, "sideEffects: None, ", "", 1), `webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun`},
		{"versions", strings.Replace(good, "[v1]", "[v2, v2]", 1), "webhooks[0].admissionReviewVersions[1]: Invalid value: \"v2\": duplicate version\n" +
			`webhooks[0].admissionReviewVersions: Invalid value: ["v2","v2"]: must include at least one of v1, v1beta1`},
		{"no versions", strings.Replace(good, "[v1]", "[]", 1), `webhooks[0].admissionReviewVersions: Required value: must specify one of v1, v1beta1`},
		{"timeout", strings.Replace(good, "{", "{timeoutSeconds: 31, ", 1), `webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds`},
		{"nowhere", strings.Replace(good, `{url: "https://h.example.com"}`, "{}", 1), `webhooks[0].clientConfig: Required value: exactly one of url or service is required`},
		{"http", strings.Replace(good, "https:", "http:", 1), `webhooks[0].clientConfig.url: Invalid value: "http": 'https' is the only allowed URL scheme; desired format: https://host[/path]`},
		{"a service", strings.Replace(good, `{url: "https://h.example.com"}`, "{service: {name: s, namespace: x, path: a}}", 1), `webhooks[0].clientConfig.service.path: Invalid value: "a": must start with a '/'`},
		{"policies", strings.Replace(good, "{", "{failurePolicy: Perhaps, matchPolicy: Some, ", 1), `webhooks[0].failurePolicy: Unsupported value: "Perhaps": supported values: "Fail", "Ignore"` + "\n" +
			`webhooks[0].matchPolicy: Unsupported value: "Some": supported values: "Equivalent", "Exact"`},
		{"a condition", strings.Replace(good, "{", `{matchConditions: [{name: "bad name", expression: "object.x +"}, {expression: " "}], `, 1),
			`webhooks[0].matchConditions[0].expression: Invalid value: "object.x +": compilation failed: ERROR: <input>:1:11: Syntax error: mismatched input '<EOF>'`},
		{"an empty rule", strings.Replace(good, "{", `{rules: [{}], `, 1), "webhooks[0].rules[0].operations: Required value\nwebhooks[0].rules[0].apiGroups: Required value\n" +
			"webhooks[0].rules[0].apiVersions: Required value\nwebhooks[0].rules[0].resources: Required value"},
		{"rules", strings.Replace(good, "{", `{rules: [{operations: ["*", CREATE], apiGroups: ["*", apps], apiVersions: [v1, ""], resources: ["pods/*", pods/status], scope: Here}], `, 1),
			`webhooks[0].rules[0].operations: Invalid value: ["*","CREATE"]: if '*' is present, must not specify other operations` + "\n" +
				`webhooks[0].rules[0].apiGroups: Invalid value: ["*","apps"]: if '*' is present, must not specify other API groups` + "\n" +
				"webhooks[0].rules[0].apiVersions[1]: Required value\n" +
				`webhooks[0].rules[0].resources[1]: Invalid value: "pods/status": if 'pods/*' is present, must not specify pods/status` + "\n" +
				`webhooks[0].rules[0].scope: Unsupported value: "Here": supported values: "*", "Cluster", "Namespaced"`},
	} {
		for _, kind := range []string{"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"} {
			t.Run(kind+" "+test.name, func(t *testing.T) {
				obj := parse(t, "apiVersion: admissionregistration.k8s.io/v1\nkind: "+kind+"\nmetadata: {name: c}\nwebhooks: ["+test.hooks+"]")
				wantPrefix(t, verdict(kindOf(t, obj).Create(t.Context(), obj)), test.want)
			})
		}
	}
}

// TestWebhookDefaults are upstream's.
func TestWebhookDefaults(t *testing.T) {
	c := parse(t, `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: c}
webhooks: [{name: h.example.com, clientConfig: {service: {name: s, namespace: x}}, rules: [{}]}]`).(*arv1.MutatingWebhookConfiguration)
	h := c.Webhooks[0]
	if *h.TimeoutSeconds != 10 || *h.FailurePolicy != arv1.Fail || *h.MatchPolicy != arv1.Equivalent || *h.ReinvocationPolicy != arv1.NeverReinvocationPolicy ||
		*h.ClientConfig.Service.Port != 443 || *h.Rules[0].Scope != arv1.AllScopes || h.NamespaceSelector == nil || h.ObjectSelector == nil {
		t.Errorf("%+v", h)
	}
}

func TestUpdateWebhooks(t *testing.T) {
	const text = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: c, resourceVersion: "1"}
webhooks: [{name: h.example.com, sideEffects: %s, admissionReviewVersions: [v1], clientConfig: {url: "https://h.example.com"}}]`
	parsed := func(class string) Object { return parse(t, strings.Replace(text, "%s", class, 1)) }
	kind := kindOf(t, parsed("None"))
	wantText(t, verdict(kind.Update(t.Context(), parsed("Some"), parsed("None"), "")), `webhooks[0].sideEffects: Unsupported value: "Some": supported values: "None", "NoneOnDryRun"`)
	// What is stored may stay.
	wantText(t, verdict(kind.Update(t.Context(), parsed("Some"), parsed("Some"), "")), "")
	changed := parsed("NoneOnDryRun")
	wantText(t, verdict(kind.Update(t.Context(), changed, parsed("None"), "")), "")
	if changed.GetGeneration() != 1 {
		t.Errorf("generation %d", changed.GetGeneration())
	}
}

func TestCreatePolicies(t *testing.T) {
	const rules = "matchConstraints: {resourceRules: [{operations: [CREATE], apiGroups: [''], apiVersions: [v1], resources: [pods]}]}"
	for _, test := range []struct{ name, kind, spec, want string }{
		{"good", "ValidatingAdmissionPolicy", rules + ", validations: [{expression: 'true'}]", ""},
		{"nothing", "ValidatingAdmissionPolicy", rules, "spec.validations: Required value: validations or auditAnnotations must contain at least one item\nspec.auditAnnotations: Required value: validations or auditAnnotations must contain at least one item"},
		{"no constraints", "ValidatingAdmissionPolicy", "validations: [{expression: 'true'}]", "spec.matchConstraints: Required value"},
		{"no rules", "ValidatingAdmissionPolicy", "matchConstraints: {}, validations: [{expression: 'true'}]", "spec.matchConstraints.resourceRules: Required value"},
		{"another type", "ValidatingAdmissionPolicy", rules + ", validations: [{expression: '1'}]", `spec.validations[0].expression: Invalid value: "1": must evaluate to bool but got int`},
		{"a message", "ValidatingAdmissionPolicy", rules + `, validations: [{expression: 'true', message: "a\nb", reason: Nope}]`,
			"spec.validations[0].message: Invalid value: \"a\\nb\": must not contain line breaks\n" + `spec.validations[0].reason: Unsupported value: "Nope": supported values: "Forbidden", "Invalid", "RequestEntityTooLarge"`},
		{"a variable", "ValidatingAdmissionPolicy", rules + ", variables: [{name: for, expression: '1'}], validations: [{expression: 'true'}]", `spec.variables[0].name: Invalid value: "for": must be a valid CEL identifier`},
		{"an unknown variable", "ValidatingAdmissionPolicy", rules + ", validations: [{expression: 'variables.x'}]", `spec.validations[0].expression: Invalid value: "variables.x": compilation failed: ERROR: <input>:1:10: undefined field 'x'`},
		{"parameters without a kind", "ValidatingAdmissionPolicy", rules + ", validations: [{expression: 'params.x == 1'}]", `spec.validations[0].expression: Invalid value: "params.x == 1": compilation failed: ERROR: <input>:1:1: undeclared reference to 'params'`},
		{"a kind", "ValidatingAdmissionPolicy", rules + ", paramKind: {apiVersion: a/b/c}, validations: [{expression: 'true'}]", "spec.paramKind.apiVersion: Invalid value: \"a/b/c\": unexpected GroupVersion string: a/b/c\nspec.paramKind.kind: Required value"},
		{"annotations", "ValidatingAdmissionPolicy", rules + ", auditAnnotations: [{key: a, valueExpression: '1'}, {key: a, valueExpression: ' '}]",
			"spec.auditAnnotations[0].valueExpression: Invalid value: \"1\": must evaluate to one of [string null_type] but got int\nspec.auditAnnotations[1].valueExpression: Required value: valueExpression is not specified\nspec.auditAnnotations[1].key: Duplicate value: \"a\""},
		{"no mutations", "MutatingAdmissionPolicy", rules + ", reinvocationPolicy: Never", "spec.mutations: Required value: mutations must contain at least one item"},
		{"no reinvocation", "MutatingAdmissionPolicy", rules + ", mutations: [{patchType: JSONPatch, jsonPatch: {expression: '[JSONPatch{}]'}}]", "spec.reinvocationPolicy: Required value"},
		{"both", "MutatingAdmissionPolicy", rules + ", reinvocationPolicy: Never, mutations: [{patchType: JSONPatch, jsonPatch: {expression: '[JSONPatch{}]'}, applyConfiguration: {expression: 'Object{}'}}]",
			`spec.mutations[0].applyConfiguration: Invalid value: "{applyConfiguration}": must not be specified when patchType is JSONPatch`},
		{"a deletion", "MutatingAdmissionPolicy", strings.Replace(rules, "CREATE", "DELETE", 1) + ", reinvocationPolicy: Never, mutations: [{patchType: ApplyConfiguration, applyConfiguration: {expression: 'Object{}'}}]",
			`spec.matchConstraints.resourceRules.operations: Unsupported value: "DELETE": supported values: "*", "CONNECT", "CREATE", "UPDATE"`},
		{"a binding", "ValidatingAdmissionPolicyBinding", "policyName: p, validationActions: [Deny, Warn]", "spec.validationActions: Invalid value: [\"Deny\",\"Warn\"]: must not contain both Deny and Warn"},
		{"an empty binding", "ValidatingAdmissionPolicyBinding", "{}", "spec.policyName: Required value\nspec.validationActions: Required value"},
		{"parameters of a binding", "MutatingAdmissionPolicyBinding", "policyName: p, paramRef: {name: a, selector: {}}",
			"spec.paramRef.name: Forbidden: name and selector are mutually exclusive\nspec.paramRef.selector: Forbidden: name and selector are mutually exclusive\nspec.paramRef.parameterNotFoundAction: Required value"},
	} {
		t.Run(test.kind+" "+test.name, func(t *testing.T) {
			spec := "{" + test.spec + "}"
			if test.spec == "{}" {
				spec = "{}"
			}
			obj := parse(t, "apiVersion: admissionregistration.k8s.io/v1\nkind: "+test.kind+"\nmetadata: {name: p}\nspec: "+spec)
			wantPrefix(t, verdict(kindOf(t, obj).Create(t.Context(), obj)), test.want)
		})
	}
}

// wantPrefix compares up to where CEL's own words begin to point at columns.
func wantPrefix(t *testing.T, got, want string) {
	t.Helper()
	if want == "" && got != "" || !strings.HasPrefix(got, want) {
		t.Errorf("\n got: %s\nwant: %s", got, want)
	}
}

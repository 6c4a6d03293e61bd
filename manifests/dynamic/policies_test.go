package dynamic_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	arv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/manifests/registry"
)

// validatingPolicy is a policy for ConfigMaps and what puts it into force.
func validatingPolicy(spec, binding string) []string {
	const head = "apiVersion: admissionregistration.k8s.io/v1\n"
	return []string{
		head + `
kind: ValidatingAdmissionPolicy
metadata: {name: p}
spec:
	matchConstraints: {resourceRules: [{operations: ["*"], apiGroups: [""], apiVersions: [v1], resources: [configmaps, namespaces]}]}
` + indent(spec), head + `
kind: ValidatingAdmissionPolicyBinding
metadata: {name: b}
spec:
	policyName: p
` + indent(binding),
	}
}

func mutatingPolicy(spec, binding string) []string {
	const head = "apiVersion: admissionregistration.k8s.io/v1\n"
	return []string{
		head + `
kind: MutatingAdmissionPolicy
metadata: {name: p}
spec:
	matchConstraints: {resourceRules: [{operations: [CREATE, UPDATE], apiGroups: ["", apps], apiVersions: [v1], resources: [configmaps, deployments]}]}
` + indent(spec), head + `
kind: MutatingAdmissionPolicyBinding
metadata: {name: b}
spec:
	policyName: p
` + indent(binding),
	}
}

func indent(text string) string {
	return "\t" + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n\t") + "\n"
}

// TestValidatingPolicies are policies and what becomes of a ConfigMap with data a=b.
func TestValidatingPolicies(t *testing.T) {
	const denied = "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: "
	for _, test := range []struct {
		name, spec, binding, want string
		warned                    string
	}{
		{"true", `validations: [{expression: "object.data.a == 'b'"}]`, "validationActions: [Deny]", "", ""},
		{"false", `validations: [{expression: "object.data.a == 'c'"}]`, "validationActions: [Deny]", denied + "failed expression: object.data.a == 'c'", ""},
		{"a message", `validations: [{expression: "false", message: "no, never"}]`, "validationActions: [Deny]", denied + "no, never", ""},
		{"a message expression", `validations: [{expression: "false", messageExpression: "'it is ' + object.data.a"}]`, "validationActions: [Deny]", denied + "it is b", ""},
		{"a message expression that fails", `validations: [{expression: "false", message: m, messageExpression: "string(object.data.none)"}]`, "validationActions: [Deny]", denied + "m", ""},
		{"variables", "variables: [{name: x, expression: \"object.data.a + 'c'\"}]\nvalidations: [{expression: \"variables.x == 'bc'\"}]", "validationActions: [Deny]", "", ""},
		{"an error", `validations: [{expression: "object.data.none == 'c'"}]`, "validationActions: [Deny]", denied + "expression 'object.data.none == 'c'' resulted in error: no such key: none", ""},
		{"an error that is ignored", "failurePolicy: Ignore\nvalidations: [{expression: \"object.data.none == 'c'\"}]", "validationActions: [Deny]", "", ""},
		{"a warning", `validations: [{expression: "false", message: m}]`, "validationActions: [Warn]", "", "Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': m"},
		{"audit", `validations: [{expression: "false", message: m}]`, "validationActions: [Audit]", "", ""},
		{"a condition that is not met", "matchConditions: [{name: c, expression: \"object.data.a == 'c'\"}]\nvalidations: [{expression: \"false\"}]", "validationActions: [Deny]", "", ""},
		{"the namespace", `validations: [{expression: "namespaceObject.metadata.labels.team == 'a'"}]`, "validationActions: [Deny]", "", ""},
		{"the request", `validations: [{expression: "request.operation == 'CREATE' && request.name == 'c' && request.userInfo.username != ''"}]`, "validationActions: [Deny]", "", ""},
		{"the authorizer", `validations: [{expression: "authorizer.requestResource.check('create').allowed()"}]`, "validationActions: [Deny]", "", ""},
		{"the binding's namespaces", `validations: [{expression: "false"}]`, "validationActions: [Deny]\nmatchResources: {namespaceSelector: {matchLabels: {team: z}}}", "", ""},
		{"excluded", `validations: [{expression: "false"}]`, "validationActions: [Deny]\nmatchResources: {excludeResourceRules: [{operations: ['*'], apiGroups: [''], apiVersions: ['*'], resources: [configmaps]}]}", "", ""},
		{"a name", `validations: [{expression: "false"}]`, "validationActions: [Deny]\nmatchResources: {resourceRules: [{resourceNames: [other], operations: ['*'], apiGroups: [''], apiVersions: ['*'], resources: [configmaps]}]}", "", ""},
		{"an unknown kind of parameters", "paramKind: {apiVersion: example.com/v1, kind: None}\nvalidations: [{expression: \"true\"}]", "validationActions: [Deny]", "ValidatingAdmissionPolicy 'p' denied request: failed to configure policy: failed to find resource referenced by paramKind: 'example.com/v1, Kind=None'", ""},
		{"parameters that are gone", "paramKind: {apiVersion: v1, kind: ConfigMap}\nvalidations: [{expression: \"true\"}]", "validationActions: [Deny]\nparamRef: {name: none, parameterNotFoundAction: Deny}",
			denied + "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction", ""},
		{"parameters that may be gone", "paramKind: {apiVersion: v1, kind: ConfigMap}\nvalidations: [{expression: \"false\"}]", "validationActions: [Deny]\nparamRef: {name: none, parameterNotFoundAction: Allow}", "", ""},
		{"parameters", "paramKind: {apiVersion: v1, kind: ConfigMap}\nvalidations: [{expression: \"object.data.a == params.data.want\", messageExpression: \"'wanted ' + params.data.want\"}]",
			"validationActions: [Deny]\nparamRef: {name: params, parameterNotFoundAction: Deny}", denied + "wanted x", ""},
		{"selected parameters", "paramKind: {apiVersion: v1, kind: ConfigMap}\nvalidations: [{expression: \"object.data.a == params.data.want\"}]",
			"validationActions: [Deny]\nparamRef: {selector: {matchLabels: {is: params}}, parameterNotFoundAction: Deny}", denied + "failed expression", ""},
		{"none named", "paramKind: {apiVersion: v1, kind: ConfigMap}\nvalidations: [{expression: \"params == null\"}]", "validationActions: [Deny]", "", ""},
		{"too costly", `validations: [{expression: "[1,2,3,4,5,6,7,8,9,10].all(a, [1,2,3,4,5,6,7,8,9,10].all(b, [1,2,3,4,5,6,7,8,9,10].all(c, [1,2,3,4,5,6,7,8,9,10].all(d, [1,2,3,4,5,6,7,8,9,10].all(e, [1,2,3,4,5,6,7,8,9,10].all(f, [1,2,3,4,5,6,7,8,9,10].all(g, a+b+c+d+e+f+g > 0)))))))"}]`, "validationActions: [Deny]", "cost limit exceeded", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := open(t)
			f.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: params, labels: {is: params}}\ndata: {want: x}")
			f.apply(validatingPolicy(test.spec, test.binding)...)
			_, err := f.configMaps().Create(f.ctx, configMap("c", "a=b"))
			wantError(t, "create", err, test.want)
			if got := strings.Join(f.warnings.text, "; "); got != test.warned {
				t.Errorf("warned of %q, want %q", got, test.warned)
			}
		})
	}
}

func TestReasons(t *testing.T) {
	for reason, code := range map[metav1.StatusReason]int32{
		"": http.StatusUnprocessableEntity, metav1.StatusReasonForbidden: http.StatusForbidden,
		metav1.StatusReasonInvalid: http.StatusUnprocessableEntity, metav1.StatusReasonRequestEntityTooLarge: http.StatusRequestEntityTooLarge,
	} {
		f := open(t)
		spec := `validations: [{expression: "false"}]`
		if reason != "" {
			spec = fmt.Sprintf(`validations: [{expression: "false", reason: %s}]`, reason)
		}
		f.apply(validatingPolicy(spec, "validationActions: [Deny]")...)
		_, err := f.configMaps().Create(f.ctx, configMap("c"))
		status, ok := err.(apierrors.APIStatus) //nolint:errorlint // it must be one itself
		if !ok || status.Status().Code != code {
			t.Errorf("%q: %v", reason, err)
		}
	}
}

// TestPolicyFollowsItsParameter: what is decided is decided by what is stored.
func TestPolicyFollowsItsParameter(t *testing.T) {
	f := open(t)
	f.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: params}\ndata: {want: x}")
	f.apply(validatingPolicy("paramKind: {apiVersion: v1, kind: ConfigMap}\nmatchConditions: [{name: others, expression: \"request.name != 'params'\"}]\nvalidations: [{expression: \"object.data.a == params.data.want\"}]",
		"validationActions: [Deny]\nparamRef: {name: params, parameterNotFoundAction: Deny}")...)
	_, err := f.configMaps().Create(f.ctx, configMap("c", "a=b"))
	wantError(t, "before", err, "failed expression")
	if _, err := f.configMaps().Update(f.ctx, "default", "params", func(c *corev1.ConfigMap) error { c.Data["want"] = "b"; return nil }); err != nil {
		t.Fatal(err)
	}
	_, err = f.configMaps().Create(f.ctx, configMap("c", "a=b"))
	wantError(t, "after", err, "")
	if err := registry.For[*arv1.ValidatingAdmissionPolicyBinding](f.Registry).Delete(f.ctx, "", "b", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err = f.configMaps().Create(f.ctx, configMap("d", "a=z"))
	wantError(t, "without a binding", err, "")
}

// TestMutatingPolicies are policies and what becomes of a ConfigMap with data a=b.
func TestMutatingPolicies(t *testing.T) {
	apply := func(expression string) string {
		return "reinvocationPolicy: Never\nmutations: [{patchType: ApplyConfiguration, applyConfiguration: {expression: \"" + expression + "\"}}]"
	}
	jsonPatch := func(expression string) string {
		return "reinvocationPolicy: Never\nmutations: [{patchType: JSONPatch, jsonPatch: {expression: \"" + expression + "\"}}]"
	}
	for _, test := range []struct {
		name, spec, data, want string
	}{
		{"a configuration", apply("Object{data: {'x': object.data.a + 'c'}}"), "map[a:b x:bc]", ""},
		{"a patch", jsonPatch("[JSONPatch{op: 'add', path: '/data/x', value: 'y'}]"), "map[a:b x:y]", ""},
		{"a test that fails", jsonPatch("[JSONPatch{op: 'test', path: '/data/a', value: 'z'}, JSONPatch{op: 'add', path: '/data/x', value: 'y'}]"), "map[a:b]", ""},
		{"a patch that fails", jsonPatch("[JSONPatch{op: 'remove', path: '/data/x'}]"), "", "policy 'p' with binding 'b' denied request: JSON Patch: "},
		{"a patch that fails and is ignored", "failurePolicy: Ignore\n" + jsonPatch("[JSONPatch{op: 'remove', path: '/data/x'}]"), "map[a:b]", ""},
		{"an error", apply("Object{data: {'x': object.data.none}}"), "", "no such key: none"},
		{"a condition", "matchConditions: [{name: c, expression: \"object.data.a == 'c'\"}]\n" + apply("Object{data: {'x': 'y'}}"), "map[a:b]", ""},
		{"variables", "variables: [{name: v, expression: \"object.data.a + '!'\"}]\n" + apply("Object{data: {'x': variables.v}}"), "map[a:b x:b!]", ""},
		{"no such field", apply("Object{nothing: 1}"), "", "field not declared in schema"},
		{"an invalid object", apply("Object{data: {'$': 'y'}}"), "", "a valid config key must consist of"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := open(t)
			f.apply(mutatingPolicy(test.spec, "paramRef: null")...)
			made, err := f.configMaps().Create(f.ctx, configMap("c", "a=b"))
			wantError(t, "create", err, test.want)
			if err == nil && fmt.Sprint(made.Data) != test.data {
				t.Errorf("got %v, want %s", made.Data, test.data)
			}
		})
	}
}

// TestPolicyBeforeWebhook: a policy that wants it sees what a webhook has made.
func TestPolicyBeforeWebhook(t *testing.T) {
	for policy, want := range map[string]string{"Never": "map[a:b by:hook n:1]", "IfNeeded": "map[a:b by:hook n:3]"} {
		f := open(t)
		f.apply(mutatingPolicy("reinvocationPolicy: "+policy+`
mutations: [{patchType: ApplyConfiguration, applyConfiguration: {expression: "Object{data: {'n': string(size(object.data))}}"}}]`, "paramRef: null")...)
		f.mutating("c", hook(serve(t, patching(`[{"op":"add","path":"/data/by","value":"hook"}]`))))
		made, err := f.configMaps().Create(f.ctx, configMap("c", "a=b"))
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(made.Data) != want {
			t.Errorf("%s: got %v, want %s", policy, made.Data, want)
		}
	}
}

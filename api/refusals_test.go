package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

const (
	pods       = "/api/v1/namespaces/default/pods"
	configMaps = "/api/v1/namespaces/default/configmaps"
	asJSON     = "Content-Type: application/json"
	asYAML     = "Content-Type: application/yaml"
	goodMap    = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m"},"data":{"a":"b"}}`
)

// bomb is YAML whose aliases would unfold to 10^9 values.
func bomb() string {
	var b strings.Builder
	b.WriteString("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bomb}\nx0: &x0 [l,l,l,l,l,l,l,l,l,l]\n")
	for i := range 9 {
		fmt.Fprintf(&b, "x%d: &x%d [%s*x%d]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*x%d,", i), 9), i)
	}
	return b.String()
}

// TestRefusals holds the API to upstream's codes, reasons and messages.
func TestRefusals(t *testing.T) {
	h := start(t, options{})
	if got := h.do("POST", configMaps, goodMap, asJSON).String(); got != "201 ConfigMap m" {
		t.Fatal(got)
	}
	const strict = "?fieldValidation=Strict"
	for _, test := range []struct {
		name, method, path, body string
		headers                  []string
		want                     string
	}{
		{name: "no such path", method: "GET", path: "/nowhere", want: "404 NotFound: the server could not find the requested resource"},
		{name: "no such group", method: "GET", path: "/apis/none.test/v1/things", want: "404 NotFound: the server could not find the requested resource"},
		{name: "no such resource", method: "GET", path: "/api/v1/namespaces/default/things", want: "404 NotFound: the server could not find the requested resource"},
		{name: "no such subresource", method: "GET", path: configMaps + "/m/status", want: "404 NotFound: the server could not find the requested resource"},
		{name: "no such method", method: "POST", path: configMaps + "/m", body: goodMap, want: "405 MethodNotAllowed: the server does not allow this method on the requested resource"},
		{name: "delete all namespaces", method: "DELETE", path: "/api/v1/namespaces", want: "405 MethodNotAllowed: the server does not allow this method on the requested resource"},
		{name: "no such object", method: "GET", path: pods + "/x", want: `404 NotFound: pods "x" not found`},
		{name: "no such namespace", method: "POST", path: "/api/v1/namespaces/nowhere/configmaps", body: goodMap, headers: []string{asJSON}, want: `404 NotFound: namespaces "nowhere" not found`},
		{name: "delete what is not there", method: "DELETE", path: pods + "/x", want: `404 NotFound: pods "x" not found`},
		{name: "exists", method: "POST", path: configMaps, body: goodMap, headers: []string{asJSON}, want: `409 AlreadyExists: configmaps "m" already exists`},
		{name: "empty body", method: "POST", path: configMaps, headers: []string{asJSON}, want: "400 BadRequest: the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: unexpected end of JSON input (<empty>)"},
		{name: "not JSON", method: "POST", path: configMaps, body: "{", headers: []string{asJSON}, want: `400 BadRequest: the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: unexpected end of JSON input ({)`},
		{name: "another kind", method: "POST", path: configMaps, body: `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"}}`, headers: []string{asJSON}, want: `400 BadRequest: Secret in version "v1" cannot be handled as a ConfigMap: converting (v1.Secret) to (v1.ConfigMap): unknown conversion`},
		{name: "unknown kind", method: "POST", path: configMaps, body: `{"apiVersion":"none.test/v1","kind":"Thing"}`, headers: []string{asJSON}, want: `400 BadRequest: Thing in version "v1" cannot be handled as a ConfigMap: no kind "Thing" is registered for version "none.test/v1" in scheme "pkg/runtime/scheme.go:111"`},
		{name: "another namespace", method: "POST", path: configMaps, body: `{"metadata":{"name":"x","namespace":"other"}}`, headers: []string{asJSON}, want: `400 BadRequest: the namespace of the provided object does not match the namespace sent on the request`},
		{name: "another name", method: "PUT", path: configMaps + "/m", body: `{"metadata":{"name":"x"}}`, headers: []string{asJSON}, want: `400 BadRequest: the name of the object (x) does not match the name on the URL (m)`},
		{name: "wrong type", method: "POST", path: configMaps, body: `{"metadata":{"name":"x"},"data":{"a":1}}`, headers: []string{asJSON}, want: `400 BadRequest: ConfigMap in version "v1" cannot be handled as a ConfigMap: json: cannot unmarshal number into Go struct field ConfigMap.data of type string`},
		{name: "bad name", method: "POST", path: configMaps, body: `{"metadata":{"name":"No_Good"}}`, headers: []string{asJSON}, want: `422 Invalid: ConfigMap "No_Good" is invalid: metadata.name: Invalid value: "No_Good": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`},
		{name: "no name", method: "POST", path: configMaps, body: `{"metadata":{}}`, headers: []string{asJSON}, want: `422 Invalid: ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required`},
		{name: "no containers", method: "POST", path: pods, body: `{"metadata":{"name":"p"},"spec":{}}`, headers: []string{asJSON}, want: `422 Invalid: Pod "p" is invalid: spec.containers: Required value`},
		{name: "unknown field", method: "POST", path: configMaps + strict, body: `{"metadata":{"name":"x","nmae":"y"},"dta":{}}`, headers: []string{asJSON}, want: `400 BadRequest: ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "metadata.nmae", unknown field "dta"`},
		{name: "duplicate field", method: "POST", path: configMaps + strict, body: `{"metadata":{"name":"x"},"data":{"a":"1","a":"2"}}`, headers: []string{asJSON}, want: `400 BadRequest: ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: duplicate field "data.a"`},
		{name: "duplicate field in YAML", method: "POST", path: configMaps + strict, body: "metadata: {name: x}\ndata:\n  a: b\n  a: c\n", headers: []string{asYAML}, want: `400 BadRequest: ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: yaml: unmarshal errors:` + "\n" + `  line 4: key "a" already set in map`},
		{name: "tab in YAML", method: "POST", path: configMaps, body: "metadata:\n\tname: x\n", headers: []string{asYAML}, want: "400 BadRequest: the object provided is unrecognized (must be of type ConfigMap): yaml: line 2: found character that cannot start any token (6d657461646174613a0a096e616d653a20780a)"},
		{name: "YAML bomb", method: "POST", path: configMaps, body: bomb(), headers: []string{asYAML}, want: "400 BadRequest: the object provided is unrecognized (must be of type ConfigMap): yaml: document contains excessive aliasing (61706956657273696f6e3a2076310a6b696e643a20436f6e6669674d6170 ...)"},
		{name: "too much", method: "POST", path: configMaps, body: `{"metadata":{"name":"x"},"data":{"a":"` + strings.Repeat("a", 3<<20) + `"}}`, headers: []string{asJSON}, want: "413 RequestEntityTooLarge: Request entity too large: limit is 3145728"},
		{name: "unknown encoding", method: "POST", path: configMaps, body: goodMap, headers: []string{"Content-Type: text/csv"}, want: "415 UnsupportedMediaType: the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf"},
		{name: "unacceptable encoding", method: "GET", path: configMaps, headers: []string{"Accept: text/csv"}, want: "406 NotAcceptable: only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf"},
		{name: "unknown patch", method: "PATCH", path: configMaps + "/m", body: "{}", headers: []string{asJSON}, want: "415 UnsupportedMediaType: the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml"},
		{name: "bad JSON patch", method: "PATCH", path: configMaps + "/m", body: `[{"op":"test","path":"/data/a","value":"x"}]`, headers: []string{"Content-Type: application/json-patch+json"}, want: `422 Invalid: the server rejected our request due to an error in our request`},
		{name: "apply without manager", method: "PATCH", path: configMaps + "/m", body: goodMap, headers: []string{"Content-Type: application/apply-patch+yaml"}, want: `422 Invalid: PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch`},
		{name: "bad dry run", method: "POST", path: configMaps + "?dryRun=Some", body: goodMap, headers: []string{asJSON}, want: `422 Invalid: CreateOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: ["Some"]: supported values: "All"`},
		{name: "bad field validation", method: "POST", path: configMaps + "?fieldValidation=Maybe", body: goodMap, headers: []string{asJSON}, want: `422 Invalid: CreateOptions.meta.k8s.io "" is invalid: fieldValidation: Unsupported value: "Maybe": supported values: "", "Ignore", "Strict", "Warn"`},
		{name: "bad label selector", method: "GET", path: pods + "?labelSelector=a+in+b", want: `400 BadRequest: unable to parse requirement: found 'b' expected: '('`},
		{name: "bad field selector", method: "GET", path: pods + "?fieldSelector=spec.image%3Dx", want: `400 BadRequest: field label not supported: spec.image`},
		{name: "bad continue", method: "GET", path: pods + "?limit=1&continue=x", want: `400 BadRequest: invalid continue token: continue key is not valid: illegal base64 data at input byte 0`},
		{name: "bad version", method: "GET", path: pods + "?resourceVersion=x", want: `400 BadRequest: invalid resource version: strconv.ParseUint: parsing "x": invalid syntax`},
		{name: "bad timeout", method: "GET", path: pods + "?timeout=soon", want: `400 BadRequest: invalid timeout specified in the request URL - time: invalid duration "soon"`},
		{name: "bad scale", method: "PATCH", path: "/api/v1/namespaces/default/replicationcontrollers/none/scale", body: `{"spec":{"replicas":-1}}`, headers: []string{"Content-Type: application/merge-patch+json"}, want: `404 NotFound: replicationcontrollers "none" not found`},
		{name: "stale update", method: "PUT", path: configMaps + "/m", body: `{"metadata":{"name":"m","resourceVersion":"1"}}`, headers: []string{asJSON}, want: `409 Conflict: Operation cannot be fulfilled on configmaps "m": the object has been modified; please apply your changes to the latest version and try again`},
		{name: "bad delete options", method: "DELETE", path: configMaps + "/m?propagationPolicy=Whatever", want: `422 Invalid: DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Unsupported value: "Whatever": supported values: "Foreground", "Background", "Orphan", "nil"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			h.t = t
			began := time.Now()
			got := h.do(test.method, test.path, test.body, test.headers...).String()
			equal(t, test.method+" "+test.path, got, test.want)
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestMethodNotAllowedNamesTheMethods(t *testing.T) {
	h := start(t, options{})
	equal(t, "Allow", h.do(http.MethodPost, configMaps+"/m", goodMap).header.Get("Allow"), "DELETE, GET, PATCH, PUT")
}

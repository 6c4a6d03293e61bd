package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"skiff/integration/harness"
)

const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: RequestResponse
  namespaces: [default]
  resources: [{group: "", resources: [configmaps]}]
- level: Metadata
  resources: [{group: "", resources: [secrets]}]
- level: None
`

// TestAuditLog records what a policy asks for: all of a ConfigMap, that a Secret was written but not
// what is in it, who was refused, and nothing else.
func TestAuditLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	policy := filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		t.Fatal(err)
	}
	d := harness.Start(t, "--engine", "none", "--audit-policy", policy)
	for _, c := range d.CLIs() {
		c.Do("create", "configmap", "of-"+c.Name, "--from-literal=key=seen")
		c.Do("create", "secret", "generic", "of-"+c.Name, "--from-literal=key=unseen")
		if r := c.Try("", "get", "secret", "of-"+c.Name, "--as", "eve"); r.Code == 0 {
			t.Errorf("%s: eve reads secrets", c.Name)
		}
		c.Do("get", "pods")
	}
	got, text := auditLog(t, filepath.Join(d.DataDir, "audit.log"))
	for _, c := range d.CLIs() {
		for _, want := range []string{
			"create configmaps of-" + c.Name + " 201 RequestResponse allow",
			"create secrets of-" + c.Name + " 201 Metadata allow",
			"get secrets of-" + c.Name + " 403 Metadata forbid as eve",
		} {
			if !strings.Contains(got, want+"\n") {
				t.Errorf("%q is not recorded:\n%s", want, got)
			}
		}
	}
	if !strings.Contains(text, `"data":{"key":"seen"}`) {
		t.Errorf("what was written into a ConfigMap is not recorded:\n%s", text)
	}
	if strings.Contains(text, "dW5zZWVu") || strings.Contains(got, "pods") {
		t.Errorf("more is recorded than was asked for:\n%s", text)
	}
}

// auditLog is what an audit log says, one event a line, and its text.
func auditLog(t *testing.T, path string) (events, text string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		var e auditv1.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.ObjectRef == nil || e.ResponseStatus == nil {
			t.Fatalf("%v in %s", err, line)
		}
		events += fmt.Sprintf("%s %s %s %d %s %s", e.Verb, e.ObjectRef.Resource, e.ObjectRef.Name, e.ResponseStatus.Code, e.Level, e.Annotations["authorization.k8s.io/decision"])
		if e.ImpersonatedUser != nil {
			events += " as " + e.ImpersonatedUser.Username
		}
		events += "\n"
	}
	return events, string(raw)
}

// TestBadAuditPolicy starts no daemon that would record other than was meant.
func TestBadAuditPolicy(t *testing.T) {
	t.Parallel()
	skiff := harness.Build(t).Skiff
	for name, test := range map[string]struct{ policy, want string }{
		"a misspelt field": {strings.Replace(auditPolicy, "namespaces:", "namespace:", 1), `unknown field "rules[0].namespace"`},
		"a level":          {strings.Replace(auditPolicy, "Metadata", "Some", 1), `rules[1].level: Unsupported value: "Some"`},
		"no rules":         {"apiVersion: audit.k8s.io/v1\nkind: Policy\n", "0 rules"},
		"another kind":     {"apiVersion: v1\nkind: Pod\n", `no kind "Pod" is registered for version "v1"`},
	} {
		t.Run(name, func(t *testing.T) {
			policy := filepath.Join(t.TempDir(), "policy.yaml")
			if err := os.WriteFile(policy, []byte(test.policy), 0o600); err != nil {
				t.Fatal(err)
			}
			said, err := exec.Command(skiff, "daemon", "run", "--engine", "none", "--data-dir", t.TempDir(), "--listen", "127.0.0.1:0",
				"--audit-policy", policy).CombinedOutput()
			if err == nil || !strings.Contains(string(said), policy) || !strings.Contains(string(said), test.want) {
				t.Errorf("it ended with %v and said %s", err, said)
			}
		})
	}
}

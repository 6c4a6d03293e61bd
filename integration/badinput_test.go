package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"skiff/integration/harness"
)

// TestBadInput gives both command lines what people get wrong. Each must say what and where, in upstream's words, and end
// with a code other than 0; what was created before the mistake is reported.
func TestBadInput(t *testing.T) {
	t.Parallel()
	d := harness.Start(t)
	for _, c := range []struct{ name, input, says string }{
		{"unknown field", podWith("  restartPolicyy: Always\n"), `strict decoding error: unknown field "spec.restartPolicyy"`},
		{"wrong type", strings.Replace(podWith(""), "name: bad", "name: 5", 1), `json: cannot unmarshal number into Go struct field ObjectMeta.metadata.name of type string`},
		{"invalid name", strings.Replace(podWith(""), "name: bad", "name: Bad_Name", 1), `metadata.name: Invalid value: "Bad_Name": a lowercase RFC 1123 subdomain`},
		{"selector does not match", rsWith("other"), "`selector` does not match template `labels`"},
		{"invalid value", podWith("  restartPolicy: Sometimes\n"), `spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"`},
		{"kind not served", "apiVersion: example.com/v1\nkind: Fleet\nmetadata:\n  name: x\n", `no matches for kind "Fleet" in version "example.com/v1"`},
		{"tabs", "apiVersion: v1\nkind: Pod\nmetadata:\n\tname: x\n", `found character that cannot start any token`},
		{"no kind", "apiVersion: v1\nmetadata:\n  name: x\n", `kind not set`},
		{"yaml bomb", yamlBomb(), `excessive aliasing`},
		{"bad selector operator", strings.Replace(rsWith("kubia"), "matchLabels: {app: kubia}", "matchExpressions: [{key: app, operator: Like, values: [kubia]}]", 1), `spec.selector.matchExpressions[0].operator: Invalid value: "Like": not a valid selector operator`},
		{"nothing in it", "---\n---\n", `no objects passed to create`},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, cli := range d.CLIs() {
				r := cli.Try(c.input, "create", "-f", "-")
				if r.Code == 0 || !strings.Contains(r.Err, c.says) {
					t.Errorf("%s: exit %d, says %q, want %q in it", cli.Name, r.Code, r.Err+r.Out, c.says)
				}
			}
		})
	}
	t.Run("duplicate key", func(t *testing.T) {
		// kubectl itself drops all but the last on the way to JSON, so the server is asked directly.
		twice := `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"twice"},"data":{"a":"1"},"data":{"a":"2"}}`
		r := d.KubectlCLI().Try(twice, "create", "--raw", "/api/v1/namespaces/default/configmaps?fieldValidation=Strict", "-f", "-")
		if r.Code == 0 || !strings.Contains(r.Err, `strict decoding error: duplicate field "data"`) {
			t.Errorf("server: exit %d, says %q", r.Code, r.Err)
		}
		r = d.SkiffCLI().Try(podWith("  restartPolicy: Always\n  restartPolicy: Never\n"), "create", "-f", "-")
		if r.Code == 0 || !strings.Contains(r.Err, `key "restartPolicy" already set in map`) {
			t.Errorf("skiff: exit %d, says %q", r.Code, r.Err)
		}
	})
	t.Run("three megabytes", func(t *testing.T) {
		big := "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: big\ndata:\n  a: " + strings.Repeat("x", 3<<20) + "\n"
		for _, cli := range d.CLIs() {
			if r := cli.Try(big, "create", "-f", "-"); r.Code == 0 || !strings.Contains(r.Err, "Request entity too large: limit is 3145728") {
				t.Errorf("%s: exit %d, says %q", cli.Name, r.Code, r.Err)
			}
		}
	})
	t.Run("a directory without manifests", func(t *testing.T) {
		dir := t.TempDir()
		for _, cli := range d.CLIs() {
			if r := cli.Try("", "create", "-f", dir); r.Code == 0 || !strings.Contains(r.Err, "error reading ["+dir+"]: recognized file extensions are [.json .yaml .yml]") {
				t.Errorf("%s: exit %d, says %q", cli.Name, r.Code, r.Err)
			}
		}
	})
	t.Run("carriage returns are fine", func(t *testing.T) {
		for _, cli := range d.CLIs() {
			in := strings.ReplaceAll("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: crlf-"+cli.Name+"\n---\n\n---\n", "\n", "\r\n")
			if r := cli.Try(in, "create", "-f", "-"); r.Code != 0 || r.Out != "configmap/crlf-"+cli.Name+" created\n" {
				t.Errorf("%s: exit %d, says %q", cli.Name, r.Code, r.Out+r.Err)
			}
		}
	})
	t.Run("what came before the mistake is reported", func(t *testing.T) {
		for _, cli := range d.CLIs() {
			good := "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: before-" + cli.Name + "\n---\n"
			r := cli.Try(good+podWith("  restartPolicy: Sometimes\n"), "create", "-f", "-")
			if r.Code == 0 || r.Out != "configmap/before-"+cli.Name+" created\n" || !strings.Contains(r.Err, "spec.restartPolicy") {
				t.Errorf("%s: exit %d, prints %q, says %q", cli.Name, r.Code, r.Out, r.Err)
			}
		}
	})
	t.Run("a field skiff can not honour is warned of", func(t *testing.T) {
		for _, cli := range d.CLIs() {
			r := cli.Try(strings.Replace(podWith("  shareProcessNamespace: true\n  hostUsers: false\n"), "name: bad", "name: warned-"+cli.Name, 1), "create", "--dry-run=server", "-f", "-")
			if !strings.Contains(r.Err, "Warning:") || !strings.Contains(r.Err, "spec.hostUsers") {
				t.Errorf("%s: exit %d, prints %q, says %q", cli.Name, r.Code, r.Out, r.Err)
			}
		}
	})
}

func podWith(spec string) string {
	return "apiVersion: v1\nkind: Pod\nmetadata:\n  name: bad\nspec:\n" + spec + "  containers:\n  - name: main\n    image: ksfzhaohui/kubia\n"
}

func rsWith(label string) string {
	return fmt.Sprintf("apiVersion: apps/v1\nkind: ReplicaSet\nmetadata:\n  name: bad\nspec:\n  selector:\n    matchLabels: {app: kubia}\n  template:\n    metadata:\n      labels: {app: %s}\n    spec:\n      containers:\n      - name: main\n        image: ksfzhaohui/kubia\n", label)
}

// yamlBomb is nine levels of nine aliases each.
func yamlBomb() string {
	var b strings.Builder
	b.WriteString("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: bomb\nx0: &x0 [a,a,a,a,a,a,a,a,a]\n")
	for i := 1; i < 9; i++ {
		fmt.Fprintf(&b, "x%d: &x%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*x%d,", i-1), 9), ","))
	}
	return b.String()
}

// TestUpSaysWhyItCanNot runs `skiff up` on what can not come up.
func TestUpSaysWhyItCanNot(t *testing.T) {
	t.Parallel()
	d := harness.Start(t)
	for _, c := range []struct{ name, manifest, says string }{
		{"no such image", strings.Replace(podWith(""), "image: ksfzhaohui/kubia", "image: localhost:1/nothing:v1", 1), "localhost:1/nothing:v1"},
		{"no such command", podWith("") + "    command: [/nothing]\n", "/nothing"},
		{"refused", podWith("  restartPolicy: Sometimes\n"), "spec.restartPolicy"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "m.yaml")
			if err := os.WriteFile(file, []byte(c.manifest), 0o600); err != nil {
				t.Fatal(err)
			}
			r := d.SkiffCLI().Try("", "up", "-d", "-f", file, "--timeout", "60s")
			if r.Code == 0 || !strings.Contains(r.Out+r.Err, c.says) {
				t.Errorf("exit %d, prints %q, says %q", r.Code, r.Out, r.Err)
			}
			d.SkiffCLI().Try("", "down", "-f", file)
		})
	}
}

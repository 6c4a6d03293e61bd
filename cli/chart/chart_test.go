package chart

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// fakeHelm puts a program of that name on the path, alone.
func fakeHelm(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	if script != "" {
		if err := os.WriteFile(filepath.Join(dir, "helm"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// pack makes a packed chart of files.
func pack(t *testing.T, path string, files ...[2]string) {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	w := tar.NewWriter(z)
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{Name: f[0], Mode: 0o644, Size: int64(len(f[1]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(f[1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, buf.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestRender looks at what helm is asked.
func TestRender(t *testing.T) {
	fakeHelm(t, `for a; do echo "$a"; done; echo "$KUBECONFIG"; while read -r line; do echo "in: $line"; done; echo "WARNING: old" >&2`)
	t.Chdir(t.TempDir())
	write(t, "shop", "Chart.yaml", "name: shop-chart\n")
	pack(t, "web-1.2.3.tgz", [2]string{"web/charts/sub/Chart.yaml", "name: sub\n"}, [2]string{"web/Chart.yaml", "name: web\n"})
	for _, test := range []struct {
		name string
		o    Options
		want string
	}{
		{"shop", Options{Namespace: "ns", Values: []string{"-", "v.yaml"}, Set: []string{"a=b,c=d"}, SetString: []string{"n=1"}, SetFile: []string{"x=y"}, In: strings.NewReader("a: 1\n")},
			"template shop-chart ./shop --include-crds --skip-tests --namespace ns --values - --values v.yaml --set a=b,c=d --set-string n=1 --set-file x=y /dev/null in: a: 1"},
		{"./shop/", Options{Release: "mine"}, "template mine ./shop --include-crds --skip-tests /dev/null"},
		{"web-1.2.3.tgz", Options{}, "template web ./web-1.2.3.tgz --include-crds --skip-tests /dev/null"},
		{"https://charts.example.com/my-app-2.0.1+b.tgz?x=1", Options{}, "template my-app https://charts.example.com/my-app-2.0.1+b.tgz?x=1 --include-crds --skip-tests /dev/null"},
		{"oci://registry/charts/redis", Options{}, "template redis oci://registry/charts/redis --include-crds --skip-tests /dev/null"},
	} {
		if !Is(test.name) {
			t.Errorf("%s is no chart", test.name)
		}
		text, remarks, err := Render(t.Context(), test.name, test.o)
		if got := strings.Join(strings.Fields(string(text)), " "); err != nil || got != test.want {
			t.Errorf("%s: %v\n got %s\nwant %s", test.name, err, got, test.want)
		}
		if len(remarks) != 1 || remarks[0] != "WARNING: old" {
			t.Errorf("%s: remarks %q", test.name, remarks)
		}
	}
}

// TestRenderFails wants to be told what to do.
func TestRenderFails(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "shop", "Chart.yaml", "name: shop\n")
	write(t, "nameless", "Chart.yaml", "version: 1.0.0\n")
	write(t, ".", "text.tgz", "no archive")
	pack(t, "empty.tgz", [2]string{"README", "x"})
	for _, test := range []struct{ helm, name, want string }{
		{"", "shop", "shop is a Helm chart, which helm renders, and there is no helm on the path: install it (https://helm.sh/docs/intro/install), or pass on what it makes elsewhere, as in helm template NAME shop | skiff … -f -"},
		{"echo 'Error: execution error at (shop/templates/a.yaml:3:4): image is required' >&2; echo >&2; echo 'Use --debug flag to render out invalid YAML' >&2; exit 1", "shop", "rendering the Helm chart shop: execution error at (shop/templates/a.yaml:3:4): image is required"},
		{"exit 3", "shop", "rendering the Helm chart shop: helm: exit status 3"},
		{"true", "nameless", "Chart.yaml of the Helm chart nameless has no name: give the release one with --release"},
		{"true", "text.tgz", "text.tgz is no Helm chart: gzip: invalid header"},
		{"true", "empty.tgz", "empty.tgz is no Helm chart: there is no Chart.yaml in it"},
	} {
		fakeHelm(t, test.helm)
		if _, _, err := Render(t.Context(), test.name, Options{}); err == nil || err.Error() != test.want {
			t.Errorf("%s:\n got %v\nwant %s", test.name, err, test.want)
		}
	}
}

func TestSource(t *testing.T) {
	for document, want := range map[string]string{
		"# Source: shop/templates/a.yaml\nkind: A\n": "shop/templates/a.yaml",
		"\n# mine\n# Source: b.yaml\n":               "b.yaml",
		"kind: A\n# Source: no\n":                    "",
		"":                                           "",
	} {
		if got := Source([]byte(document)); got != want {
			t.Errorf("%q comes from %q, want %q", document, got, want)
		}
	}
}

// TestArrange compares the order of hooks, what waits for what, and what is left out.
func TestArrange(t *testing.T) {
	var objects []*unstructured.Unstructured
	for _, text := range []string{
		`{kind: CustomResourceDefinition, metadata: {name: gadgets}}`,
		`{kind: ConfigMap, metadata: {name: settings}}`,
		`{kind: Deployment, metadata: {name: web, annotations: {skiff/after: deployment/db=ready}}}`,
		`{kind: Deployment, metadata: {name: away, namespace: other}}`,
		`{kind: Job, metadata: {name: late, annotations: {helm.sh/hook: "post-install,post-upgrade", helm.sh/hook-weight: "5"}}}`,
		`{kind: Job, metadata: {name: first-late, annotations: {helm.sh/hook: post-install, helm.sh/hook-weight: "-5"}}}`,
		`{kind: Job, metadata: {name: migrate, annotations: {helm.sh/hook: "pre-install, pre-upgrade", helm.sh/hook-weight: "2"}}}`,
		`{kind: Secret, metadata: {name: word, annotations: {helm.sh/hook: pre-install, helm.sh/hook-weight: "-1"}}}`,
		`{kind: Job, metadata: {name: prepare, annotations: {helm.sh/hook: Pre-Install, helm.sh/hook-weight: one}}}`,
		`{kind: Pod, metadata: {name: check, annotations: {helm.sh/hook: pre-install, helm.sh/hook-weight: "3"}}}`,
		`{kind: Pod, metadata: {name: test, annotations: {helm.sh/hook: test}}}`,
		`{kind: Job, metadata: {name: clean, annotations: {helm.sh/hook: "pre-delete,post-rollback"}}}`,
		`{kind: Job, metadata: {name: upgrade, annotations: {helm.sh/hook: pre-upgrade}}}`,
	} {
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
			t.Fatal(err)
		}
		objects = append(objects, o)
	}
	out, remarks := Arrange(objects)
	var b strings.Builder
	for _, o := range out {
		b.WriteString(describe(o))
		if waits := o.GetAnnotations()["skiff/after"]; waits != "" {
			b.WriteString(" after " + waits)
		}
		b.WriteString("\n")
	}
	for _, r := range remarks {
		b.WriteString("remark: " + r + "\n")
	}
	const want = `customresourcedefinition/gadgets
secret/word
job/prepare
job/migrate after job/prepare=complete
pod/check
configmap/settings
deployment/web after deployment/db=ready,job/migrate=complete
deployment/away
job/first-late
job/late after job/first-late=complete
remark: job/clean is a hook for pre-delete and post-rollback and is left out: skiff runs those of pre-install and post-install alone
remark: job/upgrade is a hook for pre-upgrade and is left out: skiff runs those of pre-install and post-install alone
remark: pod/check is a hook that nothing waits for: only a Job is known to complete
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

package resource

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const helmSays = `#!/bin/sh
cat <<'END'
---
# Source: shop/crds/all.yaml
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: a}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: b}
---
# Source: shop/templates/web.yaml
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
---
# Source: shop/templates/migrate.yaml
apiVersion: batch/v1
kind: Job
metadata: {name: migrate, annotations: {helm.sh/hook: "pre-install,pre-upgrade"}}
---
# Source: shop/templates/clean.yaml
apiVersion: batch/v1
kind: Job
metadata: {name: clean, annotations: {helm.sh/hook: pre-delete}}
END
`

// TestRendered reads charts and kustomizations among other files.
func TestRendered(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for name, text := range map[string]string{
		"bin/helm":                            helmSays,
		"shop/Chart.yaml":                     "name: shop\n",
		"pod.yaml":                            pod + "a\n",
		"base/kustomization.yaml":             "resources: [pod.yaml]\nnamePrefix: my-\n",
		"base/pod.yaml":                       pod + "a\n",
		"all/base/kustomization.yaml":         "resources: []\n",
		"typed/base/k.yaml":                   "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n",
		"flux/k.yaml":                         "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: a}\n",
		"broken/kustomization.yaml":           "resources: [none.yaml]\n",
		"wrong/kustomization.yaml":            "resource: [none.yaml]\n",
		"overlay/kustomization.yaml":          "resources: [../base]\npatches: [{target: {kind: Pod}, patch: \"- {op: add, path: /metadata/labels, value: {a: b}}\"}]\n",
		"overlay-of-broken/kustomization.yml": "resources: [../broken]\n",
		"nameless/kustomization.yaml":         "resources: [pod.yaml]\n",
		"nameless/pod.yaml":                   pod,
		"overlay-of-nameless/Kustomization":   "resources: [../nameless]\n",
		"patched/kustomization.yaml":          "resources: [../base]\npatches: [{target: {kind: Pod}, patch: \"- {op: remove, path: /spec/none}\"}]\n",
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", filepath.Join(dir, "bin")+":"+os.Getenv("PATH"))
	k := func(dir string) Files { return Files{Names: []string{dir}, Kustomization: dir} }
	for _, test := range []struct {
		what string
		f    Files
		want string
	}{
		{"a chart and a file", Files{Names: []string{"shop", "pod.yaml"}}, `shop/crds/all.yaml CustomResourceDefinition/a
shop/crds/all.yaml CustomResourceDefinition/b
shop/templates/migrate.yaml Job/migrate
shop/templates/web.yaml Deployment/web
pod.yaml:1 Pod/a
remark: shop: job/clean is a hook for pre-delete and is left out: skiff runs those of pre-install and post-install alone
`},
		{"a kustomization", k("overlay"), "overlay Pod/my-a\n"},
		{"one that -f names", Files{Names: []string{"base"}}, "error: base is a kustomization: name it with -k base instead of -f\n"},
		{"the same where it is built", Files{Names: []string{"base"}, Build: true}, "base Pod/my-a\n"},
		{"one below", Files{Names: []string{"all"}, Recursive: true}, "error: all/base/kustomization.yaml is no object but says how others are put together: name its directory with -k, as in -k all/base\n"},
		{"one by another name", Files{Names: []string{"typed"}, Recursive: true}, "error: typed/base/k.yaml is no object but says how others are put together: name its directory with -k, as in -k typed/base\n"},
		{"an object of Flux", Files{Names: []string{"flux"}}, "flux/k.yaml:1 Kustomization/a\n"},
		{"-f and -k", Files{Names: []string{"pod.yaml", "base"}, Kustomization: "base"}, "error: only one of -f or -k can be specified\n"},
		{"a file missing", k("broken"), "error: building the kustomization broken: resources: none.yaml: there is no broken/none.yaml\n"},
		{"a file missing below", k("overlay-of-broken"), "error: building the kustomization overlay-of-broken: resources: none.yaml: there is no broken/none.yaml\n"},
		{"an object without a name", k("overlay-of-nameless"), "error: building the kustomization overlay-of-nameless: resources: pod.yaml: missing metadata.name in object {{v1 Pod} {{ } map[] map[]}}\n"},
		{"a patch of what is not there", k("patched"), "error: building the kustomization patched: remove operation does not apply: doc is missing path: \"/spec/none\": missing value\n"},
		{"a field unknown", k("wrong"), "error: building the kustomization wrong: invalid Kustomization: json: unknown field \"resource\"\n"},
		{"no kustomization", k("shop"), "error: building the kustomization shop: unable to find one of 'kustomization.yaml', 'kustomization.yml' or 'Kustomization' in directory 'DIR/shop'\n"},
		{"a file for -k", k("pod.yaml"), "error: pod.yaml is a file: -k takes the directory of a kustomization\n"},
		{"values for no chart", func() Files { f := Files{Names: []string{"pod.yaml"}}; f.Chart.Release = "x"; return f }(), "error: --values, --set and --release are for Helm charts, and none of the files is one\n"},
	} {
		var b strings.Builder
		test.f.Remark = func(text string) { b.WriteString("remark: " + text + "\n") }
		all, err := Reader{}.Read(t.Context(), test.f)
		var objects strings.Builder
		for _, m := range all {
			objects.WriteString(m.Where() + " " + m.Object.GetKind() + "/" + m.Object.GetName() + "\n")
		}
		if err != nil {
			objects.WriteString("error: " + strings.ReplaceAll(err.Error(), dir, "DIR") + "\n")
		}
		if got := objects.String() + b.String(); got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.what, got, test.want)
		}
	}
}

package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// helmPrints is a helm that prints a chart of a job that comes first and a pod, and says what it was asked.
const helmPrints = `#!/bin/sh
echo "$*" >&2
cat <<END
---
# Source: shop/templates/web.yaml
apiVersion: v1
kind: Pod
metadata: {name: $2-web}
spec: {containers: [{name: web, image: web}]}
---
# Source: shop/templates/migrate.yaml
apiVersion: batch/v1
kind: Job
metadata: {name: $2-migrate, annotations: {helm.sh/hook: pre-install}}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: migrate, image: web}]}}}
END
`

// TestCharts applies, prints and deletes a chart by a helm that is on the path, and is told where none is.
func TestCharts(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for name, text := range map[string]string{"bin/helm": helmPrints, "shop/Chart.yaml": "name: shop\n", "v.yaml": "a: 1\n"} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w := newWorld(t)
	const noHelm = "error: shop is a Helm chart, which helm renders, and there is no helm on the path: install it (https://helm.sh/docs/intro/install), or pass on what it makes elsewhere, as in helm template NAME shop | skiff … -f -\n"
	t.Setenv("PATH", "")
	if out, errOut, code := w.run(t.Context(), "apply", "-f", "shop"); out != "" || errOut != noHelm || code != 1 {
		t.Errorf("without helm: %q, %q, code %d", out, errOut, code)
	}
	t.Setenv("PATH", filepath.Join(dir, "bin")+":/bin:/usr/bin")
	const asked = " ./shop --include-crds --skip-tests --namespace "
	for _, test := range []struct{ line, out, errOut string }{
		{"apply -f shop --values v.yaml --set a=b", "job.batch/shop-migrate created\npod/shop-web created\n", "Warning: shop: template shop" + asked + "default --values v.yaml --set a=b\n"},
		{"delete -f shop --release other --ignore-not-found -n shop", "", "Warning: shop: template other" + asked + "shop\n"},
		{"delete -f shop", "job.batch \"shop-migrate\" deleted\npod \"shop-web\" deleted\n", "Warning: shop: template shop" + asked + "default\n"},
	} {
		out, errOut, code := w.run(t.Context(), strings.Fields(test.line)...)
		if out != test.out || errOut != test.errOut || code != 0 {
			t.Errorf("%s: code %d\n%s%swant\n%s%s", test.line, code, out, errOut, test.out, test.errOut)
		}
	}
	out, _, code := w.run(t.Context(), "convert", "-f", "shop", "--release", "x")
	if job, pod := strings.Index(out, "name: x-migrate\n"), strings.Index(out, "skiff/after: job/x-migrate=complete\n  name: x-web\n"); code != 0 || job < 0 || pod < job {
		t.Errorf("converted, code %d:\n%s", code, out)
	}
}

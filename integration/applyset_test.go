package integration

import (
	"strings"
	"testing"

	"skiff/integration/harness"
)

func settings(names ...string) string {
	var b strings.Builder
	for _, name := range names {
		b.WriteString("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\n---\n")
	}
	return b.String()
}

// TestApplySets: what skiff up records is an ApplySet to kubectl, which goes on with it, and the
// other way about.
func TestApplySets(t *testing.T) {
	t.Parallel()
	d := harness.Start(t)
	skiff := d.SkiffCLI()
	kubectl := func(stdin string, parent string) string {
		cmd := d.KubectlCLI().Command("apply", "-n", "default", "--prune", "--applyset="+parent, "-f", "-")
		cmd.Env = append(cmd.Env, "KUBECTL_APPLYSET=true")
		cmd.Stdin = strings.NewReader(stdin)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("kubectl apply --applyset=%s: %v", parent, err)
		}
		return string(out)
	}
	up := func(stdin string, args ...string) string {
		r := skiff.Try(stdin, append([]string{"up", "-d", "-f", "-"}, args...)...)
		if r.Code != 0 {
			t.Errorf("up %q: exit code %d", args, r.Code)
		}
		return r.Err
	}
	there := func(names ...string) {
		t.Helper()
		got := skiff.Do("get", "cm", "-l", "applyset.kubernetes.io/part-of", "-o", "name")
		if want := strings.Join(names, "\n"); strings.TrimSpace(strings.ReplaceAll(got, "configmap/", "")) != want {
			t.Errorf("there is %q, want %q", got, want)
		}
	}

	up(settings("a", "b"), "-p", "shop")
	if got := up(settings("a"), "-p", "shop"); got != "configmap/a unchanged\nWarning: configmap/b is no longer in the manifests; --prune removes it\n" {
		t.Errorf("up without b: %q", got)
	}
	if got := kubectl(settings("a", "c"), "configmaps/applyset-shop"); got != "configmap/a unchanged\nconfigmap/c created\nconfigmap/b pruned\n" {
		t.Errorf("kubectl without b: %q", got)
	}
	there("a", "c")
	if got := up(settings("a"), "-p", "shop", "--prune"); got != "configmap/a unchanged\nconfigmap/c deleted\n" {
		t.Errorf("up --prune without c: %q", got)
	}
	there("a")

	kubectl(settings("d", "e"), "configmaps/applyset-theirs")
	if got := up(settings("d"), "-p", "theirs"); !strings.HasSuffix(got, "Warning: configmap/e is no longer in the manifests; --prune removes it\n") {
		t.Errorf("up without e: %q", got)
	}
	// A manifest that names a newer version of its kind still names the same object.
	old := "apiVersion: extensions/v1beta1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 0, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: main, image: i}]}}}\n"
	up(old, "-p", "shop")
	before := skiff.Do("get", "deployment", "web", "-o", "jsonpath={.metadata.uid}")
	if got := up(strings.Replace(old, "extensions/v1beta1", "apps/v1", 1), "-p", "shop", "--prune"); strings.Contains(got, "deployment.extensions/web") || !strings.Contains(got, "configmap/a deleted\n") {
		t.Errorf("up of the newer version: %q", got)
	}
	if got := skiff.Do("get", "deployment", "web", "-o", "jsonpath={.metadata.uid}"); got != before {
		t.Errorf("the deployment was %s and is %s", before, got)
	}

	for _, project := range []string{"shop", "theirs"} {
		if r := skiff.Try("", "down", "-p", project); r.Code != 0 {
			t.Errorf("down: %+v", r)
		}
	}
	there("")
	if got := skiff.Do("get", "cm", "-o", "name"); strings.Contains(got, "applyset") {
		t.Errorf("what recorded the sets is left: %q", got)
	}
}

package integration

import (
	"strings"
	"testing"

	"skiff/integration/harness"
)

// TestHelmChart installs a chart of the shape that `helm create` gives, with the real helm: its test pod asks
// the service by name, an upgrade changes what runs and is rolled back, and nothing is left when it is
// uninstalled.
func TestHelmChart(t *testing.T) {
	t.Parallel()
	p := startPeers(t)
	helm := p.d.HelmCLI()
	chart := "testdata/chart"
	images := "image=" + p.image

	notes := helm.Do("install", "site", chart, "--set", images, "--wait", "--timeout", "5m")
	if !strings.Contains(notes, "STATUS: deployed") || !strings.Contains(notes, "http://site.default.localhost:7480") {
		t.Errorf("helm says\n%s", notes)
	}
	if out := helm.Do("test", "site", "--timeout", "5m"); !strings.Contains(out, "Phase:          Succeeded") {
		t.Errorf("the chart's test:\n%s", out)
	}
	if r := p.cli.Try("", "get", "pod", "site-test"); r.Code == 0 {
		t.Errorf("the hook's delete policy left its pod:\n%s", r.Out)
	}

	helm.Do("upgrade", "site", chart, "--set", images, "--set", "replicas=2,service.port=8000,ingress.enabled=true", "--wait", "--timeout", "5m")
	p.ready("app.kubernetes.io/instance=site", 2)
	helm.Do("test", "site", "--timeout", "5m")
	door := p.theDoor()
	for _, url := range []string{"http://site.localhost/", "http://site.default.localhost/"} {
		harness.Until(t, soon, url+" answers", func() bool { return strings.HasPrefix(door.get(url, nil), "200 site-") })
	}

	helm.Do("rollback", "site", "1", "--wait", "--timeout", "5m")
	p.ready("app.kubernetes.io/instance=site", 1)
	if got := p.of("service/site", ".spec.ports[0].port"); got != "80" {
		t.Errorf("after the rollback the service's port is %s", got)
	}
	if out := helm.Do("history", "site", "-o", "json"); strings.Count(out, `"revision"`) != 3 {
		t.Errorf("the history is %s", out)
	}

	helm.Do("uninstall", "site", "--wait", "--timeout", "5m")
	harness.Until(t, soon, "nothing of the release is left", func() bool {
		return strings.TrimSpace(p.cli.Do("get", "deployments,services,ingresses,serviceaccounts,pods,secrets", "-l", "app.kubernetes.io/instance=site", "-o", "name")) == ""
	})

	failed := helm.Try("", "install", "broken", chart, "--atomic", "--timeout", "5m", "--set", images, "--set", "service.port=70000")
	if failed.Code == 0 || !strings.Contains(failed.Err, "spec.ports[0].port: Invalid value: 70000") {
		t.Errorf("a chart with a port that is none: %+v", failed)
	}
}

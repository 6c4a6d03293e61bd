package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"skiff/integration/harness"
)

// testModule runs the tests of a module beside this one.
func testModule(t *testing.T, dir string, env ...string) {
	t.Helper()
	args := []string{"test", "-count=1", "-v"}
	if testing.Short() {
		args = append(args, "-short")
	}
	run := exec.Command("go", append(args, ".")...)
	run.Dir = filepath.Join(harness.Root(), dir)
	run.Env = append(os.Environ(), env...)
	said, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, said)
	}
	t.Logf("%s", said)
}

// TestEnvtest runs a controller's test, as it is, with skiff in the place of kube-apiserver and etcd.
func TestEnvtest(t *testing.T) {
	t.Parallel()
	image := harness.Toolbox(t, harness.Engine(t), nil)
	assets := filepath.Join(t.TempDir(), "assets")
	if out, err := exec.Command(harness.Build(t).Skiff, "envtest-assets", assets).CombinedOutput(); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	t.Run("in memory", func(t *testing.T) {
		testModule(t, "integration/envtest", "KUBEBUILDER_ASSETS="+assets, "SKIFF_ENGINE=none")
	})
	t.Run("on the engine", func(t *testing.T) {
		testModule(t, "integration/envtest", "KUBEBUILDER_ASSETS="+assets, "IMAGE="+image)
	})
}

// TestSkifftest runs the tests of the package for controllers' tests.
func TestSkifftest(t *testing.T) {
	t.Parallel()
	harness.Engine(t) // skips where the others do
	testModule(t, "skifftest", "SKIFF="+harness.Build(t).Skiff)
}

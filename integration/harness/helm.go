package harness

import (
	"fmt"
	"path/filepath"
	"sync"
)

// helmPackage is helm's command, a tool of the module integration/helm.
const helmPackage = "helm.sh/helm/v3/cmd/helm"

var helm struct {
	once sync.Once
	path string
	err  error
}

// HelmCLI is the real helm, compiled from its module when it is asked for first. Its own files are in the
// daemon's data directory.
func (d *Daemon) HelmCLI() CLI {
	d.t.Helper()
	helm.once.Do(func() {
		helm.path = filepath.Join(filepath.Dir(Build(d.t).Skiff), "helm")
		helm.err = goRun(filepath.Join(Root(), "integration", "helm"), "build", "-o", helm.path, helmPackage)
	})
	if helm.err != nil {
		d.t.Fatal(fmt.Errorf("building helm: %w", helm.err))
	}
	home := filepath.Join(d.DataDir, "helm")
	return CLI{"helm", d, helm.path, []string{"HELM_CACHE_HOME=" + home, "HELM_CONFIG_HOME=" + home, "HELM_DATA_HOME=" + home}}
}

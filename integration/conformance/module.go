package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// kubernetes is the module that holds the suite.
const kubernetes = "k8s.io/kubernetes"

// downloadSources has the go command fetch the module and returns where it is.
func downloadSources(ctx context.Context, version string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", kubernetes+"@"+version)
	cmd.Dir = os.TempDir() // outside of any module
	out, err := output(cmd)
	if err != nil {
		return "", err
	}
	var answer struct{ Dir string }
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		return "", fmt.Errorf("reading where %s is: %w", kubernetes, err)
	}
	return answer.Dir, nil
}

// prepareModule writes the module in which the suite is built. Sums come from upstream; those of
// the staging modules, which upstream's go.sum can not hold, the go command adds, checked by its
// checksum database.
func (s *suite) prepareModule(ctx context.Context) error {
	if err := os.MkdirAll(s.module(), 0o755); err != nil {
		return err
	}
	upstream, err := os.ReadFile(filepath.Join(s.sources, "go.mod"))
	if err != nil {
		return err
	}
	sums, err := os.ReadFile(filepath.Join(s.sources, "go.sum"))
	if err != nil {
		return err
	}
	for name, content := range map[string]string{
		"go.mod": suiteModule(string(upstream), s.version),
		"go.sum": string(sums),
	} {
		if err := os.WriteFile(filepath.Join(s.module(), name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return ctx.Err()
}

var (
	goLine        = regexp.MustCompile(`(?m)^go .*$`)
	requireBlocks = regexp.MustCompile(`(?ms)^require \(.*?^\)$`)
	staged        = regexp.MustCompile(`(?m)^(\s*k8s\.io/[a-z-]+) v0\.0\.0( //.*)?$`)
	stagingPaths  = regexp.MustCompile(`(?m)^\s*(k8s\.io/[a-z-]+) => \./staging/.*$`)
)

// suiteModule makes a go.mod that can build the packages of Kubernetes' own module out of
// upstream's: the same requirements, and in place of the folders in staging/ the modules that are
// published from them as v0.X.Y.
func suiteModule(upstream, version string) string {
	published := "v0." + strings.TrimPrefix(version, "v1.")
	var b strings.Builder
	fmt.Fprintf(&b, "module conformance\n\n%s\n\nrequire %s %s\n", goLine.FindString(upstream), kubernetes, version)
	for _, block := range requireBlocks.FindAllString(upstream, -1) {
		fmt.Fprintf(&b, "\n%s\n", staged.ReplaceAllString(block, "${1} "+published+"${2}"))
	}
	b.WriteString("\nreplace (\n")
	for _, m := range stagingPaths.FindAllStringSubmatch(upstream, -1) {
		fmt.Fprintf(&b, "\t%[1]s => %[1]s %[2]s\n", m[1], published)
	}
	b.WriteString(")\n")
	return b.String()
}

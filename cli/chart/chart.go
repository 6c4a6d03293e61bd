// Package chart renders Helm charts. It runs the helm on the path: helm's library would be larger than all
// of skiff, and the charts of a team are made for the helm that the team has.
package chart

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"sigs.k8s.io/yaml"
)

// File is what makes a folder a chart.
const File = "Chart.yaml"

// Options are what the user says about a chart.
type Options struct {
	// Release is the name under which the chart is rendered; "" for the chart's own.
	Release string
	// Namespace is that of the release.
	Namespace string
	// Values are files, Set, SetString and SetFile single values, as helm takes them.
	Values, Set, SetString, SetFile []string
	// In is read where one of Values is "-".
	In io.Reader
}

// Given reports whether the user says something that only a chart understands.
func (o Options) Given() bool {
	return o.Release != "" || len(o.Values)+len(o.Set)+len(o.SetString)+len(o.SetFile) > 0
}

// Is reports whether helm would take name for a chart: a folder that has a Chart.yaml, or a packed chart, on
// this machine, on a web server or in a registry.
func Is(name string) bool {
	if strings.HasPrefix(name, "oci://") {
		return true
	}
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		_, err := os.Stat(filepath.Join(name, File))
		return err == nil
	}
	if strings.Contains(name, "://") {
		name, _, _ = strings.Cut(name, "?")
	}
	return strings.HasSuffix(name, ".tgz") || strings.HasSuffix(name, ".tar.gz")
}

// Render returns the manifests of a chart as helm prints them, custom resource definitions first, and what
// helm remarks.
func Render(ctx context.Context, name string, o Options) (text []byte, remarks []string, err error) {
	helm, err := exec.LookPath("helm")
	if err != nil {
		return nil, nil, fmt.Errorf("%s is a Helm chart, which helm renders, and there is no helm on the path: install it (https://helm.sh/docs/intro/install), or pass on what it makes elsewhere, as in helm template NAME %[1]s | skiff … -f -", name)
	}
	if o.Release == "" {
		if o.Release, err = releaseName(name); err != nil {
			return nil, nil, err
		}
	}
	var out, said bytes.Buffer
	cmd := exec.CommandContext(ctx, helm, arguments(name, o)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = o.In, &out, &said
	// Nothing of a cluster is asked, and a warning about the rights of a kubeconfig is no business of the chart's.
	cmd.Env = append(os.Environ(), "KUBECONFIG="+os.DevNull)
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	switch {
	case ctx.Err() != nil:
		return nil, nil, ctx.Err()
	case err != nil:
		return nil, nil, fmt.Errorf("rendering the Helm chart %s: %w", name, reason(err, said.String()))
	}
	return out.Bytes(), sentences(said.String()), nil
}

// arguments are those of helm template.
func arguments(name string, o Options) []string {
	if !filepath.IsAbs(name) && !strings.Contains(name, "://") {
		name = "." + string(filepath.Separator) + filepath.Clean(name) // a path, and never REPOSITORY/CHART
	}
	args := []string{"template", o.Release, name, "--include-crds", "--skip-tests"}
	if o.Namespace != "" {
		args = append(args, "--namespace", o.Namespace)
	}
	for _, f := range []struct {
		flag   string
		values []string
	}{{"--values", o.Values}, {"--set", o.Set}, {"--set-string", o.SetString}, {"--set-file", o.SetFile}} {
		for _, v := range f.values {
			args = append(args, f.flag, v)
		}
	}
	return args
}

// reason is what helm says of its failure, without its name for it and its advice about its own flags.
func reason(err error, said string) error {
	var words []string
	for _, s := range sentences(said) {
		if !strings.HasPrefix(s, "Use --debug flag") {
			words = append(words, strings.TrimPrefix(s, "Error: "))
		}
	}
	if len(words) == 0 {
		return fmt.Errorf("helm: %w", err)
	}
	return errors.New(strings.Join(words, "\n  "))
}

func sentences(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}

// packed is the end of a packed chart's file name: its version.
var packed = regexp.MustCompile(`(-v?\d[^/]*)?(\.tgz|\.tar\.gz)?$`)

// releaseName is the chart's name. That of a chart on another machine is read off its address.
func releaseName(name string) (string, error) {
	if strings.Contains(name, "://") {
		name, _, _ = strings.Cut(name, "?")
		return packed.ReplaceAllString(path.Base(name), ""), nil
	}
	about, err := metadata(name)
	if err != nil {
		return "", fmt.Errorf("%s is no Helm chart: %w", name, err)
	}
	var meta struct {
		Name string `json:"name"`
	}
	if err := yaml.Unmarshal(about, &meta); err != nil {
		return "", fmt.Errorf("%s of the Helm chart %s: %w", File, name, err)
	}
	if meta.Name == "" {
		return "", fmt.Errorf("%s of the Helm chart %s has no name: give the release one with --release", File, name)
	}
	return meta.Name, nil
}

// metadata is the text of a chart's Chart.yaml.
func metadata(name string) ([]byte, error) {
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		return os.ReadFile(filepath.Join(name, File))
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	unpacked, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	files := tar.NewReader(unpacked)
	for {
		h, err := files.Next()
		if err == io.EOF {
			return nil, fmt.Errorf("there is no %s in it", File)
		}
		if err != nil {
			return nil, err
		}
		// Charts within the chart have theirs deeper down.
		if parts := strings.Split(path.Clean(h.Name), "/"); len(parts) == 2 && parts[1] == File {
			return io.ReadAll(io.LimitReader(files, 1<<20))
		}
	}
}

// Source is the template that a document of helm's output was made from, as its comment says; "" if it
// says nothing.
func Source(document []byte) string {
	for line := range bytes.Lines(document) {
		line = bytes.TrimSpace(line)
		if source, ok := bytes.CutPrefix(line, []byte("# Source: ")); ok {
			return string(source)
		}
		if len(line) > 0 && line[0] != '#' {
			break
		}
	}
	return ""
}

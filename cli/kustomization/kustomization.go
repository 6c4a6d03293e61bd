// Package kustomization builds kustomizations, by kustomize's own library.
package kustomization

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// Names are those of the file that makes a directory a kustomization.
var Names = []string{"kustomization.yaml", "kustomization.yml", "Kustomization"}

// Options are what a kustomization may do besides.
type Options struct {
	// Anywhere lets it read files outside of its directory.
	Anywhere bool
	// Helm lets it render charts, by the helm on the path.
	Helm bool
}

// Is reports whether a path is a directory with a kustomization.
func Is(dir string) bool {
	return slices.ContainsFunc(Names, func(name string) bool {
		info, err := os.Stat(filepath.Join(dir, name))
		return err == nil && info.Mode().IsRegular()
	})
}

// IsFile reports whether a document of a file is a kustomization and no object.
func IsFile(file string, document *unstructured.Unstructured) bool {
	if kind := document.GetKind(); kind != "" {
		group, _, _ := strings.Cut(document.GetAPIVersion(), "/")
		return group == "kustomize.config.k8s.io" && (kind == types.KustomizationKind || kind == types.ComponentKind)
	}
	return document.GetAPIVersion() == "" && slices.Contains(Names, filepath.Base(file))
}

// elsewhere matches the address of a repository, as kustomize takes it.
var elsewhere = regexp.MustCompile(`://|@|^(git::|github\.com[/:])`)

// Build returns the objects that a kustomization makes, as a YAML stream. dir may also be the address of a
// repository, which git then fetches.
func Build(ctx context.Context, dir string, o Options) ([]byte, error) {
	switch info, err := os.Stat(dir); {
	case err == nil && !info.IsDir():
		return nil, fmt.Errorf("%s is a file: -k takes the directory of a kustomization", dir)
	case errors.Is(err, fs.ErrNotExist) && !elsewhere.MatchString(dir):
		return nil, fmt.Errorf("the path %q does not exist", dir)
	}
	options := krusty.MakeDefaultOptions()
	if o.Anywhere {
		options.LoadRestrictions = types.LoadRestrictionsNone
	}
	if o.Helm {
		options.PluginConfig.HelmConfig = types.HelmConfig{Enabled: true, Command: "helm"}
	}
	made, err := krusty.MakeKustomizer(options).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return nil, fmt.Errorf("building the kustomization %s: %w", dir, plain(err))
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return made.AsYaml()
}

// The library accumulates the same thing as a file and as a directory, and tells of both failures, one within
// the other. The last thing that it went for, and why that failed as a file, is what matters.
const (
	accumulating = "accumulating resources from '"
	asDirectory  = "': must build at directory:"
)

// absent is how the library names a file that is not there.
var absent = regexp.MustCompile(`^evalsymlink failure on .* : lstat (.*): no such file or directory$`)

// plain cuts an error of the library's down to its first cause.
func plain(err error) error {
	text := err.Error()
	i := strings.LastIndex(strings.SplitN(text, asDirectory, 2)[0], accumulating)
	if i < 0 {
		return err
	}
	name, cause, _ := strings.Cut(text[i+len(accumulating):], "': ")
	cause, _, _ = strings.Cut(cause, asDirectory)
	if m := absent.FindStringSubmatch(cause); m != nil {
		cause = "there is no " + short(m[1])
	}
	return fmt.Errorf("resources: %s: %s", name, cause)
}

// short is a path relative to the present folder, if it lies in it.
func short(path string) string {
	here, err := os.Getwd()
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(here, path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}

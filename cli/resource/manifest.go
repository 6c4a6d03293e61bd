// Package resource resolves what the user named (types and names, selectors, files, directories,
// URLs) into objects on the server, and back.
package resource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"skiff/cli/chart"
	"skiff/cli/kustomization"
)

// Files says where manifests are: files, directories, URLs, patterns, Helm charts, or "-" for standard
// input.
type Files struct {
	Names []string
	// Recursive goes into the directories of a directory.
	Recursive bool
	// Kustomization is a directory, or the address of one, whose kustomization is built; "" for none. It is
	// among the Names too.
	Kustomization string
	// Build has the kustomization of any other directory built as well, rather than refused.
	Build bool
	// Chart is what charts among the files are rendered with.
	Chart chart.Options
	// Remark is told what is worth knowing about the files; nil for nobody.
	Remark func(string)
}

// Rendered reports whether a program makes the objects of one of the files at least: a chart, or a
// kustomization.
func (f Files) Rendered() bool {
	return slices.ContainsFunc(f.Names, func(name string) bool { return name == f.Kustomization || chart.Is(name) || kustomization.Is(name) })
}

// Manifest is one object as it was written.
type Manifest struct {
	// Source is the file or URL it came from.
	Source string
	// Folder is the absolute one to which paths in the manifest are relative: that of its file, kustomization or chart,
	// or the present one for standard input. It is "" for what comes from elsewhere, and has no business with files here.
	Folder string
	Object *unstructured.Unstructured
	position
}

// Where names the file and the line on which the object begins: "kubia.yaml:12".
func (m Manifest) Where() string {
	if m.document == nil {
		return m.Source
	}
	return fmt.Sprintf("%s:%d", m.Source, m.line())
}

// extensions are the files of a directory that are read; a file named by itself may have any name.
var extensions = []string{".json", ".yaml", ".yml"}

// Reader reads manifests.
type Reader struct {
	In io.Reader
	// HTTP fetches URLs; nil for the usual client.
	HTTP *http.Client
	// Namespace is that of charts' releases, "" for the default one.
	Namespace string
}

// Read returns every object in the files, in order, with lists expanded. It also returns the
// objects before a fault, and those in other files, beside the error.
func (r Reader) Read(ctx context.Context, f Files) ([]Manifest, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	var out []Manifest
	var errs []error
	for _, name := range f.Names {
		docs, err := r.readName(ctx, name, f)
		out = append(out, docs...)
		if err != nil {
			errs = append(errs, err)
		}
	}
	return out, join(errs)
}

func (f Files) check() error {
	stdin := 0
	for _, name := range slices.Concat(f.Names, f.Chart.Values) {
		if name == "-" {
			stdin++
		}
	}
	switch {
	case stdin > 1:
		return errors.New("standard input cannot be used for multiple arguments")
	case f.Kustomization != "" && len(f.Names) > 1:
		return errors.New("only one of -f or -k can be specified")
	case f.Chart.Given() && !slices.ContainsFunc(f.Names, chart.Is):
		return errors.New("--values, --set and --release are for Helm charts, and none of the files is one")
	}
	return nil
}

func (r Reader) readName(ctx context.Context, name string, f Files) ([]Manifest, error) {
	switch {
	case name == f.Kustomization:
		return readKustomization(ctx, name)
	case name == "-":
		return within(".")(decodeAll("STDIN", r.In))
	case chart.Is(name):
		return r.readChart(ctx, name, f)
	case strings.HasPrefix(name, "http://"), strings.HasPrefix(name, "https://"):
		return r.readURL(ctx, name)
	}
	paths := []string{name}
	if _, err := os.Stat(name); err != nil && strings.ContainsAny(name, "*?[") {
		if paths, err = filepath.Glob(name); err != nil {
			return nil, fmt.Errorf("pattern %q is not valid: %w", name, err)
		}
		if len(paths) == 0 {
			return nil, fmt.Errorf("the path %q does not exist", name)
		}
	}
	var out []Manifest
	var errs []error
	for _, p := range paths {
		docs, err := readPath(ctx, p, f)
		out = append(out, docs...)
		errs = append(errs, err)
	}
	return out, join(errs)
}

// readPath reads a file, or the manifests of a directory in the order of their names. A directory with a
// kustomization is more than the sum of its files.
func readPath(ctx context.Context, path string, f Files) ([]Manifest, error) {
	if kustomization.Is(path) {
		if f.Build {
			return readKustomization(ctx, path)
		}
		return nil, fmt.Errorf("%s is a kustomization: name it with -k %[1]s instead of -f", path)
	}
	files, err := manifestFiles(path, f.Recursive)
	if err != nil {
		return nil, err
	}
	var out []Manifest
	var errs []error
	for _, file := range files {
		docs, err := readFile(file)
		out = append(out, docs...)
		errs = append(errs, err)
	}
	return out, join(errs)
}

func manifestFiles(path string, recursive bool) ([]string, error) {
	var files []string
	err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && p != path && !recursive:
			return filepath.SkipDir
		case d.IsDir():
			return nil
		case p == path || slices.Contains(extensions, filepath.Ext(p)):
			files = append(files, p)
		}
		return nil
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("the path %q does not exist", path)
	case err != nil:
		return nil, fmt.Errorf("the path %q cannot be accessed: %w", path, err)
	case len(files) == 0:
		return nil, fmt.Errorf("error reading [%s]: recognized file extensions are %v", path, extensions)
	}
	return files, nil
}

func readFile(path string) ([]Manifest, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return within(filepath.Dir(path))(decodeAll(path, f))
}

// within notes the folder of manifests that have been read.
func within(folder string) func([]Manifest, error) ([]Manifest, error) {
	return func(all []Manifest, err error) ([]Manifest, error) {
		absolute, unknown := filepath.Abs(folder)
		if unknown != nil {
			return nil, fmt.Errorf("finding the folder %s: %w", folder, unknown)
		}
		for i := range all {
			all[i].Folder = absolute
		}
		return all, err
	}
}

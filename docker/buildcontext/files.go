package buildcontext

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// Ignored are the patterns of DOCKERFILE.dockerignore, or else of .dockerignore.
type Ignored struct {
	matcher    *patternmatcher.PatternMatcher
	dockerfile string
}

// Ignored reads what the context's files are left out by.
func (s *Spec) Ignored() (*Ignored, error) {
	patterns, err := s.patterns()
	if err != nil {
		return nil, err
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		return nil, fmt.Errorf("reading .dockerignore: %w", err)
	}
	return &Ignored{matcher: matcher, dockerfile: s.DockerfileName()}, nil
}

func (s *Spec) patterns() ([]string, error) {
	for _, name := range []string{s.DockerfileName() + ".dockerignore", ".dockerignore"} {
		text, err := os.ReadFile(filepath.Join(s.Context, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return ignorefile.ReadAll(bytes.NewReader(text))
	}
	return nil, nil
}

// Skips reports whether a path, relative to the context, is left out. The builder needs its Dockerfile
// whatever is ignored.
func (i *Ignored) Skips(rel string) (bool, error) {
	rel = filepath.ToSlash(rel)
	if rel == i.dockerfile {
		return false, nil
	}
	return i.matcher.MatchesOrParentMatches(rel)
}

// Prunes reports whether nothing of a folder that is left out can be in the build after all.
func (i *Ignored) Prunes(rel string) bool {
	return !i.matcher.Exclusions() && !strings.HasPrefix(i.dockerfile, filepath.ToSlash(rel)+"/")
}

// Files are the paths of what is sent to the builder, relative to the context and in order.
func (s *Spec) Files() ([]string, error) {
	ignored, err := s.Ignored()
	if err != nil {
		return nil, err
	}
	root, err := filepath.EvalSymlinks(s.Context)
	if err != nil {
		return nil, fmt.Errorf("reading the build's context: %w", err)
	}
	var out []string
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		skip, err := ignored.Skips(rel)
		switch {
		case err != nil:
			return err
		case skip && d.IsDir() && ignored.Prunes(rel):
			return filepath.SkipDir
		case !skip:
			out = append(out, rel)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the build's context: %w", err)
	}
	if s.Inline == "" && !slices.Contains(out, filepath.FromSlash(s.DockerfileName())) {
		return nil, fmt.Errorf("there is no %s in %s", s.DockerfileName(), s.Context)
	}
	return out, nil
}

// Package watch follows the files that an application is made of, and carries changes into its running
// containers: it copies them there, runs a command, replaces pods, or builds the image anew.
package watch

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/patternmatcher"

	"skiff/cli/develop"
	"skiff/docker/buildcontext"
)

// ephemeral are files that editors and version control make and remove, and that no application is made of.
var ephemeral = []string{"**/.git", "**/*~", "**/.#*", "**/#*#", "**/.*.sw[a-z]", "**/*.sw[a-z]", "**/*.tmp.*", "**/4913", "**/.DS_Store", "**/___jb_*___", "**/.idea"}

// matcher decides which rules of a subject a path is a case of.
type matcher struct {
	rules []ruleMatcher
	// context is the folder of the build, out of which ignored leaves files; "" where nothing is built.
	context string
	ignored *buildcontext.Ignored
	noise   *patternmatcher.PatternMatcher
}

type ruleMatcher struct {
	develop.Rule
	ignore, include *patternmatcher.PatternMatcher
	// folder reports whether Path is one.
	folder bool
}

func newMatcher(s develop.Subject) (*matcher, error) {
	m := &matcher{}
	var err error
	if m.noise, err = patternmatcher.New(ephemeral); err != nil {
		return nil, err
	}
	if s.Recipe != nil {
		m.context = s.Recipe.Context
		if m.ignored, err = s.Recipe.Ignored(); err != nil {
			return nil, err
		}
	}
	for _, r := range s.Rules {
		info, err := os.Stat(r.Path)
		if err != nil {
			return nil, fmt.Errorf("watching for %s: %w", s.Service, err)
		}
		rm := ruleMatcher{Rule: r, folder: info.IsDir()}
		if rm.ignore, err = patternmatcher.New(r.Ignore); err == nil && len(r.Include) > 0 {
			rm.include, err = patternmatcher.New(r.Include)
		}
		if err != nil {
			return nil, fmt.Errorf("reading the patterns of what is watched for %s: %w", s.Service, err)
		}
		m.rules = append(m.rules, rm)
	}
	return m, nil
}

// applies reports whether a path is a case of a rule, and where it is relative to the rule's path.
func (m *matcher) applies(r *ruleMatcher, name string) (rel string, ok bool) {
	rel, inside := relative(r.Path, name)
	if !inside || rel == "." && r.folder {
		return "", false
	}
	if m.left(name) || matches(m.noise, rel) || rel != "." && matches(r.ignore, rel) {
		return "", false
	}
	return rel, r.include == nil || rel == "." || matches(r.include, rel)
}

// left reports whether a path is left out of the build.
func (m *matcher) left(name string) bool {
	rel, inside := relative(m.context, name)
	if m.ignored == nil || !inside || rel == "." {
		return false
	}
	skips, err := m.ignored.Skips(rel)
	return skips && err == nil
}

// prunes reports whether nothing in a folder can be a case of any rule, so that it need not be watched.
func (m *matcher) prunes(dir string) bool {
	return !slices.ContainsFunc(m.rules, func(r ruleMatcher) bool {
		rel, inside := relative(r.Path, dir)
		switch {
		case !inside:
			_, above := relative(dir, r.Path)
			return above
		case rel == ".":
			return true
		case matches(m.noise, rel), matches(r.ignore, rel) && !r.ignore.Exclusions():
			return false
		}
		inContext, within := relative(m.context, dir)
		return !m.left(dir) || !within || !m.ignored.Prunes(inContext)
	})
}

// relative is a path relative to a folder, and whether it is that or in it.
func relative(base, name string) (string, bool) {
	if base == "" {
		return "", false
	}
	rel, err := filepath.Rel(base, name)
	return filepath.ToSlash(rel), err == nil && filepath.IsLocal(rel)
}

// matches reports whether a pattern matches a path or a folder above it; one that can't be asked does not.
func matches(m *patternmatcher.PatternMatcher, rel string) bool {
	ok, err := m.MatchesOrParentMatches(rel)
	return ok && err == nil
}

// Work is what changes ask for.
type Work struct {
	// Files are the paths of files here, by where they are copied to in the container.
	Files            map[string]string
	Rebuild, Restart bool
	Exec             [][]string
}

func (w *Work) empty() bool { return len(w.Files) == 0 && !w.Rebuild && !w.Restart && len(w.Exec) == 0 }

// plan is what the changes of some paths ask for, in the order of the rules.
func (m *matcher) plan(paths []string) Work {
	w := Work{Files: map[string]string{}}
	for i := range m.rules {
		r := &m.rules[i]
		hit := false
		for _, name := range paths {
			rel, ok := m.applies(r, name)
			if !ok {
				continue
			}
			hit = true
			if r.Action.Syncs() {
				w.Files[r.to(rel)] = name
			}
		}
		if !hit {
			continue
		}
		w.Rebuild = w.Rebuild || r.Action == develop.Rebuild
		w.Restart = w.Restart || r.Action == develop.Restart || r.Action == develop.SyncRestart
		if r.Action == develop.SyncExec {
			w.Exec = append(w.Exec, r.Exec)
		}
	}
	return w
}

// to is where in the container a file is copied to.
func (r *ruleMatcher) to(rel string) string {
	if rel != "." {
		return path.Join(r.Target, rel)
	}
	if strings.HasSuffix(r.Target, "/") {
		return path.Join(r.Target, filepath.Base(r.Path))
	}
	return path.Clean(r.Target)
}

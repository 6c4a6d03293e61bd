package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// spec is one conformance spec.
type spec struct {
	name string
	file string // of upstream's sources
}

var groupName = regexp.MustCompile(`^\[(sig-[a-z-]+)\]`)

// group is the special interest group that owns the spec, as sig-apps.
func (s spec) group() string {
	if m := groupName.FindStringSubmatch(s.name); m != nil {
		return m[1]
	}
	return "none"
}

// result is what came of a spec that was run.
type result struct {
	passed  bool
	took    time.Duration
	message string // why it failed, in one line
	// attempts is how often it was tried; 0 and 1 are once.
	attempts int
}

// results hold the specs that were run, by name.
type results map[string]result

// fallen are the names among those given whose specs were run and did not pass.
func (r results) fallen(names []listed) []string {
	var out []string
	for _, l := range names {
		if one, tried := r[l.name]; tried && !one.passed {
			out = append(out, l.name)
		}
	}
	return out
}

// unsteady are the specs that did not pass at once.
func (r results) unsteady() []string {
	var out []string
	for name, one := range r {
		if one.passed && one.attempts > 1 {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// report is what ginkgo writes with --json-report (github.com/onsi/ginkgo/v2/types.Report), as far
// as it is needed.
type report []struct {
	SpecReports []struct {
		ContainerHierarchyTexts []string
		LeafNodeType            string
		LeafNodeText            string
		LeafNodeLocation        struct{ FileName string }
		State                   string
		RunTime                 time.Duration
		NumAttempts             int
		Failure                 struct{ Message string }
	}
}

func readReport(file string) (report, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var r report
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	return r, nil
}

// each calls f with every spec that was not skipped.
func (r report) each(f func(spec, result)) {
	for _, suite := range r {
		for _, s := range suite.SpecReports {
			if s.LeafNodeType != "It" || s.State == "skipped" || s.State == "pending" {
				continue
			}
			_, file, _ := strings.Cut(s.LeafNodeLocation.FileName, "/test/e2e/")
			message, _, _ := strings.Cut(strings.TrimSpace(s.Failure.Message), "\n")
			f(spec{strings.Join(append(s.ContainerHierarchyTexts, s.LeafNodeText), " "), "test/e2e/" + file},
				result{s.State == "passed", s.RunTime, message, s.NumAttempts})
		}
	}
}

func (r report) specs() []spec {
	var out []spec
	r.each(func(s spec, _ result) { out = append(out, s) })
	slices.SortFunc(out, func(a, b spec) int { return cmp.Compare(a.name, b.name) })
	return out
}

func (r report) results() results {
	out := results{}
	r.each(func(s spec, got result) { out[s.name] = got })
	return out
}

// choose picks the specs that the options ask for. A list that names a spec which does not exist is
// an error.
func choose(all []spec, o options) ([]spec, error) {
	focus, err := regexp.Compile(o.focus)
	if err != nil {
		return nil, err
	}
	skip, err := regexp.Compile(cmp.Or(o.skip, "^$"))
	if err != nil {
		return nil, err
	}
	wanted := map[string]bool{}
	if o.list != "" {
		names, err := readList(o.list)
		if err != nil {
			return nil, err
		}
		for _, l := range names {
			if !slices.ContainsFunc(all, func(s spec) bool { return s.name == l.name }) {
				return nil, fmt.Errorf("%s: %s has no conformance spec %q", filepath.Base(o.list), o.version, l.name)
			}
			wanted[l.name] = true
		}
	}
	var out []spec
	for _, s := range all {
		if (o.group == "" || s.group() == o.group) && (o.list == "" || wanted[s.name]) && focus.MatchString(s.name) && !skip.MatchString(s.name) {
			out = append(out, s)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("none of the %d specs is chosen", len(all))
	}
	return out, nil
}

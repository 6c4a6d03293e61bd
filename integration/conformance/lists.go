package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	passingFile = "passing.txt"
	failingFile = "failing.txt"
)

// unexplained is the heading of specs that failed and whose cause nobody has written down.
const unexplained = "Not looked into yet"

// listed is a spec in a list, with the heading it is under.
type listed struct{ heading, name string }

// readList reads a list of specs: names one a line, headings that begin with "## ", comments with
// "#". A file that is not there is an empty list.
func readList(file string) ([]listed, error) {
	raw, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseList(string(raw)), nil
}

func parseList(text string) []listed {
	var out []listed
	heading := ""
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if h, ok := strings.CutPrefix(line, "## "); ok {
			heading = h
		} else if line != "" && !strings.HasPrefix(line, "#") {
			out = append(out, listed{heading, line})
		}
	}
	return out
}

// formatList writes a list that parseList reads, sorted, after a comment.
func formatList(comment string, list []listed) string {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b listed) int { return cmp.Or(cmp.Compare(a.heading, b.heading), cmp.Compare(a.name, b.name)) })
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n", comment)
	for i, l := range list {
		if i == 0 || l.heading != list[i-1].heading {
			fmt.Fprintf(&b, "\n## %s\n", l.heading)
		}
		fmt.Fprintln(&b, l.name)
	}
	return b.String()
}

// merge brings the two lists up to what a run has found. What was not run stays where it was; a
// spec that fails keeps the reason it failed for before.
func merge(specs []spec, r results, passing, failing []listed) (nowPassing, nowFailing []listed) {
	was := map[string]string{} // a failing spec's heading
	for _, l := range failing {
		was[l.name] = l.heading
	}
	passed := map[string]bool{}
	for _, l := range passing {
		passed[l.name] = true
	}
	for _, s := range specs {
		if one, tried := r[s.name]; tried {
			passed[s.name] = one.passed
			if !one.passed {
				was[s.name] = cmp.Or(was[s.name], unexplained)
			}
		}
		if passed[s.name] {
			nowPassing = append(nowPassing, listed{s.group(), s.name})
		} else if why := was[s.name]; why != "" {
			nowFailing = append(nowFailing, listed{why, s.name})
		}
	}
	return nowPassing, nowFailing
}

// unlisted are the specs that are in neither of the two files in dir.
func unlisted(dir string, specs []spec) ([]spec, error) {
	known := map[string]bool{}
	for _, file := range []string{passingFile, failingFile} {
		list, err := readList(filepath.Join(dir, file))
		if err != nil {
			return nil, err
		}
		for _, l := range list {
			known[l.name] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(specs), func(s spec) bool { return known[s.name] }), nil
}

// updateLists merges a run into the two files in dir.
func updateLists(dir string, specs []spec, r results) error {
	passing, err := readList(filepath.Join(dir, passingFile))
	if err != nil {
		return err
	}
	failing, err := readList(filepath.Join(dir, failingFile))
	if err != nil {
		return err
	}
	passing, failing = merge(specs, r, passing, failing)
	if err := os.WriteFile(filepath.Join(dir, passingFile), []byte(formatList(fmt.Sprintf(
		"The %d of %d conformance specs that pass, by group. Written by `go run . -update`.", len(passing), len(specs)), passing)), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, failingFile), []byte(formatList(fmt.Sprintf(
		"The %d of %d conformance specs that do not pass, by reason. Written by `go run . -update`, which keeps the reasons.", len(failing), len(specs)),
		failing)), 0o644)
}

package env

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// fileKey is a variable in a file that another container of the pod has written.
func (e *environment) fileKey(ref *corev1.FileKeySelector) (string, bool, error) {
	optional := ptr.Deref(ref.Optional, false)
	content, err := e.sources.File(e.pod, ref.VolumeName, ref.Path)
	if errors.Is(err, fs.ErrNotExist) && optional {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("couldn't read env file %q: %w", ref.Path, err)
	}
	value, err := parseFile(string(content), ref.Key)
	if err != nil {
		return "", false, fmt.Errorf("couldn't parse env file %q: %w", ref.Path, err)
	}
	if value == "" && !optional {
		return "", false, fmt.Errorf("environment variable key %q not found in file %q", ref.Key, ref.Path)
	}
	return value, value != "", nil
}

// parseFile returns the value of a variable in a file of variables, empty if it is not there. The
// file is in the part of the shell's syntax that kubelet reads: lines of NAME='value', where the
// value may go on over several lines and holds no single quote, empty lines, and comments
// (k8s.io/kubernetes/pkg/kubelet/util/env/env_util.go). As there, only what is before the variable
// is checked.
func parseFile(content, key string) (string, error) {
	for line := 1; content != ""; {
		text, rest, _ := strings.Cut(content, "\n")
		text = strings.TrimLeft(strings.TrimSuffix(text, "\r"), " \t")
		if text == "" || text[0] == '#' {
			content, line = rest, line+1
			continue
		}
		name, _, found := strings.Cut(text, "=")
		switch {
		case !found:
			return "", fmt.Errorf("line %d: missing '='", line)
		case name == "":
			return "", fmt.Errorf("line %d: no name before '='", line)
		case name != strings.TrimRight(name, " \t"):
			return "", fmt.Errorf("line %d: white space before '='", line)
		}
		_, after, _ := strings.Cut(content, "=")
		value, remaining, err := fileValue(after)
		if err != nil {
			return "", fmt.Errorf("line %d: %w", line, err)
		}
		if name == key {
			return value, nil
		}
		line += strings.Count(content[:len(content)-len(remaining)], "\n")
		content = remaining
	}
	return "", nil
}

// fileValue reads a value in single quotes, and returns what follows its last line. A value after
// white space is empty, as it is for a shell.
func fileValue(text string) (value, rest string, err error) {
	if text != "" && (text[0] == ' ' || text[0] == '\t') {
		_, rest, _ = strings.Cut(text, "\n")
		return "", rest, nil
	}
	quoted, ok := strings.CutPrefix(text, "'")
	if !ok {
		return "", "", errors.New("the value is not in single quotes")
	}
	value, rest, closed := strings.Cut(quoted, "'")
	if !closed {
		return "", "", errors.New("the single quote is not closed")
	}
	end, rest, _ := strings.Cut(rest, "\n")
	if end = strings.TrimSpace(end); end != "" && end[0] != '#' {
		return "", "", errors.New("text after the closing quote")
	}
	return value, rest, nil
}

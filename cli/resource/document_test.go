package resource

import (
	"strconv"
	"strings"
	"testing"
)

// TestLines: a fault is named by its line of the file, whatever stands before it.
func TestLines(t *testing.T) {
	before := "# Two documents come before the faulty one.\n" + pod + "a\n---\n\n# the second\n" + pod + "b\n--- # the third\n"
	tests := []struct {
		name, text string
		// line is that of the fault within text.
		line int
		want string
	}{
		{"scanner", "a: b\nc:\n\td: e\n", 3, "found character that cannot start any token"},
		{"scanner, first line", "\ta: b\n", 1, "found character that cannot start any token"},
		{"parser", "a:\n  b: c\n d: e\n", 3, "did not find expected key"},
		{"parser, in a list", "a:\n  - b: c\n    d: e\n  f: g\n", 4, "did not find expected '-' indicator"},
		{"parser, flow style", "a: [1, 2\nb: c\n", 2, "did not find expected ',' or ']'"},
		{"parser, at the end", "a: b\nc: [1,", 2, "did not find expected node content"},
		{"key twice", pod + "a\n  name: b\n", 5, `key "name" already set in map`},
		{"no object", "\n# nothing yet\n- a\n", 3, "a document must be an object"},
		{"JSON, key twice", "{\"apiVersion\": \"v1\", \"kind\": \"Pod\"}\n\n{\"kind\": \"Pod\", \"kind\": \"Pod\"}\n", 3, `duplicate field "kind"`},
		{"JSON, cut off", "{\"apiVersion\": \"v1\",\n \"kind\": \"Pod\"}\n{\"kind\":", 3, "unexpected EOF"},
		{"JSON, a fault", "{\"apiVersion\": \"v1\",\n \"kind\": \"Pod\"}\n{\"kind\":\n\n oops}\n{}\n", 5, "invalid character 'o' looking for beginning of value"},
		{"list", "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod}\n- 1\n", 5, "items[1] is not an object"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, ending := range []string{"\n", "\r\n"} {
				for _, prefix := range []string{"", before} {
					file := strings.ReplaceAll(prefix+test.text, "\n", ending)
					_, err := decodeAll("f", strings.NewReader(file))
					line := lineText(strings.Count(prefix, "\n") + test.line)
					if err == nil || !strings.Contains(err.Error(), line+": "+test.want) {
						t.Errorf("got %v; want %s: %s in\n%q", err, line, test.want, file)
					}
				}
			}
		})
	}
}

// TestWhere: each object knows the line on which it begins.
func TestWhere(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"documents", "\n# first\n" + pod + "a\n---\n" + pod + "b\n---\n---\n\n# c\n\n" + pod + "c\n...\n" + pod + "d\n", "a:3 b:8 c:17 d:22"},
		{"a marker with content", pod + "a\n--- {apiVersion: v1, kind: Pod, metadata: {name: b}}\n", "a:1 b:5"},
		{"no marker", "---a: b\n" + pod + "a\n", "a:1"},
		{"JSON", "\n{\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"metadata\": {\"name\": \"a\"}}\n\n  {\"apiVersion\": \"v1\",\n\"kind\": \"Pod\", \"metadata\": {\"name\": \"b\"}}", "a:2 b:4"},
		{"list", "---\n# all\napiVersion: v1\nkind: List\nitems:\n# one\n- apiVersion: v1\n  kind: Pod\n  metadata: {name: a}\n-\n  apiVersion: v1\n  kind: PodList\n  items:\n  - {apiVersion: v1, kind: Pod, metadata: {name: b}}\n", "a:7 b:14"},
		{"JSON list", "{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [\n\t{\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"metadata\": {\"name\": \"a\"}},\n\t{\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"metadata\": {\"name\": \"b\"}}]}", "a:2 b:3"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			all, err := decodeAll("f", strings.NewReader(test.text))
			var got []string
			for _, m := range all {
				got = append(got, strings.Replace(m.Where(), "f", m.Object.GetName(), 1))
			}
			if err != nil || strings.Join(got, " ") != test.want {
				t.Errorf("got %q, %v; want %q", got, err, test.want)
			}
		})
	}
}

func lineText(n int) string { return "line " + strconv.Itoa(n) }

package env

import (
	"fmt"
	"testing"

	"skiff/orchestrator/node/internal/podtest"
)

func TestParseFile(t *testing.T) {
	for _, c := range []struct{ name, content, key, want string }{
		{"plain", "A='1'\nB='2'\n", "B", "2 <nil>"},
		{"no newline at the end", "A='1'", "A", "1 <nil>"},
		{"white space before the name, empty lines, comments", "\n  # A='0'\n\n \t A='1' # one\n", "A", "1 <nil>"},
		{"taken as it is", `A='$B \n "x"'`, "A", `$B \n "x" <nil>`},
		{"several lines", "A='1\n# 2\n3'\nB='4'", "A", "1\n# 2\n3 <nil>"},
		{"behind several lines", "A='1\nB=2\n3'\nB='4'", "B", "4 <nil>"},
		{"empty", "A=''\n", "A", " <nil>"},
		{"white space behind the sign", "A= '1'\nB='2'\n", "A", " <nil>"},
		{"white space behind another's sign", "A= '1'\nB='2'\n", "B", "2 <nil>"},
		{"not there", "A='1'\n", "B", " <nil>"},
		{"part of a name", "AB='1'\nB='2'\n", "B", "2 <nil>"},
		{"not quoted", "A=1\n", "A", " line 1: the value is not in single quotes"},
		{"double quotes", "\nA=\"1\"\n", "A", " line 2: the value is not in single quotes"},
		{"never closed", "A='1\n\nB=2\n", "A", " line 1: the single quote is not closed"},
		{"text behind the quote", "A='1'2\n", "A", " line 1: text after the closing quote"},
		{"no sign", "B='1\n'\nA\n", "A", " line 3: missing '='"},
		{"no name", "='1'\n", "A", " line 1: no name before '='"},
		{"white space before the sign", "A ='1'\n", "A", " line 1: white space before '='"},
		{"wrong behind the variable", "A='1'\nB\n", "A", "1 <nil>"},
	} {
		t.Run(c.name, func(t *testing.T) {
			value, err := parseFile(c.content, c.key)
			if got := fmt.Sprint(value, " ", err); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestVariablesFromFiles(t *testing.T) {
	objects := podtest.NewObjects()
	objects.Files = map[string]string{"v/vars": "A='1'\n", "v/bad": "A=1\n"}
	for _, c := range []struct{ ref, want string }{
		{`{volumeName: v, path: vars, key: A}`, "map[X:1] <nil>"},
		{`{volumeName: v, path: vars, key: B}`, `map[] environment variable key "B" not found in file "vars"`},
		{`{volumeName: v, path: vars, key: B, optional: true}`, "map[] <nil>"},
		{`{volumeName: v, path: none, key: A}`, `map[] couldn't read env file "none": file does not exist`},
		{`{volumeName: v, path: none, key: A, optional: true}`, "map[] <nil>"},
		{`{volumeName: v, path: bad, key: A, optional: true}`, `map[] couldn't parse env file "bad": line 1: the value is not in single quotes`},
	} {
		pod := podtest.Pod(t, `{enableServiceLinks: false, containers: [{name: c, env: [{name: X, valueFrom: {fileKeyRef: `+c.ref+`}}]}], volumes: [{name: v, emptyDir: {}}]}`)
		vars, err := Variables(pod, &pod.Spec.Containers[0], Facts{}, objects)
		if got := fmt.Sprint(vars, " ", err); got != c.want {
			t.Errorf("%s: %s, want %s", c.ref, got, c.want)
		}
	}
}

package integration

import (
	"path"
	"strings"
	"testing"
)

// matches compares what was printed with what was expected, line by line and word by word: columns
// may be wider, and a word of the expectation may hold wildcards as in path.Match. A last word "…"
// stands for any number of words, and a line "..." stands for any number of lines.
func matches(t *testing.T, got, want string) {
	t.Helper()
	if !linesMatch(lines(got), lines(want)) {
		t.Fatalf("got:\n%s\nwant:\n%s", got, want)
	}
}

func lines(text string) []string {
	text = strings.Trim(text, "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

func linesMatch(got, want []string) bool {
	if len(want) == 0 {
		return len(got) == 0
	}
	if strings.TrimSpace(want[0]) == "..." {
		for skip := 0; skip <= len(got); skip++ {
			if linesMatch(got[skip:], want[1:]) {
				return true
			}
		}
		return false
	}
	return len(got) > 0 && wordsMatch(strings.Fields(got[0]), strings.Fields(want[0])) && linesMatch(got[1:], want[1:])
}

func wordsMatch(got, want []string) bool {
	if n := len(want); n > 0 && want[n-1] == "…" && len(got) >= n-1 {
		got, want = got[:n-1], want[:n-1]
	}
	if len(got) != len(want) {
		return false
	}
	for i := range want {
		pattern := strings.NewReplacer("[", "\\[", "]", "\\]", "/", "|").Replace(want[i])
		if ok, err := path.Match(pattern, strings.ReplaceAll(got[i], "/", "|")); err != nil || !ok {
			return false
		}
	}
	return true
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		got, want string
		ok        bool
	}{
		{"NAME   AGE\nkubia-abcde   3s\n", "NAME AGE\nkubia-????? *\n", true},
		{"NAME   AGE\nkubia-abcde   3s\n", "NAME AGE\nkubia-???? *\n", false},
		{"a\nb\nc\n", "a\n...\nc", true},
		{"a\nb\nc\n", "a\n...\nd", false},
		{"a\n", "a\nb\n", false},
		{"a\nb\n", "a\n", false},
		{"pod/x created", "pod/? created", true},
		{"x [1]", "x [1]", true},
		{"a b c", "a …", true},
		{"a b c", "b …", false},
	} {
		if got := linesMatch(lines(c.got), lines(c.want)); got != c.ok {
			t.Errorf("%q against %q: %v", c.got, c.want, got)
		}
	}
}

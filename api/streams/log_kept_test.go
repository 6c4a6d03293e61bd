package streams

import (
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestCutLog(t *testing.T) {
	const text = "2026-01-01T00:00:01.5Z one\n2026-01-01T00:00:02Z two\nno time\n2026-01-01T00:00:03Z three"
	now := time.Date(2026, 1, 1, 0, 0, 4, 0, time.UTC)
	for query, want := range map[string]string{
		"":                               "one\ntwo\nno time\nthree",
		"timestamps=true&tailLines=1":    "2026-01-01T00:00:03Z three",
		"tailLines=2":                    "no time\nthree",
		"tailLines=0":                    "",
		"tailLines=9":                    "one\ntwo\nno time\nthree",
		"limitBytes=5":                   "one\nt",
		"sinceSeconds=2":                 "two\nno time\nthree",
		"sinceTime=2026-01-01T00:00:03Z": "no time\nthree",
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		o, err := keptOptions(values)
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		if got := string(cutLog([]byte(text), o, now)); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	for query, want := range map[string]string{
		"tailLines=x":    `tailLines: "x" is no number`,
		"sinceTime=noon": "sinceTime: ",
		"previous=true":  "previous: ",
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := keptOptions(values); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", query, err)
		}
	}
}

package report

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Write writes report.html, report.json and junit.xml to a folder, which is made if need be.
func (r *Report) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making the report's folder: %w", err)
	}
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encoding the report: %w", err)
	}
	junit, err := r.junit()
	if err != nil {
		return fmt.Errorf("encoding the report: %w", err)
	}
	html, err := r.page()
	if err != nil {
		return fmt.Errorf("making the report's page: %w", err)
	}
	var errs []error
	for name, text := range map[string][]byte{"report.html": html, "report.json": append(data, '\n'), "junit.xml": junit} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			errs = append(errs, fmt.Errorf("writing the report: %w", err))
		}
	}
	return errors.Join(errs...)
}

// suite, testCase and fault are JUnit's elements, as CI servers read them.
type suite struct {
	XMLName  xml.Name   `xml:"testsuite"`
	Name     string     `xml:"name,attr"`
	Tests    int        `xml:"tests,attr"`
	Failures int        `xml:"failures,attr"`
	Time     string     `xml:"time,attr"`
	Stamp    string     `xml:"timestamp,attr"`
	Cases    []testCase `xml:"testcase"`
}

type testCase struct {
	Class   string `xml:"classname,attr"`
	Name    string `xml:"name,attr"`
	Time    string `xml:"time,attr"`
	Failure *fault `xml:"failure,omitempty"`
	Out     string `xml:"system-out,omitempty"`
}

type fault struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// junit has a case for each workload, and one for the whole, which fails if anything did.
func (r *Report) junit() ([]byte, error) {
	s := suite{Name: r.Title, Time: seconds(r.Ended.Sub(r.Began).Seconds()), Stamp: r.Began.UTC().Format("2006-01-02T15:04:05")}
	for _, w := range r.Workloads {
		c := testCase{Class: r.Title + "." + w.Namespace, Name: strings.ToLower(w.Kind) + "/" + w.Name, Out: r.logsOf(w)}
		ended := r.Ended
		if w.Done != nil {
			ended = *w.Done
		}
		c.Time = seconds(ended.Sub(w.Began).Seconds())
		if !w.Ready {
			c.Failure = &fault{Message: w.State, Text: r.warningsOf(w)}
		}
		s.Cases = append(s.Cases, c)
	}
	whole := testCase{Class: r.Title, Name: "up", Time: s.Time}
	if !r.Passed {
		first, _, _ := strings.Cut(r.Message, "\n")
		whole.Failure = &fault{Message: printable(first), Text: printable(r.Message)}
	}
	s.Cases = append(s.Cases, whole)
	s.Tests = len(s.Cases)
	for _, c := range s.Cases {
		if c.Failure != nil {
			s.Failures++
		}
	}
	text, err := xml.MarshalIndent(s, "", "  ")
	return append([]byte(xml.Header), append(text, '\n')...), err
}

func seconds(s float64) string { return fmt.Sprintf("%.3f", s) }

// podsOf are the pods of a workload.
func (r *Report) podsOf(w *Workload) []*Pod {
	name := strings.ToLower(w.Kind) + "/" + w.Name
	return slices.DeleteFunc(slices.Clone(r.Pods), func(p *Pod) bool { return p.Namespace != w.Namespace || p.Owner != name })
}

func (r *Report) logsOf(w *Workload) string {
	var b strings.Builder
	for _, p := range r.podsOf(w) {
		for _, c := range p.Containers {
			if c.Log != "" {
				fmt.Fprintf(&b, "== pod/%s %s ==\n%s", p.Name, c.Name, c.Log)
			}
		}
	}
	return printable(b.String())
}

func (r *Report) warningsOf(w *Workload) string {
	pods := r.podsOf(w)
	var b strings.Builder
	for _, e := range r.Events {
		of := strings.ToLower(w.Kind)+"/"+w.Name == e.Of || slices.ContainsFunc(pods, func(p *Pod) bool { return p.UID == e.UID })
		if e.Warning() && of {
			fmt.Fprintf(&b, "%s: %s: %s\n", e.Of, e.Reason, e.Message)
		}
	}
	return printable(b.String())
}

// printable leaves out what XML has no way to say.
func printable(text string) string {
	return strings.Map(func(c rune) rune {
		if c == '\t' || c == '\n' || c >= ' ' && c != 0xFFFE && c != 0xFFFF {
			return c
		}
		return -1
	}, text)
}

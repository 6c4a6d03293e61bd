package diagnosis

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"skiff/cli/command"
)

// Report is what is known of one object: what is wrong with it, why, what comes next and what to do.
type Report struct {
	// Object is pod/kubia-x2x4f.
	Object    string `json:"object"`
	Namespace string `json:"namespace,omitempty"`
	// Wrong reports whether there is something to mend.
	Wrong bool `json:"wrong"`
	// State follows Object in a sentence: "is not ready: …".
	State string `json:"state"`
	// Wanted is who wants the object and who made it, from the top.
	Wanted []string `json:"wanted,omitempty"`
	// Causes are why it is in that state, Next what happens by itself and when, Do what a person may do.
	Causes []string `json:"causes,omitempty"`
	Next   []string `json:"next,omitempty"`
	Do     []string `json:"do,omitempty"`
	// Log is the end of the log of a container that has failed.
	Log *Log `json:"log,omitempty"`
	// Below are the reports of those that belong to the object and are the reason.
	Below []Report `json:"below,omitempty"`
}

// Log names a container's log, and holds its last lines once they are read.
type Log struct {
	Pod       string `json:"pod"`
	Container string `json:"container"`
	// Previous selects the log of the instance before the last restart.
	Previous bool     `json:"previous,omitempty"`
	Lines    []string `json:"lines,omitempty"`
}

// fine says how an object is of which nothing has been found to be wrong.
func (r *Report) fine(format string, a ...any) {
	if !r.Wrong {
		r.State = fmt.Sprintf(format, a...)
	}
}

// wrong says what is; the first word counts.
func (r *Report) wrong(format string, a ...any) {
	if !r.Wrong {
		r.Wrong, r.State = true, fmt.Sprintf(format, a...)
	}
}

func (r *Report) wanted(format string, a ...any) { add(&r.Wanted, format, a...) }
func (r *Report) next(format string, a ...any)   { add(&r.Next, format, a...) }
func (r *Report) do(format string, a ...any)     { add(&r.Do, format, a...) }

// cause adds a reason, unless it has been said.
func (r *Report) cause(format string, a ...any) {
	if !strings.HasSuffix(r.State, OneLine(fmt.Sprintf(format, a...))) {
		add(&r.Causes, format, a...)
	}
}

// add appends a line, once.
func add(lines *[]string, format string, a ...any) {
	line := OneLine(fmt.Sprintf(format, a...))
	if line != "" && !slices.Contains(*lines, line) {
		*lines = append(*lines, line)
	}
}

// same reports whether two reports say the same of different objects: all but numbers, times for instance.
func (r *Report) same(other *Report) bool { return r.shape() == other.shape() }

func (r *Report) shape() string {
	text := strings.Join(slices.Concat([]string{r.State}, r.Causes, r.Do), "\n")
	return digits.ReplaceAllString(strings.ReplaceAll(text, strings.TrimPrefix(r.Object, "pod/"), ""), "#")
}

// mostBelow is how many reports stand below another one; those of a hundred pods help nobody.
const mostBelow = 3

// below adds the reports of what belongs to an object: those with something wrong, and of several that
// say the same only the first.
func (r *Report) below(all []Report) {
	alike, left := map[string]int{}, 0
	for i := range all {
		one := all[i]
		if !one.Wrong {
			continue
		}
		at := slices.IndexFunc(r.Below, func(had Report) bool { return had.same(&one) })
		switch {
		case at >= 0:
			alike[r.Below[at].Object]++
		case len(r.Below) == mostBelow:
			left++
		default:
			one.Wanted = r.shorten(one.Wanted)
			r.Below = append(r.Below, one)
		}
	}
	for i := range r.Below {
		if n := alike[r.Below[i].Object]; n > 0 {
			r.Below[i].cause("%s", command.Counted(n, "other is in the same state", "others are in the same state"))
		}
	}
	if left > 0 {
		r.cause("%s beside those below", command.Counted(left, "other is not well", "others are not well"))
	}
}

// shorten leaves out of who wants something below this object what stands here already.
func (r *Report) shorten(wanted []string) []string {
	var out []string
	for _, line := range wanted {
		if !slices.Contains(r.Wanted, line) {
			out = append(out, regexp.MustCompile(`^(\S+) wants .*, and made `).ReplaceAllString(line, "$1 made "))
		}
	}
	return out
}

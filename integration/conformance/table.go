package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
)

// count is one line of the table.
type count struct{ passed, failed, notTried int }

func (c *count) add(r result, tried bool) {
	switch {
	case !tried:
		c.notTried++
	case r.passed:
		c.passed++
	default:
		c.failed++
	}
}

// printTable prints how many specs of each group passed, failed and were not tried.
func printTable(to io.Writer, specs []spec, r results) {
	groups, all := map[string]*count{}, &count{}
	for _, s := range specs {
		if groups[s.group()] == nil {
			groups[s.group()] = &count{}
		}
		one, tried := r[s.name]
		groups[s.group()].add(one, tried)
		all.add(one, tried)
	}
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "group\tpassed\tfailed\tnot tried\tof\t")
	line := func(name string, c *count) {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t\n", name, c.passed, c.failed, c.notTried, c.passed+c.failed+c.notTried)
	}
	for _, g := range slices.Sorted(maps.Keys(groups)) {
		line(g, groups[g])
	}
	line("all", all)
	w.Flush()
}

// writeResults writes a line for each spec, with its time and, if it failed, why.
func writeResults(dir string, specs []spec, r results) error {
	var b strings.Builder
	for _, s := range specs {
		one, tried := r[s.name]
		switch {
		case !tried:
			fmt.Fprintf(&b, "not tried\t\t%s\n", s.name)
		case one.passed:
			fmt.Fprintf(&b, "passed\t%.1fs\t%s\n", one.took.Seconds(), s.name)
		default:
			fmt.Fprintf(&b, "FAILED\t%.1fs\t%s\t%s\n", one.took.Seconds(), s.name, one.message)
		}
	}
	return os.WriteFile(filepath.Join(dir, "results.txt"), []byte(b.String()), 0o644)
}

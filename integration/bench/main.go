// Command bench measures skiff beside raw Engine API calls that do the same work, in turn and in
// one run, because machines differ and are never quiet: the ratio is what counts. It prints a table
// and, with -json, writes the same as JSON.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/docker/docker/client"
)

func main() {
	jsonPath := flag.String("json", "", "write the rows to this `file` as well")
	only := flag.String("run", "", "only the scenarios whose name matches this `regexp`")
	rollouts := flag.Int("rollouts", 3, "rollouts under load")
	soak := flag.Duration("soak", time.Minute, "how long the soak lasts")
	rounds := flag.Int("rounds", 5, "rounds of the short scenarios; the median is shown")
	skiff := flag.String("skiff", "", "the binary to measure (default: built as it is released)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *jsonPath, *only, &bench{rounds: *rounds, rollouts: *rollouts, soak: *soak, skiff: *skiff}); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// row is one line of the table.
type row struct {
	Name string `json:"name"`
	// Skiff and Raw are in Unit; Raw is 0 where there is nothing to compare with.
	Skiff float64 `json:"skiff"`
	Raw   float64 `json:"raw,omitempty"`
	Unit  string  `json:"unit"`
	// Limit is what must be reached, in words and in the same unit, or as a ratio.
	Limit string `json:"limit"`
	Met   bool   `json:"met"`
}

// atMost makes a row with an upper bound.
func atMost(name string, v, limit float64, unit string) row {
	return row{Name: name, Skiff: v, Unit: unit, Limit: fmt.Sprintf("≤ %g %s", limit, unit), Met: v <= limit}
}

func atLeast(name string, v, limit float64, unit string) row {
	return row{Name: name, Skiff: v, Unit: unit, Limit: fmt.Sprintf("≥ %g %s", limit, unit), Met: v >= limit}
}

// within makes a row with a bound on the ratio to raw work.
func within(name string, v, raw, ratio float64, unit string) row {
	return row{Name: name, Skiff: v, Raw: raw, Unit: unit, Limit: fmt.Sprintf("≤ %g x raw", ratio), Met: v <= raw*ratio}
}

// beyond makes a row with a bound on what is added to raw work.
func beyond(name string, v, raw, extra float64, unit string) row {
	return row{Name: name, Skiff: v, Raw: raw, Unit: unit, Limit: fmt.Sprintf("≤ raw + %g %s", extra, unit), Met: v <= raw+extra}
}

// reaching makes a row with a lower bound on the ratio to what does the same without skiff.
func reaching(name string, v, raw, ratio float64, unit string) row {
	return row{Name: name, Skiff: v, Raw: raw, Unit: unit, Limit: fmt.Sprintf("≥ %g x raw", ratio), Met: v >= raw*ratio}
}

// beside makes a row that only shows a ratio.
func beside(name string, v, raw float64, unit string) row {
	return row{Name: name, Skiff: v, Raw: raw, Unit: unit, Limit: "-", Met: true}
}

// info makes a row without a limit.
func info(name string, v float64, unit string) row {
	return row{Name: name, Skiff: v, Unit: unit, Limit: "-", Met: true}
}

type scenario struct {
	name string
	run  func(context.Context, *bench) ([]row, error)
	// raw says that raw Engine calls are measured beside skiff.
	raw bool
}

var scenarios = []scenario{
	{"start", startUp, true},
	{"api", apiLatency, false},
	{"creates", durableCreates, false},
	{"replicaset", replicaSets, true},
	{"replace", replacement, true},
	{"kill", killed, true},
	{"jobs", jobs, true},
	{"liveness", livenessKill, false},
	{"probes", probeCost, false},
	{"idle", idle, false},
	{"simulated", simulated, false},
	{"cronjobs", cronJobs, false},
	{"nodefailure", nodeFailure, true},
	{"up", upWaits, true},
	{"get", getPods, false},
	{"test", testJob, false},
	{"logs", followLogs, false},
	{"compose", composed, false},
	{"network-service", networkService, false},
	{"network-scale", networkScale, false},
	{"network-dns", networkDNS, false},
	{"network-hostport", networkHostPort, false},
	{"network-door", networkDoor, false},
	{"network-outage", networkOutage, false},
	{"network-rollouts", networkRollouts, false},
	{"soak", soak, false},
}

func run(ctx context.Context, jsonPath, only string, b *bench) (err error) {
	pattern, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	engine, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return err
	}
	defer engine.Close()
	b.engine = engine
	if err := b.setUp(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.tearDown(context.WithoutCancel(ctx))) }()
	chosen := slices.DeleteFunc(slices.Clone(scenarios), func(s scenario) bool { return !pattern.MatchString(s.name) })
	if slices.ContainsFunc(chosen, func(s scenario) bool { return s.raw }) {
		if err := b.sweep(ctx); err != nil {
			return err
		}
		fmt.Printf("raw Engine calls at their best: %s\n\n", b.best)
	}
	var rows []row
	for _, s := range chosen {
		fmt.Fprintf(os.Stderr, "%s …\n", s.name)
		more, err := s.run(ctx, b)
		if err != nil {
			return fmt.Errorf("scenario %s: %w", s.name, err)
		}
		rows = append(rows, more...)
	}
	printTable(rows)
	if jsonPath == "" {
		return nil
	}
	raw, err := json.MarshalIndent(rows, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(jsonPath, append(raw, '\n'), 0o644)
}

func printTable(rows []row) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SCENARIO\tSKIFF\tRAW\tRATIO\tLIMIT\t")
	for _, r := range rows {
		raw, ratio, met := "-", "-", ""
		if r.Raw > 0 {
			raw, ratio = fmt.Sprintf("%.4g", r.Raw), fmt.Sprintf("%.2f", r.Skiff/r.Raw)
		}
		if !r.Met {
			met = "missed"
		}
		fmt.Fprintf(w, "%s\t%.4g %s\t%s\t%s\t%s\t%s\n", r.Name, r.Skiff, r.Unit, raw, ratio, r.Limit, met)
	}
	w.Flush()
}

// median of durations, in milliseconds.
func median(d []time.Duration) float64 {
	slices.Sort(d)
	return ms(d[len(d)/2])
}

// medianOf numbers.
func medianOf(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// Package report is what netload prints, for the bench to read.
package report

import "time"

// Report is what one run of a load has come to. What a kind of load does not measure is zero.
type Report struct {
	// Gbit is the throughput in Gbit/s, of the bytes that the programs have seen.
	Gbit float64 `json:",omitempty"`
	// Done is how many requests, connections or queries succeeded, PerSecond how many a second.
	Done      int     `json:",omitempty"`
	PerSecond float64 `json:",omitempty"`
	// P50, P99 and Max are how long one took.
	P50, P99, Max time.Duration `json:",omitempty"`
	Failed        int           `json:",omitempty"`
	// Errors are the first few failures.
	Errors []string `json:",omitempty"`
	// Attempts are those of a watch, in the order in which they began.
	Attempts []Attempt `json:",omitempty"`
}

// Attempt is one of the attempts with which a watch sees when something changes.
type Attempt struct {
	Began, Ended time.Time
	// Text is what was answered: a server's name, or an address. It is empty if Error is not.
	Text  string `json:",omitempty"`
	Error string `json:",omitempty"`
}

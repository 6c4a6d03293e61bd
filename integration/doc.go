// Package integration holds the tests that run skiff as its users do: a real daemon on a real
// engine, through both command lines. Without an engine they skip, saying so; with CI=true that is
// a failure.
package integration

// Package buildkit speaks with the builder inside the engine: it reads what BuildKit tells of a build, and
// answers what it asks for meanwhile. The messages are those of BuildKit's control.proto, auth.proto and
// secrets.proto; the few fields that matter here are read and written by hand, because the generated
// packages bring all of BuildKit's API with them.
package buildkit

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// status is a StatusResponse: what has changed since the last one.
type status struct {
	vertexes []vertex
	statuses []transfer
	logs     []log
	warnings []string
}

// vertex is a step of the build, in its present state.
type vertex struct {
	digest, name       string
	cached             bool
	started, completed time.Time
	failure            string
}

// transfer is a part of a step that can be measured, such as a layer that is fetched.
type transfer struct {
	id, vertex     string
	current, total int64
	completed      bool
}

// log is output of a step.
type log struct {
	vertex string
	text   []byte
}

func readStatus(b []byte) (s status, err error) {
	err = eachField(b, func(f field) error {
		switch f.number {
		case 1:
			v, err := readVertex(f.bytes)
			s.vertexes = append(s.vertexes, v)
			return err
		case 2:
			t, err := readTransfer(f.bytes)
			s.statuses = append(s.statuses, t)
			return err
		case 3:
			l, err := readLog(f.bytes)
			s.logs = append(s.logs, l)
			return err
		case 4:
			return eachField(f.bytes, func(f field) error {
				if f.number == 3 {
					s.warnings = append(s.warnings, string(f.bytes))
				}
				return nil
			})
		}
		return nil
	})
	return s, err
}

func readVertex(b []byte) (v vertex, err error) {
	err = eachField(b, func(f field) (err error) {
		switch f.number {
		case 1:
			v.digest = string(f.bytes)
		case 3:
			v.name = string(f.bytes)
		case 4:
			v.cached = f.value != 0
		case 5:
			v.started, err = readTime(f.bytes)
		case 6:
			v.completed, err = readTime(f.bytes)
		case 7:
			v.failure = string(f.bytes)
		}
		return err
	})
	return v, err
}

func readTransfer(b []byte) (t transfer, err error) {
	err = eachField(b, func(f field) error {
		switch f.number {
		case 1:
			t.id = string(f.bytes)
		case 2:
			t.vertex = string(f.bytes)
		case 4:
			t.current = int64(f.value)
		case 5:
			t.total = int64(f.value)
		case 8:
			t.completed = true
		}
		return nil
	})
	return t, err
}

func readLog(b []byte) (l log, err error) {
	err = eachField(b, func(f field) error {
		switch f.number {
		case 1:
			l.vertex = string(f.bytes)
		case 4:
			l.text = f.bytes
		}
		return nil
	})
	return l, err
}

// readTime reads a google.protobuf.Timestamp.
func readTime(b []byte) (time.Time, error) {
	var seconds, nanos int64
	err := eachField(b, func(f field) error {
		switch f.number {
		case 1:
			seconds = int64(f.value)
		case 2:
			nanos = int64(f.value)
		}
		return nil
	})
	return time.Unix(seconds, nanos), err
}

// field is one field of a message: value of a number, bytes of anything longer.
type field struct {
	number protowire.Number
	value  uint64
	bytes  []byte
}

// eachField calls do with the fields of a message, in their order.
func eachField(b []byte, do func(field) error) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf("reading a message of BuildKit's: %w", protowire.ParseError(n))
		}
		b = b[n:]
		f := field{number: number}
		switch kind {
		case protowire.VarintType:
			f.value, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(number, kind, b)
		}
		if n < 0 {
			return fmt.Errorf("reading a message of BuildKit's: %w", protowire.ParseError(n))
		}
		b = b[n:]
		if err := do(f); err != nil {
			return err
		}
	}
	return nil
}

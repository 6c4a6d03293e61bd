package docker

import (
	"bytes"
	"context"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// log is all a container has written, its streams mixed.
func (b *bench) log(id string) string {
	b.t.Helper()
	var all bytes.Buffer
	check(b.t, b.Logs(b.t.Context(), id, LogOptions{Stdout: true, Stderr: true, Tail: -1}, &all, &all))
	return all.String()
}

func TestEngineLogs(t *testing.T) {
	b := newBench(t)
	id := b.run("say", "out", "err")
	b.ended(id)
	var stdout, stderr bytes.Buffer
	all := LogOptions{Stdout: true, Stderr: true, Tail: -1}
	check(t, b.Logs(t.Context(), id, all, &stdout, &stderr))
	if stdout.String() != "out\n" || stderr.String() != "err\n" {
		t.Errorf("out %q, err %q", &stdout, &stderr)
	}

	id = b.run("lines", "20")
	b.ended(id)
	for _, test := range []struct {
		name    string
		options LogOptions
		want    string
	}{
		{"last two", LogOptions{Stdout: true, Tail: 2}, `^line 18\nline 19\n$`},
		{"none", LogOptions{Stdout: true, Tail: 0}, `^$`},
		{"the other stream", LogOptions{Stderr: true, Tail: -1}, `^$`},
		{"with times", LogOptions{Stdout: true, Tail: 1, Timestamps: true}, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z line 19\n$`},
		{"since later", LogOptions{Stdout: true, Tail: -1, Since: time.Now().Add(time.Hour)}, `^$`},
		{"until earlier", LogOptions{Stdout: true, Tail: -1, Until: time.Now().Add(-time.Hour)}, `^$`},
		{"followed to its end", LogOptions{Stdout: true, Tail: 1, Follow: true}, `^line 19\n$`},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got bytes.Buffer
			check(t, b.Logs(t.Context(), id, test.options, &got, &got))
			if !regexp.MustCompile(test.want).MatchString(got.String()) {
				t.Errorf("log %q, want %s", &got, test.want)
			}
		})
	}
	_, err := b.Inspect(t.Context(), "nobody")
	wantKind(t, err, ErrNotFound)
}

// TestEngineLogsOfLongLines: the engine keeps lines in chunks, of which a reader sees nothing.
func TestEngineLogsOfLongLines(t *testing.T) {
	b := newBench(t)
	for _, tty := range []bool{false, true} {
		spec := b.spec("long", "100000")
		spec.TTY = tty
		id := b.start(b.create(spec))
		b.ended(id)
		var got bytes.Buffer
		o := LogOptions{Stdout: true, Stderr: true, Timestamps: true, Follow: true, Tail: 2}
		check(t, b.Logs(t.Context(), id, o, &got, &got))
		const stamp = `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z `
		if !regexp.MustCompile(`^` + stamp + strings.Repeat(`x{1000}`, 100) + `\r?\n` + stamp + `after\r?\n$`).Match(got.Bytes()) {
			t.Errorf("terminal %t: log %s", tty, brief(got.String()))
		}
	}
}

func TestEngineLogsEndWithTheirContext(t *testing.T) {
	b := newBench(t)
	id := b.run("sleep")
	ctx, cancel := context.WithCancel(t.Context())
	seen := &finder{text: "ready", found: cancel}
	wantKind(t, b.Logs(ctx, id, LogOptions{Follow: true, Stdout: true, Tail: -1}, seen, nil), context.Canceled)
}

func TestEngineExec(t *testing.T) {
	b := newBench(t)
	spec := b.spec("sleep")
	spec.Env = []string{"GREETING=hi"}
	id := b.start(b.create(spec))
	for _, test := range []struct {
		name, user, in string
		cmd            []string
		code           int
		out, err       string
	}{
		{name: "exit code", cmd: []string{"/helper", "exit", "42"}, code: 42},
		{name: "two streams", cmd: []string{"/helper", "say", "a", "b"}, out: "a\n", err: "b\n"},
		{name: "input ends", in: strings.Repeat("x", 1<<20), cmd: []string{"/helper", "echo"}, out: strings.Repeat("x", 1<<20) + "bytes 1048576\n"},
		{name: "user", user: "12:34", cmd: []string{"/helper", "environment", "-"}, out: "- hi " + id[:12] + " / 12 [34]\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			streams := Streams{Out: &stdout, Err: &stderr}
			if test.in != "" {
				streams.In = strings.NewReader(test.in)
			}
			code, err := b.Exec(t.Context(), id, ExecSpec{Cmd: test.cmd, User: test.user, Streams: streams})
			check(t, err)
			if code != test.code || stdout.String() != test.out || stderr.String() != test.err {
				t.Errorf("exit code %d, out %.200q, err %q", code, &stdout, &stderr)
			}
		})
	}

	var out bytes.Buffer
	code, err := b.Exec(t.Context(), id, ExecSpec{Cmd: []string{"/nope"}, Streams: Streams{Out: &out}})
	check(t, err)
	if (code != 126 && code != 127) || !strings.Contains(out.String(), "no such file") {
		t.Errorf("no such program: exit code %d, out %q", code, &out)
	}
	_, err = b.Exec(t.Context(), "nobody", ExecSpec{Cmd: []string{"/helper", "exit", "0"}})
	wantKind(t, err, ErrNotFound)
	check(t, b.Stop(t.Context(), id, 0, ""))
	_, err = b.Exec(t.Context(), id, ExecSpec{Cmd: []string{"/helper", "exit", "0"}})
	wantKind(t, err, ErrNotRunning)
}

func TestEngineExecTimesOut(t *testing.T) {
	b := newBench(t)
	id := b.run("sleep")
	began := time.Now()
	_, err := b.Exec(t.Context(), id, ExecSpec{Cmd: []string{"/helper", "stubborn"}, Timeout: 200 * time.Millisecond})
	wantKind(t, err, ErrTimeout)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	if os.Geteuid() != 0 {
		return // killing what is left needs the rights
	}
	eventually(t, func() bool {
		var out bytes.Buffer
		_, err := b.Exec(t.Context(), id, ExecSpec{Cmd: []string{"/helper", "count", "stubborn"}, Streams: Streams{Out: &out}})
		return err == nil && out.String() == "0\n"
	})
}

func TestEngineExecTerminal(t *testing.T) {
	b := newBench(t)
	id := b.run("sleep")
	sizes := make(chan Size, 1)
	sizes <- Size{Width: 80, Height: 24}
	// The process tells its size; at the first answer it gets the next one, which ends it.
	out := &finder{text: "size 80 24", found: func() { sizes <- Size{Width: 123, Height: 45} }}
	code, err := b.Exec(t.Context(), id, ExecSpec{Cmd: []string{"/helper", "size"}, Streams: Streams{Out: out, TTY: true, Resize: sizes}})
	check(t, err)
	if code != 0 || !strings.Contains(out.all.String(), "size 123 45") {
		t.Errorf("exit code %d, out %q", code, out.all.String())
	}
}

// TestEngineExecPassesCtrlP: the engine's own keys for leaving a terminal must reach the process.
func TestEngineExecPassesCtrlP(t *testing.T) {
	b := newBench(t)
	id := b.run("sleep")
	var out bytes.Buffer
	code, err := b.Exec(t.Context(), id, ExecSpec{
		Cmd: []string{"/helper", "ask"}, Streams: Streams{In: strings.NewReader("\x10\x11a\nbye\n"), Out: &out, TTY: true},
	})
	check(t, err)
	if code != 0 || !strings.Contains(out.String(), `heard "\x10`) {
		t.Errorf("exit code %d, out %q", code, &out)
	}
}

func TestEngineAttach(t *testing.T) {
	b := newBench(t)
	spec := b.spec("ask")
	spec.Stdin = true
	id := b.start(b.create(spec))
	b.awaitLog(id, "asking")
	in, typed := io.Pipe()
	defer in.Close()
	out := &finder{text: `heard "one"`, found: func() { go func() { _, _ = typed.Write([]byte("bye\n")) }() }}
	var typing sync.WaitGroup
	typing.Go(func() { _, _ = typed.Write([]byte("one\n")) })
	check(t, b.Attach(t.Context(), id, Streams{In: in, Out: out}))
	typing.Wait()
	if !out.done {
		t.Errorf("out %q", out.all.String())
	}
	b.ended(id)
	wantKind(t, b.Attach(t.Context(), id, Streams{Out: out}), ErrNotRunning)
}

func TestEngineAttachEndsWithItsContext(t *testing.T) {
	b := newBench(t)
	id := b.run("sleep")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	wantKind(t, b.Attach(ctx, id, Streams{Out: io.Discard}), context.DeadlineExceeded)
}

func TestKillInRefusesStrangers(t *testing.T) {
	err := killIn(strings.Repeat("0", 64), os.Getpid())
	if err == nil || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
		t.Errorf("error %v", err)
	}
	if err := killIn("", 1); err == nil {
		t.Error("a container without ID")
	}
}

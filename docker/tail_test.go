package docker

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/pkg/stdcopy"
	"pgregory.net/rapid"
)

// keptLog is a container's log as the engine keeps it.
type keptLog struct {
	tty    bool
	chunks []keptChunk
	lines  []keptLine // in the order of their beginnings
	clock  int
}

type keptChunk struct {
	stream int
	stamp  string
	text   string
}

type keptLine struct {
	stream int
	stamp  string
	text   string
	ended  bool
}

// start begins a line and returns its chunks, which the caller puts into the log.
func (k *keptLog) start(stream int, text string, ended bool) []keptChunk {
	k.clock++
	stamp := time.Unix(1_700_000_000, int64(k.clock)).UTC().Format("2006-01-02T15:04:05.000000000Z")
	k.lines = append(k.lines, keptLine{stream, stamp, text, ended})
	var all []keptChunk
	for ; len(text) >= chunkSize; text = text[chunkSize:] {
		all = append(all, keptChunk{stream, stamp, text[:chunkSize]})
	}
	if ended {
		text += "\n"
	}
	if text != "" {
		all = append(all, keptChunk{stream, stamp, text})
	}
	return all
}

func (k *keptLog) line(stream int, text string) {
	k.chunks = append(k.chunks, k.start(stream, text, true)...)
}

// serve answers as the engine does: tail counts chunks.
func (k *keptLog) serve(w http.ResponseWriter, r *http.Request) {
	chunks := k.chunks
	if n, err := strconv.Atoi(r.FormValue("tail")); err == nil && n < len(chunks) {
		chunks = chunks[len(chunks)-n:]
	}
	for _, c := range chunks {
		text := c.text
		if r.FormValue("timestamps") == "1" {
			text = c.stamp + " " + text
		}
		if k.tty {
			_, _ = w.Write([]byte(text))
		} else {
			_, _ = stdcopy.NewStdWriter(w, []stdcopy.StdType{stdcopy.Stdout, stdcopy.Stderr}[c.stream]).Write([]byte(text))
		}
	}
}

// want is what a reader of the last n lines sees of a stream.
func (k *keptLog) want(stream, n int, stamps bool) string {
	var b strings.Builder
	lines := k.lines
	if n >= 0 {
		lines = lines[max(0, len(lines)-n):]
	}
	for _, l := range lines {
		if l.stream != stream {
			continue
		}
		if stamps {
			b.WriteString(l.stamp + " ")
		}
		b.WriteString(l.text)
		if l.ended {
			b.WriteString("\n")
		}
	}
	return b.String()
}

// engineWith is an Engine of whose one container c is the log.
func engineWith(t *testing.T, k *keptLog) *Engine {
	fake := newFake(t).start()
	fake.on("GET /containers/c/json", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"Id": "c", "Config": map[string]any{"Tty": k.tty}})
	})
	fake.on("GET /containers/c/logs", k.serve)
	return fake.connect(Options{})
}

func TestLinesAreWholeAndCounted(t *testing.T) {
	kept := &keptLog{}
	e := engineWith(t, kept)
	rapid.Check(t, func(t *rapid.T) {
		*kept = keptLog{tty: rapid.Bool().Draw(t, "tty")}
		var pending [2][]keptChunk // of lines under way
		for range rapid.IntRange(0, 120).Draw(t, "steps") {
			stream := 0
			if !kept.tty {
				stream = rapid.IntRange(0, 1).Draw(t, "stream")
			}
			if len(pending[stream]) == 0 {
				size := rapid.SampledFrom([]int{0, 1, 80, chunkSize - 1, chunkSize, chunkSize + 1, 3*chunkSize - 5, 4 * chunkSize}).Draw(t, "size")
				pending[stream] = kept.start(stream, strings.Repeat(strconv.Itoa(len(kept.lines)%10), size), true)
			}
			kept.chunks, pending[stream] = append(kept.chunks, pending[stream][0]), pending[stream][1:]
		}
		for _, rest := range pending {
			kept.chunks = append(kept.chunks, rest...)
		}
		o := LogOptions{Stdout: true, Stderr: true, Timestamps: rapid.Bool().Draw(t, "stamps"), Tail: int64(rapid.IntRange(-1, 130).Draw(t, "tail"))}
		var out [2]bytes.Buffer
		if err := e.Logs(t.Context(), "c", o, &out[0], &out[1]); err != nil {
			t.Fatal(err)
		}
		for stream := range out {
			if got, want := out[stream].String(), kept.want(stream, int(o.Tail), o.Timestamps); got != want {
				t.Fatalf("stream %d of %d chunks: %s, want %s", stream, len(kept.chunks), brief(got), brief(want))
			}
		}
	})
}

// brief is a log with its repetitions counted.
func brief(log string) string {
	var b strings.Builder
	for line := range strings.Lines(log) {
		fmt.Fprintf(&b, "%.40q (%d bytes)\n", line, len(line))
	}
	return b.String()
}

func TestLongLineIsOnePieceAmongOthers(t *testing.T) {
	kept := &keptLog{}
	long := kept.start(0, strings.Repeat("x", 3*chunkSize), true)
	kept.chunks = append(kept.chunks, long[0])
	kept.line(1, "warning")
	kept.chunks = append(kept.chunks, long[1:]...)
	kept.chunks = append(kept.chunks, kept.start(0, "no newline", false)...)
	var all bytes.Buffer
	check(t, engineWith(t, kept).Logs(t.Context(), "c", LogOptions{Stdout: true, Stderr: true, Tail: -1}, &all, &all))
	if want := "warning\n" + strings.Repeat("x", 3*chunkSize) + "\nno newline"; all.String() != want {
		t.Errorf("log %s, want %s", brief(all.String()), brief(want))
	}
}

func TestEndlessLineIsNotHeldForEver(t *testing.T) {
	kept := &keptLog{}
	kept.chunks = kept.start(0, strings.Repeat("x", 10*maxHeld), false)
	pieces := &pieces{}
	o := LogOptions{Stdout: true, Timestamps: true, Tail: -1}
	check(t, engineWith(t, kept).Logs(t.Context(), "c", o, pieces, nil))
	if len(pieces.sizes) != 10 || pieces.stamps != 1 {
		t.Errorf("pieces of %d bytes, %d times", pieces.sizes, pieces.stamps)
	}
}

// pieces notes how its bytes were written.
type pieces struct {
	sizes  []int
	stamps int
}

func (p *pieces) Write(data []byte) (int, error) {
	p.sizes = append(p.sizes, len(data))
	p.stamps += bytes.Count(data, []byte("2023-"))
	return len(data), nil
}

// TestTailOfALogThatGrows: lines that come between the two requests do not cost any that were asked
// for. They are shown to those alone who follow the log.
func TestTailOfALogThatGrows(t *testing.T) {
	for _, grown := range []int{1, tailGrowth - 1, 3 * tailGrowth} {
		for _, follow := range []bool{false, true} {
			t.Run(fmt.Sprintf("by %d lines, follow=%t", grown, follow), func(t *testing.T) {
				lines := tailWhileGrowing(t, LogOptions{Stdout: true, Stderr: true, Tail: 3, Follow: follow}, grown)
				first, last := "197", "199"
				if grown > tailGrowth { // found at the next look, when the log had grown
					first, last = fmt.Sprintf("new %d", grown-3), fmt.Sprintf("new %d", grown-1)
				}
				want := 3
				if follow && grown <= tailGrowth {
					want, last = 3+grown, fmt.Sprintf("new %d", grown-1)
				}
				if len(lines) != want || lines[0] != first || lines[len(lines)-1] != last {
					t.Errorf("%d lines, from %q to %q; want %d, from %q to %q", len(lines), lines[0], lines[len(lines)-1], want, first, last)
				}
			})
		}
	}
}

// tailWhileGrowing is what is printed of a log of 200 lines that grows after the first look at it.
func tailWhileGrowing(t *testing.T, o LogOptions, grown int) []string {
	t.Helper()
	kept := &keptLog{}
	for i := range 200 {
		kept.line(i%2, strconv.Itoa(i))
	}
	fake := newFake(t).start()
	fake.onJSON("GET /containers/c/json", map[string]any{"Id": "c", "Config": map[string]any{}})
	asked := 0
	fake.on("GET /containers/c/logs", func(w http.ResponseWriter, r *http.Request) {
		if asked++; asked == 2 {
			for i := range grown {
				kept.line(0, "new "+strconv.Itoa(i))
			}
		}
		kept.serve(w, r)
	})
	var all bytes.Buffer
	check(t, fake.connect(Options{}).Logs(t.Context(), "c", o, &all, &all))
	return strings.Split(strings.TrimSuffix(all.String(), "\n"), "\n")
}

func TestBytesThatAreNoTextSplitATerminalsLine(t *testing.T) {
	// The engine kept each byte of the first chunk as three.
	stamp := "2023-11-14T22:13:20.000000001Z "
	log := stamp + strings.Repeat("\ufffd", chunkSize) + stamp + "rest\n" + stamp + "next\n"
	server := httptest.NewRecorder()
	_, _ = server.WriteString(log)
	w, out := bytes.Buffer{}, newLineWriter(true, nil, nil)
	out.streams[0].to.to = &w
	check(t, readChunks(server.Body, true, true, out.add))
	if want := stamp + strings.Repeat("\ufffd", chunkSize) + "rest\n" + stamp + "next\n"; w.String() != want {
		t.Errorf("log %s, want %s", brief(w.String()), brief(want))
	}
}

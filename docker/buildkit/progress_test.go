package buildkit

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// message writes a message's fields: numbers as they are, texts and messages as bytes.
func message(fields ...any) []byte {
	var b []byte
	for i := 0; i < len(fields); i += 2 {
		number := protowire.Number(fields[i].(int))
		switch v := fields[i+1].(type) {
		case int:
			b = protowire.AppendVarint(protowire.AppendTag(b, number, protowire.VarintType), uint64(v))
		case string:
			b = appendString(b, number, v)
		case []byte:
			b = appendString(b, number, string(v))
		}
	}
	return b
}

// TestProgress plays the traces of a build of two steps at once, of which one fails.
func TestProgress(t *testing.T) {
	at := func(seconds int) []byte { return message(1, 1000+seconds, 2, 500_000_000) }
	var out bytes.Buffer
	p := NewProgress(&out)
	for _, trace := range [][]byte{
		message(1, message(1, "ctx", 3, "[internal] load remote build context", 5, at(0))),
		message(1, message(1, "a", 2, "ctx", 3, "[1/2] FROM  docker.io/library/base"), 1, message(1, "b", 3, "[2/2] RUN make")),
		message(1, message(1, "a", 3, "[1/2] FROM  docker.io/library/base", 5, at(0))),
		message(2, message(1, "sha256:1", 2, "a", 4, 5, 5, 10), 2, message(1, "sha256:1", 2, "a", 4, 1500000, 5, 1500000, 8, at(1))),
		message(2, message(1, "sha256:1", 2, "a", 4, 1500000, 5, 1500000, 8, at(1))),
		message(1, message(1, "a", 3, "[1/2] FROM  docker.io/library/base", 5, at(0), 6, at(2), 4, 1), 1, message(1, "b", 3, "[2/2] RUN make", 5, at(2))),
		message(3, message(1, "b", 3, 1, 4, "first\nsec")),
		message(3, message(1, "b", 3, 2, 4, "ond\n 10%\r 20%\nrest")),
		message(3, message(1, "of a hidden step", 4, "nothing\n")),
		message(4, message(1, "b", 3, "it is old")),
		message(1, message(1, "b", 3, "[2/2] RUN make", 5, at(2), 6, at(5), 7, "exit code: 1")),
		message(1, message(1, "b", 3, "[2/2] RUN make", 5, at(2), 6, at(5), 7, "exit code: 1")),
		message(1, message(1, "c", 3, "[3/2] COPY . .", 5, at(5), 6, at(7), 999, "a field of later versions")),
	} {
		if err := p.Add(trace); err != nil {
			t.Fatal(err)
		}
	}
	want := `#1 [1/2] FROM docker.io/library/base
#1 sha256:1 1.5MB done
#2 [2/2] RUN make
#1 CACHED
#2 first
#2 second
#2  20%
WARNING: it is old
#2 rest
#2 ERROR: exit code: 1
#3 [3/2] COPY . .
#3 DONE 2.0s
`
	if out.String() != want {
		t.Errorf("wrote\n%s\nwant\n%s", &out, want)
	}
	if err := p.Add([]byte{0x0a, 0x7f, 1}); err == nil {
		t.Error("a message that is cut off was read")
	}
}

func TestReason(t *testing.T) {
	for text, want := range map[string]string{
		"failed to solve with frontend dockerfile.v0: failed to create LLB definition: dockerfile parse error line 2: unknown instruction: X": "dockerfile parse error line 2: unknown instruction: X",
		"failed to solve: rpc error: code = Unknown desc = executor failed running [false]: exit code: 1":                                     "executor failed running [false]: exit code: 1",
		"The command '/bin/sh' returned a non-zero code: 1":                                                                                   "The command '/bin/sh' returned a non-zero code: 1",
	} {
		if got := Reason(text); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

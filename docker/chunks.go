package docker

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/docker/docker/pkg/stdcopy"
)

// chunk is one record of the engine's log: a line with its newline, or 16 KiB of a longer line, or
// what a process wrote last without ending the line (daemon/logger/copier.go in moby). All chunks of
// a line bear the time of the first. Its bytes are valid until the next one is read.
type chunk struct {
	stream int // 0 is standard output, 1 standard error
	// stamp is the time as the engine writes it, empty if it was not asked for.
	stamp []byte
	// text is what the process wrote, and raw the same with the time in front.
	text, raw []byte
}

var newline = []byte("\n")

const (
	// chunkSize is how much of a line, in bytes, the engine keeps in one record.
	chunkSize = 16 << 10
	// stampSize is the length of a time with the space that follows it: RFC 3339 with all nine
	// digits of the nanoseconds, in UTC.
	stampSize = len("2006-01-02T15:04:05.000000000Z ")
	// maxChunk is beyond what a chunk can have grown to: a byte that is not valid UTF-8 is kept as
	// the three of U+FFFD.
	maxChunk = 4 * chunkSize
)

// readChunks visits the chunks of a log until it ends. stamped says that each begins with its time.
func readChunks(log io.Reader, tty, stamped bool, visit func(chunk) error) error {
	if tty {
		return readTerminal(log, stamped, visit)
	}
	return readFrames(log, stamped, visit)
}

// readFrames reads a log whose streams are apart: one frame for each chunk.
func readFrames(log io.Reader, stamped bool, visit func(chunk) error) error {
	from := bufio.NewReaderSize(log, maxChunk)
	var header [8]byte
	var payload []byte
	for {
		if _, err := io.ReadFull(from, header[:]); err != nil {
			return unlessEnd(err)
		}
		size := int(binary.BigEndian.Uint32(header[4:]))
		payload = slices.Grow(payload[:0], size)[:size]
		if _, err := io.ReadFull(from, payload); err != nil {
			return unlessEnd(err)
		}
		switch stream := stdcopy.StdType(header[0]); stream {
		case stdcopy.Stdin, stdcopy.Stdout, stdcopy.Stderr:
			c := chunk{text: payload, raw: payload}
			if stream == stdcopy.Stderr {
				c.stream = 1
			}
			if err := visit(c.split(stamped)); err != nil {
				return err
			}
		case stdcopy.Systemerr:
			return fmt.Errorf("the engine reports: %s", payload)
		default:
			return fmt.Errorf("unknown stream %d in the engine's answer", stream)
		}
	}
}

// unlessEnd takes the end of the log, also in the middle of a frame, for no error: so ends the log
// of a container that is being removed.
func unlessEnd(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// split takes the time off the front of a chunk.
func (c chunk) split(stamped bool) chunk {
	if stamped && len(c.raw) >= stampSize {
		c.stamp, c.text = c.raw[:stampSize-1], c.raw[stampSize:]
	}
	return c
}

// readTerminal reads the log of a container with a terminal, whose chunks follow each other without
// frames.
func readTerminal(log io.Reader, stamped bool, visit func(chunk) error) error {
	from := bufio.NewScanner(log)
	from.Buffer(make([]byte, 0, 2*chunkSize), 2*maxChunk)
	from.Split(anyBytes)
	if stamped {
		from.Split(stampedChunk)
	}
	for from.Scan() {
		c := chunk{text: from.Bytes(), raw: from.Bytes()}
		if err := visit(c.split(stamped)); err != nil {
			return err
		}
	}
	return from.Err()
}

// anyBytes is a bufio.SplitFunc that hands on what there is, up to the last newline if there is
// one.
func anyBytes(data []byte, _ bool) (int, []byte, error) {
	if len(data) == 0 {
		return 0, nil, nil
	}
	n := len(data)
	if end := bytes.LastIndex(data, newline); end >= 0 {
		n = end + 1
	}
	return n, data[:n], nil
}

// stampedChunk is a bufio.SplitFunc for chunks that begin with their time. A chunk ends with its
// line, or after 16 KiB where the same time, that of its line, comes again.
func stampedChunk(data []byte, atEnd bool) (int, []byte, error) {
	end := bytes.IndexByte(data, '\n') + 1
	line := data
	if end > 0 {
		line = data[:end]
	}
	if rest := stampSize + chunkSize; len(line) >= rest+stampSize {
		if again := bytes.Index(line[rest:], line[:stampSize]); again >= 0 {
			return rest + again, line[:rest+again], nil
		}
	}
	if end > 0 || atEnd && len(data) > 0 || len(data) > maxChunk {
		return len(line), line, nil
	}
	return 0, nil, nil
}

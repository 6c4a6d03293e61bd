package docker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// frameHead is the size of the head before each piece of output of a process without a terminal:
// the stream's number, three zeros, and the size of the piece, big-endian (Engine API, "Attach to a
// container", stream format).
const frameHead = 8

// stdoutFrame is the number of standard output.
const stdoutFrame = 1

// maxComplaint bounds what is kept of a standard error, in bytes.
const maxComplaint = 4096

// connection is the standard streams of a process: what is written goes to its standard input, what
// is read comes from its standard output. One goroutine may read and one may write.
type connection struct {
	session *session
	left    int // of the present piece of standard output
	// complaint is what came on standard error.
	complaint strings.Builder
}

func newConnection(s *session) *connection { return &connection{session: s} }

// Read implements io.Reader.
func (c *connection) Read(p []byte) (int, error) {
	for c.left == 0 {
		if err := c.nextPiece(); err != nil {
			return 0, c.explain(err)
		}
	}
	n, err := c.session.from.Read(p[:min(len(p), c.left)])
	c.left -= n
	if err != nil {
		err = c.explain(err)
	}
	return n, err
}

// nextPiece reads heads up to the next piece of standard output.
func (c *connection) nextPiece() error {
	var head [frameHead]byte
	if _, err := io.ReadFull(c.session.from, head[:]); err != nil {
		return err
	}
	size := int(binary.BigEndian.Uint32(head[4:]))
	if head[0] == stdoutFrame {
		c.left = size
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(c.session.from, int64(size)))
	c.complaint.Write(text[:min(len(text), maxComplaint-min(c.complaint.Len(), maxComplaint))])
	return err
}

func (c *connection) explain(err error) error {
	if said := strings.TrimSpace(c.complaint.String()); said != "" && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) {
		return fmt.Errorf("%s: %w", said, err)
	}
	return err
}

// Write implements io.Writer.
func (c *connection) Write(p []byte) (int, error) { return c.session.conn.Write(p) }

// Close implements io.Closer. The process reads the end of its input.
func (c *connection) Close() error {
	c.session.close()
	return nil
}

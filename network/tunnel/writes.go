package tunnel

import (
	"encoding/binary"
	"io"
)

// headSize is the size of the head of yamux's frames, and dataFrame the kind of those that a body
// follows (https://github.com/hashicorp/yamux/blob/master/spec.md).
const (
	headSize  = 12
	dataFrame = 0
)

// joinedWrites joins a head with its body, which yamux writes in a call of its own: that halves the
// system calls of each of the five processes on the way. Only yamux's one sending goroutine writes.
type joinedWrites struct {
	io.ReadWriteCloser
	held []byte
}

// Write implements io.Writer.
func (c *joinedWrites) Write(p []byte) (int, error) {
	if len(c.held) == 0 {
		if !headOfBody(p) {
			return c.ReadWriteCloser.Write(p)
		}
		c.held = append(c.held, p...)
		return len(p), nil
	}
	c.held = append(c.held, p...)
	_, err := c.ReadWriteCloser.Write(c.held)
	c.held = c.held[:0]
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// headOfBody reports whether p is the head of a frame whose body comes next.
func headOfBody(p []byte) bool {
	return len(p) == headSize && p[1] == dataFrame && binary.BigEndian.Uint32(p[8:]) > 0
}

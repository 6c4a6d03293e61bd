package tunnel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// maxDatagram is the largest datagram, in bytes.
const maxDatagram = 0xffff

// Datagrams carries datagrams over a stream: each is preceded by its length, 2 bytes, big-endian.
type Datagrams struct {
	net.Conn

	mu  sync.Mutex // over writing
	out []byte
}

// NewDatagrams returns a connection whose reads and writes are datagrams over a stream.
func NewDatagrams(stream net.Conn) *Datagrams { return &Datagrams{Conn: stream} }

// Read reads one datagram. What does not fit in p is lost, as with UDP.
func (d *Datagrams) Read(p []byte) (int, error) {
	var head [2]byte
	if _, err := io.ReadFull(d.Conn, head[:]); err != nil {
		return 0, err
	}
	size := int(binary.BigEndian.Uint16(head[:]))
	n, err := io.ReadFull(d.Conn, p[:min(size, len(p))])
	if err == nil && n < size {
		_, err = io.CopyN(io.Discard, d.Conn, int64(size-n))
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Write writes one datagram.
func (d *Datagrams) Write(p []byte) (int, error) {
	if len(p) > maxDatagram {
		return 0, fmt.Errorf("a datagram of %d bytes: %d are the most", len(p), maxDatagram)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.out = binary.BigEndian.AppendUint16(d.out[:0], uint16(len(p)))
	d.out = append(d.out, p...)
	if _, err := d.Conn.Write(d.out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// CloseWrite has nothing to close: datagrams have no end.
func (d *Datagrams) CloseWrite() error { return nil }

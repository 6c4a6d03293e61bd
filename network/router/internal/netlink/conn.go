//go:build linux

package netlink

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// bufferSize is what is asked for as the sizes of a socket's buffers, in bytes. What is waiting
	// to be read is lost beyond it.
	bufferSize = 4 << 20
	// readSize is for one read: a dump comes in pieces of at most 32 KiB.
	readSize = 64 << 10
	// patience is how long the kernel may take for an answer, in seconds. It answers at once but for
	// locks that others hold.
	patience = 10
)

// Conn is a socket. It is not safe for concurrent use.
type Conn struct {
	fd       int
	sequence uint32
	in       []byte
}

// Dial opens a socket of a netlink family: unix.NETLINK_ROUTE, unix.NETLINK_NETFILTER.
func Dial(family int) (*Conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, family)
	if err != nil {
		return nil, fmt.Errorf("netlink socket: %w", os.NewSyscallError("socket", err))
	}
	c := &Conn{fd: fd, in: make([]byte, readSize)}
	if err := c.prepare(); err != nil {
		return nil, errors.Join(fmt.Errorf("netlink socket: %w", err), c.Close())
	}
	return c, nil
}

func (c *Conn) prepare() error {
	if err := unix.Bind(c.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("bind", err)
	}
	wait := unix.Timeval{Sec: patience}
	if err := unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	for _, force := range [][2]int{{unix.SO_RCVBUFFORCE, unix.SO_RCVBUF}, {unix.SO_SNDBUFFORCE, unix.SO_SNDBUF}} {
		if unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, force[0], bufferSize) == nil {
			continue
		}
		// Without the right to force it, the system's limit is the most.
		if err := unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, force[1], bufferSize); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	// What is wrong in words, and errors without a copy of what they are about: from Linux 4.12 on.
	_ = unix.SetsockoptInt(c.fd, unix.SOL_NETLINK, unix.NETLINK_EXT_ACK, 1)
	_ = unix.SetsockoptInt(c.fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1)
	return nil
}

// SendBuffer is how much can be sent at once, in bytes.
func (c *Conn) SendBuffer() int {
	size, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
	if err != nil {
		return 128 << 10 // less than any system's default
	}
	return size
}

// Close closes the socket.
func (c *Conn) Close() error { return unix.Close(c.fd) }

// Message is what is sent or received: Body is the family's own head and the attributes.
type Message struct {
	Type, Flags uint16
	Body        []byte
}

// Do sends a message and waits until it is done.
func (c *Conn) Do(m Message) error {
	m.Flags |= unix.NLM_F_REQUEST | unix.NLM_F_ACK
	return c.exchange([]Message{m}, nil)
}

// Batch sends messages at once and waits for the answer to the last, which asks for one: the others
// are answered only if they fail. The error names the first that did.
func (c *Conn) Batch(messages []Message) error { return c.exchange(messages, nil) }

// Dump asks for a list and calls visit for each message of it.
func (c *Conn) Dump(m Message, visit func(Message) error) error {
	m.Flags |= unix.NLM_F_REQUEST | unix.NLM_F_DUMP
	return c.exchange([]Message{m}, visit)
}

// MessageError is what the kernel says against one of the messages.
type MessageError struct {
	// Index is the message's among those that were sent at once.
	Index int
	Errno syscall.Errno
	// Text is the kernel's explanation, often empty.
	Text string
}

// Error implements error.
func (e *MessageError) Error() string {
	if e.Text == "" {
		return e.Errno.Error()
	}
	return e.Errno.Error() + ": " + e.Text
}

// Unwrap returns the system's error.
func (e *MessageError) Unwrap() error { return e.Errno }

// exchange sends messages, and reads until the last of them is answered, or the first: that is what
// the kernel does with a batch that it refuses as a whole.
func (c *Conn) exchange(messages []Message, visit func(Message) error) error {
	first := c.sequence + 1
	var out []byte
	for _, m := range messages {
		c.sequence++
		out = m.append(out, c.sequence)
	}
	if err := unix.Sendto(c.fd, out, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("netlink: %w", os.NewSyscallError("sendto", err))
	}
	reader := reader{conn: c, first: first, last: c.sequence, visit: visit}
	// A batch ends with a message that is not answered: the answer to the one before it is the last.
	for n := len(messages) - 1; n > 0 && messages[n].Flags&unix.NLM_F_ACK == 0; n-- {
		reader.last--
	}
	return reader.read()
}

func (m Message) append(out []byte, sequence uint32) []byte {
	out = binary.NativeEndian.AppendUint32(out, uint32(unix.SizeofNlMsghdr+len(m.Body)))
	out = binary.NativeEndian.AppendUint16(out, m.Type)
	out = binary.NativeEndian.AppendUint16(out, m.Flags)
	out = binary.NativeEndian.AppendUint32(out, sequence)
	out = binary.NativeEndian.AppendUint32(out, 0)
	out = append(out, m.Body...)
	for len(out)%4 != 0 {
		out = append(out, 0)
	}
	return out
}

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

// reader reads the answers to the messages from first to last.
type reader struct {
	conn        *Conn
	first, last uint32
	visit       func(Message) error

	failed error // the first error
	done   bool
}

func (r *reader) read() error {
	for !r.done {
		n, _, err := unix.Recvfrom(r.conn.fd, r.conn.in, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("netlink: %w", os.NewSyscallError("recvfrom", err))
		}
		if err := r.messages(r.conn.in[:n]); err != nil {
			return err
		}
	}
	return r.failed
}

// messages takes what came with one read.
func (r *reader) messages(data []byte) error {
	for len(data) >= unix.SizeofNlMsghdr {
		size := int(binary.NativeEndian.Uint32(data))
		if size < unix.SizeofNlMsghdr || size > len(data) {
			return errMalformed
		}
		m := Message{
			Type: binary.NativeEndian.Uint16(data[4:]), Flags: binary.NativeEndian.Uint16(data[6:]),
			Body: data[unix.SizeofNlMsghdr:size],
		}
		// Answers to what was given up earlier are not ours.
		if sequence := binary.NativeEndian.Uint32(data[8:]); sequence >= r.first && sequence <= r.last {
			if err := r.message(m, sequence); err != nil {
				return err
			}
		}
		data = data[min(aligned(size), len(data)):]
	}
	return nil
}

func (r *reader) message(m Message, sequence uint32) error {
	switch m.Type {
	case unix.NLMSG_ERROR:
		if len(m.Body) < 4 {
			return errMalformed
		}
		errno := -int32(binary.NativeEndian.Uint32(m.Body))
		if errno != 0 && r.failed == nil {
			r.failed = &MessageError{Index: int(sequence - r.first), Errno: syscall.Errno(errno), Text: explanation(m)}
		}
		r.done = r.done || sequence == r.last || (errno != 0 && sequence == r.first)
	case unix.NLMSG_DONE:
		r.done = true
	default:
		if r.visit != nil && r.failed == nil {
			r.failed = r.visit(m)
		}
	}
	return nil
}

// explanation is the kernel's text in an error: its attributes follow the head of the message that
// the error is about (include/uapi/linux/netlink.h, NLMSGERR_ATTR_MSG).
func explanation(m Message) string {
	const attributeOfText = 1
	begin := 4 + unix.SizeofNlMsghdr
	if m.Flags&unix.NLM_F_ACK_TLVS == 0 || len(m.Body) < begin {
		return ""
	}
	if m.Flags&unix.NLM_F_CAPPED == 0 { // with the whole message
		begin = 4 + aligned(int(binary.NativeEndian.Uint32(m.Body[4:])))
	}
	var text string
	_ = Each(m.Body[min(begin, len(m.Body)):], func(kind uint16, value []byte) error {
		if kind == attributeOfText && len(value) > 0 {
			text = string(value[:len(value)-1])
		}
		return nil
	}) // an explanation that can't be read is none
	return text
}

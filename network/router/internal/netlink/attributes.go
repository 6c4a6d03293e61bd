//go:build linux

// Package netlink speaks the kernel's netlink protocol, as far as the router needs it: messages of
// attributes, answered one by one or in a batch, and dumps (man 7 netlink).
package netlink

import (
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"
)

// attributeHead is the size of an attribute's head, in bytes: length and type, two bytes each.
const attributeHead = 4

// nested marks an attribute of attributes; typeMask is the rest of the type.
const (
	nested   = unix.NLA_F_NESTED
	typeMask = 0x3fff
)

// errMalformed is of messages that are not what they say.
var errMalformed = errors.New("malformed netlink message")

// Attributes is a list of attributes as it is sent.
type Attributes []byte

// Bytes appends an attribute.
func (a *Attributes) Bytes(kind uint16, value []byte) {
	begin := a.open(kind)
	*a = append(*a, value...)
	a.close(begin)
}

// String appends a text, which the kernel wants to end with a zero.
func (a *Attributes) String(kind uint16, value string) {
	begin := a.open(kind)
	*a = append(*a, value...)
	*a = append(*a, 0)
	a.close(begin)
}

// Network32 appends a number in the network's byte order, as netfilter has them.
func (a *Attributes) Network32(kind uint16, value uint32) {
	begin := a.open(kind)
	*a = binary.BigEndian.AppendUint32(*a, value)
	a.close(begin)
}

// Network64 is Network32 for eight bytes.
func (a *Attributes) Network64(kind uint16, value uint64) {
	begin := a.open(kind)
	*a = binary.BigEndian.AppendUint64(*a, value)
	a.close(begin)
}

// Native32 appends a number in the machine's byte order, as routes have them.
func (a *Attributes) Native32(kind uint16, value uint32) {
	begin := a.open(kind)
	*a = binary.NativeEndian.AppendUint32(*a, value)
	a.close(begin)
}

// Nest appends an attribute of attributes, which fill appends.
func (a *Attributes) Nest(kind uint16, fill func(*Attributes)) {
	begin := a.open(kind | nested)
	fill(a)
	a.close(begin)
}

// open begins an attribute, whose length close fills in.
func (a *Attributes) open(kind uint16) int {
	begin := len(*a)
	*a = binary.NativeEndian.AppendUint16(*a, 0)
	*a = binary.NativeEndian.AppendUint16(*a, kind)
	return begin
}

func (a *Attributes) close(begin int) {
	binary.NativeEndian.PutUint16((*a)[begin:], uint16(len(*a)-begin))
	for len(*a)%4 != 0 {
		*a = append(*a, 0)
	}
}

// Each calls visit for each attribute in data, until it returns an error.
func Each(data []byte, visit func(kind uint16, value []byte) error) error {
	for len(data) >= attributeHead {
		size := int(binary.NativeEndian.Uint16(data))
		if size < attributeHead || size > len(data) {
			return errMalformed
		}
		kind := binary.NativeEndian.Uint16(data[2:]) & typeMask
		if err := visit(kind, data[attributeHead:size]); err != nil {
			return err
		}
		data = data[min(aligned(size), len(data)):]
	}
	return nil
}

func aligned(size int) int { return (size + 3) &^ 3 }

// Package tail keeps the end of a stream.
package tail

// Buffer keeps the end of what is written to it.
type Buffer struct {
	// Max is how many bytes are kept.
	Max  int
	cut  bool
	data []byte
}

// Write implements io.Writer. It never fails.
func (b *Buffer) Write(p []byte) (int, error) {
	b.data = append(b.data, p...)
	if len(b.data) > 2*b.Max { // seldom, for all that is kept has to move
		b.trim()
	}
	return len(p), nil
}

func (b *Buffer) trim() {
	if over := len(b.data) - b.Max; over > 0 {
		b.data, b.cut = append(b.data[:0], b.data[over:]...), true
	}
}

// Bytes are those that are kept, until the next Write. cut reports whether others came before them.
func (b *Buffer) Bytes() (data []byte, cut bool) {
	b.trim()
	return b.data, b.cut
}

package door

// chunks follows a body in chunks (RFC 9112, section 7.1) to its end, without taking it apart.
type chunks struct {
	state chunkState
	left  int64 // of the size that is being read, or of the data
	some  bool  // the line has had something in it
}

type chunkState int

const (
	chunkSize chunkState = iota
	chunkExtension
	chunkData
	chunkDataEnd
	chunkTrailer
)

// maxChunk is the largest size of a chunk whose digits can be counted on.
const maxChunk = 1 << 56

// follow reads on. n is how much of p belongs to the body; done says that it ends there.
func (c *chunks) follow(p []byte) (n int, done bool, err error) {
	for n < len(p) {
		if c.state == chunkData {
			step := int(min(c.left, int64(len(p)-n)))
			n += step
			if c.left -= int64(step); c.left == 0 {
				c.state = chunkDataEnd
			}
			continue
		}
		b := p[n]
		n++
		if done, err := c.next(b); done || err != nil {
			return n, done, err
		}
	}
	return n, false, nil
}

// next reads a byte that is not data.
func (c *chunks) next(b byte) (done bool, err error) {
	switch c.state {
	case chunkSize:
		digit, ok := hexDigit(b)
		switch {
		case ok && c.left < maxChunk/16:
			c.left, c.some = 16*c.left+digit, true
		case ok || !c.some:
			return false, errOdd
		case b == '\n':
			c.begin()
		case b == ';', b == '\r', b == ' ', b == '\t':
			c.state = chunkExtension
		default:
			return false, errOdd
		}
	case chunkExtension:
		if b == '\n' {
			c.begin()
		}
	case chunkDataEnd:
		switch b {
		case '\r':
		case '\n':
			c.state = chunkSize
		default:
			return false, errOdd
		}
	case chunkTrailer:
		switch b {
		case '\r':
		case '\n':
			if !c.some {
				return true, nil
			}
			c.some = false
		default:
			c.some = true
		}
	}
	return false, nil
}

// begin begins with what follows the line of a chunk's size.
func (c *chunks) begin() {
	c.state, c.some = chunkData, false
	if c.left == 0 {
		c.state = chunkTrailer
	}
}

func hexDigit(b byte) (int64, bool) {
	switch {
	case b >= '0' && b <= '9':
		return int64(b - '0'), true
	case b|0x20 >= 'a' && b|0x20 <= 'f':
		return int64(b|0x20-'a') + 10, true
	}
	return 0, false
}

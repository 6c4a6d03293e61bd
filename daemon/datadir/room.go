package datadir

import "fmt"

const (
	// scarce is how much is free, in bytes, on a disk that is as good as full.
	scarce = 1 << 20
	// roomForWrites is how much the database wants, in bytes: its log grows that much before it is
	// brought over.
	roomForWrites = 8 << 20
)

// Full is an error that says what is needed when the disk of the data directory has no room for
// writes, and nil otherwise, or when the disk cannot be asked.
func (d Dir) Full() error {
	free, err := FreeBytes(string(d))
	if err != nil {
		return nil //nolint:nilerr // whoever writes finds out
	}
	if free < scarce {
		return fmt.Errorf("the disk of %s is full (%d KiB free): free at least %d MiB there; until then objects are served and containers are left "+
			"as they are, but nothing new is stored", d, free>>10, roomForWrites>>20)
	}
	return nil
}

package podfacts

import (
	"os"
	"time"
)

// File is what is at a path in a container, as the files subresource of skiff's pods tells it.
type File struct {
	Name string
	// Size is in bytes.
	Size    int64
	Mode    os.FileMode
	ModTime time.Time
	// LinkTarget is where a symbolic link leads.
	LinkTarget string
}

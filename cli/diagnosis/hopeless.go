package diagnosis

import "slices"

// Hopeless reports whether a container that waits for this reason waits for something that will not happen
// by itself.
func Hopeless(reason string) bool { return slices.Contains(hopeless, reason) }

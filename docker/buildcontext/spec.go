// Package buildcontext says what an image is built of, and reads the folder that its build may see. It is
// about files and builders alone, so that commands that describe or watch a build share it with those that
// carry it out.
package buildcontext

import (
	"path"
	"path/filepath"
)

// Spec says what an image is made of.
type Spec struct {
	// Context is the folder that the build may read; what its .dockerignore names is left out.
	Context string
	// Dockerfile is a path, relative to Context; empty means Dockerfile. Inline is its text instead.
	Dockerfile, Inline string
	// Args are the build's variables; one without a value is left to the Dockerfile.
	Args                        map[string]*string
	Target, Platform, Network   string
	Tags, CacheFrom, ExtraHosts []string
	Labels                      map[string]string
	NoCache, Pull               bool
	// SharedMemory is the size of /dev/shm in bytes; 0 for the engine's default.
	SharedMemory int64
	// Secrets are what RUN --mount=type=secret reads, by ID. Only BuildKit can give them to a build.
	Secrets map[string][]byte
}

// inlineName is where an inline Dockerfile is put, beside the context's files.
const inlineName = ".skiff.Dockerfile"

// DockerfileName is the path of the Dockerfile in the context that the builder gets.
func (s *Spec) DockerfileName() string {
	switch {
	case s.Inline != "":
		return inlineName
	case s.Dockerfile == "":
		return "Dockerfile"
	}
	return path.Clean(filepath.ToSlash(s.Dockerfile))
}

// Package recipe knows how the images of an application are made: what compose files and annotations of
// manifests say of it. Its builder makes them on the engine, and says what it does.
package recipe

import (
	"reflect"

	"skiff/docker/buildcontext"
)

// Recipe is how one image is made.
type Recipe struct {
	// Service is what the image is for: a service, or KIND/NAME of a workload.
	Service string
	// Container is the container's name, in its pods.
	Container string
	// Image is the name by which containers refer to it.
	Image string
	// Where is the place in the files that says so.
	Where string
	// Always means that it is built at each up, also where the engine has it.
	Always bool
	buildcontext.Spec
}

// Same reports whether two recipes make the same.
func (r *Recipe) Same(other *Recipe) bool {
	return r.Image == other.Image && reflect.DeepEqual(r.Spec, other.Spec)
}

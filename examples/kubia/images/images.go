// Package images are the images of the kubia example.
package images

import (
	"context"

	"github.com/docker/docker/client"

	"skiff/examples/internal/image"
)

// Spec is one image: a name and how the app is called in it.
type Spec = image.Spec

// Kubia are the images that the tutorial's manifests name.
var Kubia = []Spec{
	{Name: "ksfzhaohui/kubia", Entrypoint: []string{"/kubia"}},
	{Name: "ksfzhaohui/kubia-unhealthy", Entrypoint: []string{"/kubia", "-unhealthy-after=5"}},
	{Name: "ksfzhaohui/batch-job", Entrypoint: []string{"/kubia", "-batch=120s"}},
}

// Program is what they are made of.
var Program = image.Program{Package: "skiff/examples/kubia/app", Path: "/kubia"}

// Missing returns the names of the example's images, and of skiff's own, that the engine does not
// have.
func Missing(ctx context.Context, engine client.APIClient) []string {
	return image.Missing(ctx, engine, Kubia)
}

// Build makes the images that are missing or out of date. It needs the go command and runs inside
// the skiff module.
func Build(ctx context.Context, engine client.APIClient, specs []Spec) error {
	return Program.Build(ctx, engine, specs)
}

// Remove takes images away again. One that is not there is no error, nor is one that somebody else
// uses by now.
func Remove(ctx context.Context, engine client.APIClient, names []string) error {
	return image.Remove(ctx, engine, names)
}

// Package images are the images of the shop, one for each of its parts.
package images

import "skiff/examples/internal/image"

// Shop are the images that the shop's manifests name.
var Shop = []image.Spec{part("web"), part("api"), part("store"), part("migrate")}

// Program is what they are made of.
var Program = image.Program{Package: "skiff/examples/shop/app", Path: "/shop"}

func part(name string) image.Spec {
	return image.Spec{Name: "skiff-shop/" + name, Entrypoint: []string{Program.Path, name}}
}

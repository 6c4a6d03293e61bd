package podfacts

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// FillAnnotation on a pod are names, separated by commas, of its volumes that take what a container's image
// has at their mount path, owner and mode included, as long as they are empty: as docker compose's named
// volumes do. It is for claims on the engine's volumes that are mounted as a whole. Kubernetes has no such
// thing; skiff alone looks at it.
const FillAnnotation = "skiff/fill"

// Fills reports whether a volume of a pod takes what the image has.
func Fills(pod *corev1.Pod, volume string) bool {
	return slices.Contains(strings.Split(pod.Annotations[FillAnnotation], ","), volume)
}

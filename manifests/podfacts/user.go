package podfacts

// UserAnnotation with a container's name behind it, on a pod, is the user that the container runs as,
// by its name in the image and perhaps its group's ("postgres", "unit:root"), where neither runAsUser,
// runAsGroup nor runAsNonRoot says otherwise. Kubernetes knows users by their numbers alone, compose
// files by their names too. Skiff alone looks at it.
const UserAnnotation = "skiff/user."

package podfacts

// UsageAnnotation is what each container of a pod on a simulated node is said to use, in
// metrics.k8s.io, for example "cpu=250m,memory=64Mi". What it leaves out is what the container
// requests.
const UsageAnnotation = "skiff/usage"

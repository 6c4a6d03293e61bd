package podfacts

// GatewayAnnotation on a pod are names, separated by commas, by which its containers find the machine of the
// engine, as docker compose's "extra_hosts: NAME:host-gateway" has it: skiff adds them to the host aliases,
// with the node's address, which nobody knows before the pod has a node. Skiff alone looks at it.
const GatewayAnnotation = "skiff/host-gateway"

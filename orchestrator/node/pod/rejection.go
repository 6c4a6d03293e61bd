package pod

// Rejection is why a node does not admit a pod that was bound to it. The scheduler would not have
// bound it.
type Rejection struct{ Reason, Message string }

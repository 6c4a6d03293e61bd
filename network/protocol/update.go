package protocol

// Update is one message on the control stream, from the daemon: what has changed in the desired
// state. The messages are JSON, one after another.
type Update struct {
	// Sequence grows by one with each message of a session.
	Sequence uint64
	// Config is set in a session's first message.
	Config *Config `json:",omitempty"`
	// Whole says that Set and Nodes are all there is: what the router knows beyond it is gone.
	Whole  bool      `json:",omitempty"`
	Set    []Service `json:",omitempty"`
	Delete []Key     `json:",omitempty"`
	// Nodes are all nodes, nil if they are as they were. They are never omitted: an empty list says
	// that there are none.
	Nodes []Node
	// Door is what the front door serves, nil if that is as it was.
	Door *Door `json:",omitempty"`
}

// Answer is what the router says to an Update when it is in force.
type Answer struct {
	Sequence uint64
	// Error is why the update as a whole is not in force, empty if it is. Problems are services
	// that are not in force, and why: the others are.
	Error    string            `json:",omitempty"`
	Problems map[string]string `json:",omitempty"`
	Stats    Stats
}

// Stats describe a router.
type Stats struct {
	// Version is Version.
	Version int
	// DataPath is "nftables", or "userland" where the kernel has none.
	DataPath string
	// Why says why it is userland.
	Why string `json:",omitempty"`
	// Services is how many there are. Resident is the process's memory in bytes.
	Services int
	Resident int64
	// Applied is how long it took to bring the update in force, in microseconds.
	Applied int64
}

package config

import "time"

// Engine is what the engine tells to whoever looks for trouble. Commands do not speak the Engine API.
type Engine struct {
	// Host is its address, Named what named it: a flag, a variable, a docker context.
	Host, Named string
	// Version is the engine's own, API the one that is spoken to it.
	Version, API string
	// OS is the name of its machine's system, Root the folder in which it keeps everything.
	OS, Root string
	// Local reports whether the engine's files are on this machine.
	Local, Rootless bool
	// CgroupDriver and CgroupVersion are how it limits containers.
	CgroupDriver, CgroupVersion string
	// MemoryLimit, PidsLimit and CPULimit report whether the limits of pods have an effect.
	MemoryLimit, PidsLimit, CPULimit bool
	// Time is its machine's, the zero time when it does not tell.
	Time time.Time
	// Remains are what instances of skiff have on it.
	Remains []Remains
}

// Remains are what one instance has on the engine.
type Remains struct {
	Instance                               string
	Containers, Running, Networks, Volumes int
}

package docker

import (
	"context"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
)

// Facts are what an engine tells of itself to whoever looks for trouble.
type Facts struct {
	// Version is the engine's own, API the one that is spoken to it.
	Version, API string
	// OS is the name of its machine's system, Root the folder in which it keeps everything.
	OS, Root string
	// CgroupDriver and CgroupVersion are how it limits containers.
	CgroupDriver, CgroupVersion string
	// MemoryLimit, PidsLimit and CPULimit report whether the limits of pods have an effect.
	MemoryLimit, PidsLimit, CPULimit bool
	Rootless                         bool
	// Time is its machine's, the zero time when it does not tell.
	Time time.Time
}

// Facts asks the engine about itself.
func (e *Engine) Facts(ctx context.Context) (Facts, error) {
	var told system.Info
	var api string
	err := e.call(ctx, "info", "", func(ctx context.Context, c *client.Client) (err error) {
		api = c.ClientVersion()
		told, err = c.Info(ctx)
		return err
	})
	if err != nil {
		return Facts{}, err
	}
	at, _ := time.Parse(time.RFC3339Nano, told.SystemTime) // the zero time otherwise
	return Facts{
		Version: told.ServerVersion, API: api, OS: told.OperatingSystem, Root: told.DockerRootDir,
		CgroupDriver: told.CgroupDriver, CgroupVersion: told.CgroupVersion,
		MemoryLimit: told.MemoryLimit, PidsLimit: told.PidsLimit, CPULimit: told.CPUCfsQuota,
		Rootless: slices.ContainsFunc(told.SecurityOptions, func(o string) bool { return strings.Contains(o, "rootless") }),
		Time:     at,
	}, nil
}

// Remains are what an instance of skiff has on the engine.
type Remains struct {
	Instance string
	// Containers counts all of them, Running those that run.
	Containers, Running, Networks, Volumes int
}

// Remains lists what all instances have on the engine, whosever they are: alone of all calls it looks
// beyond the engine's own instance. It changes nothing.
func (e *Engine) Remains(ctx context.Context) ([]Remains, error) {
	found := map[string]*Remains{}
	of := func(labels map[string]string) *Remains {
		id := labels[InstanceLabel]
		if found[id] == nil {
			found[id] = &Remains{Instance: id}
		}
		return found[id]
	}
	labelled := filters.NewArgs(filters.Arg("label", InstanceLabel))
	err := e.call(ctx, "list", "", func(ctx context.Context, c *client.Client) error {
		containers, err := c.ContainerList(ctx, container.ListOptions{All: true, Filters: labelled})
		for _, one := range containers {
			of(one.Labels).Containers++
			if one.State == "running" {
				of(one.Labels).Running++
			}
		}
		if err != nil {
			return err
		}
		networks, err := c.NetworkList(ctx, network.ListOptions{Filters: labelled})
		for _, one := range networks {
			of(one.Labels).Networks++
		}
		if err != nil {
			return err
		}
		volumes, err := c.VolumeList(ctx, volume.ListOptions{Filters: labelled})
		for _, one := range volumes.Volumes {
			of(one.Labels).Volumes++
		}
		return err
	})
	var all []Remains
	for _, id := range slices.Sorted(maps.Keys(found)) {
		all = append(all, *found[id])
	}
	return all, err
}

// Named says what names the engine that is used: the flag, a variable, a context of the docker CLI, or
// nothing, which is the default socket.
func Named(host string, getenv func(string) string) string {
	switch {
	case host != "":
		return "--engine"
	case getenv(client.EnvOverrideHost) != "":
		return client.EnvOverrideHost
	case getenv("DOCKER_CONTEXT") != "":
		return "DOCKER_CONTEXT " + getenv("DOCKER_CONTEXT")
	}
	config, err := readCLIConfig(configDir(getenv))
	if err == nil && config.CurrentContext != "" && config.CurrentContext != "default" {
		return "docker context " + config.CurrentContext + " (" + filepath.Join(configDir(getenv), "config.json") + ")"
	}
	return "the default socket"
}

package docker

import (
	"context"

	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/client"
)

// Info tells what the engine says of its machine. Arch is GOARCH's name. Images stays nil: see
// Images.
func (e *Engine) Info(ctx context.Context) (Info, error) {
	var told system.Info
	var api string
	err := e.call(ctx, "info", "", func(ctx context.Context, c *client.Client) (err error) {
		api = c.ClientVersion()
		told, err = c.Info(ctx)
		return err
	})
	if err != nil {
		return Info{}, err
	}
	return Info{
		CPUs: told.NCPU, MemoryBytes: told.MemTotal,
		OS: told.OSType, Arch: goArch(told.Architecture), KernelVersion: told.KernelVersion, OSImage: told.OperatingSystem,
		EngineVersion: told.ServerVersion, APIVersion: api, MachineID: told.ID, Name: told.Name,
		Root: told.DockerRootDir,
	}, nil
}

// goArch translates the kernel's name of a machine (uname -m).
func goArch(machine string) string {
	switch machine {
	case "x86_64":
		return "amd64"
	case "aarch64":
		return "arm64"
	case "armv7l", "armv6l":
		return "arm"
	case "i386", "i686":
		return "386"
	}
	return machine // ppc64le, s390x, riscv64 are the same
}

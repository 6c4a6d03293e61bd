package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"skiff/daemon/config"
	"skiff/docker"
)

// answerTime is how long an engine that is examined may take for an answer.
const answerTime = 5 * time.Second

// Examine asks the engine at an address about itself, and what all instances of skiff have on it. An empty
// address is where a daemon would look. What names the engine is told beside an error, if that much is
// known.
func Examine(ctx context.Context, host string) (config.Engine, error) {
	out := config.Engine{Named: docker.Named(host, os.Getenv)}
	engine, err := docker.Connect(ctx, docker.Options{Instance: "doctor", Host: host, Timeout: answerTime, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return out, err
	}
	defer engine.Close() //nolint:errcheck // it was only read from
	out.Host, out.Local = engine.Host(), engine.Local()
	if err := engine.Ping(ctx); err != nil {
		return out, err
	}
	facts, err := engine.Facts(ctx)
	if err != nil {
		return out, fmt.Errorf("asking the engine about itself: %w", err)
	}
	out.Version, out.API, out.OS, out.Root, out.Rootless, out.Time = facts.Version, facts.API, facts.OS, facts.Root, facts.Rootless, facts.Time
	out.CgroupDriver, out.CgroupVersion = facts.CgroupDriver, facts.CgroupVersion
	out.MemoryLimit, out.PidsLimit, out.CPULimit = facts.MemoryLimit, facts.PidsLimit, facts.CPULimit
	remains, err := engine.Remains(ctx)
	for _, r := range remains {
		out.Remains = append(out.Remains, config.Remains(r))
	}
	if err != nil {
		return out, fmt.Errorf("looking for what is on the engine: %w", err)
	}
	return out, nil
}

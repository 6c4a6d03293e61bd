package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// composeModule is the folder of the module that builds docker compose.
const composeModule = "integration/compose"

// composedFile is an application of three services, each of which waits for the health of the one before it.
// VERSION is what a change changes.
const composedFile = `
services:
  db: &server
    image: ` + toolbox + `
    command: [httpd, -f, -p, "80", -h, /www]
    healthcheck: {test: [CMD, wget, -q, -O, /dev/null, "http://127.0.0.1/"], interval: 1s}
    stop_grace_period: 0s
  api:
    <<: *server
    environment: {VERSION: "VERSION_OF_API"}
    depends_on: {db: {condition: service_healthy}}
  web:
    <<: *server
    depends_on: {api: {condition: service_healthy}}
`

// composeSteps are the steps of a round, as both tools do them at their best.
var composeSteps = []struct{ what, compose, skiff string }{
	{"up", "up -d --wait", "up -d"},
	{"nothing changed", "up -d --wait", "up -d"},
	{"one service changed", "up -d --wait", "up -d"},
	{"down", "down", "down"},
}

// composed measures an application of a compose file beside docker compose, in turn: brought up, brought up
// again as it is, with one service changed, and taken down.
func composed(ctx context.Context, b *bench) (rows []row, err error) {
	compose, err := b.buildCompose(ctx)
	if err != nil {
		return nil, err
	}
	remove, err := b.makeToolbox(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	dir := filepath.Join(b.dir, "composed")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	took := map[string][2][]time.Duration{}
	for round := range b.rounds {
		for tool, run := range []func(context.Context, string, string) (time.Duration, error){
			b.tool(b.skiff, "--data-dir", b.main.dir), b.tool(compose, "--ansi", "never", "--progress", "quiet"),
		} {
			for i, step := range composeSteps {
				version := fmt.Sprint(round, i == 2)
				file := filepath.Join(dir, "compose.yaml")
				if err := os.WriteFile(file, []byte(strings.Replace(composedFile, "VERSION_OF_API", version, 1)), 0o644); err != nil {
					return nil, err
				}
				line := []string{step.skiff, step.compose}[tool]
				d, err := run(ctx, dir, line)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", step.what, err)
				}
				all := took[step.what]
				all[tool] = append(all[tool], d)
				took[step.what] = all
			}
		}
	}
	for _, step := range composeSteps {
		rows = append(rows, within("compose file, "+step.what+" (raw: docker compose)", median(took[step.what][0]), median(took[step.what][1]), 1, "ms"))
	}
	return rows, nil
}

// buildCompose compiles docker compose from its module.
func (b *bench) buildCompose(ctx context.Context) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "skiff").Output()
	if err != nil {
		return "", fmt.Errorf("finding the skiff module: %w", err)
	}
	path := filepath.Join(b.dir, "docker-compose") // by its name it knows that it is no plugin
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags", "-s -w", "-o", path, "github.com/docker/compose/v5/cmd")
	cmd.Dir, cmd.Env = filepath.Join(strings.TrimSpace(string(root)), composeModule), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building docker compose: %w\n%s", err, out)
	}
	return path, nil
}

// tool runs a program in a folder, with flags before those of a command line, and times it.
func (b *bench) tool(program string, flags ...string) func(ctx context.Context, dir, line string) (time.Duration, error) {
	return func(ctx context.Context, dir, line string) (time.Duration, error) {
		cmd := exec.CommandContext(ctx, program, append(flags[:len(flags):len(flags)], strings.Fields(line)...)...)
		cmd.Dir = dir
		began := time.Now()
		out, err := cmd.CombinedOutput()
		if err != nil {
			return 0, fmt.Errorf("%s %s: %w\n%s", filepath.Base(program), line, err, out)
		}
		return time.Since(began), nil
	}
}

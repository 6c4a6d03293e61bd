package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/client"

	"skiff/docker/buildcontext"
	"skiff/docker/buildkit"
)

// Build makes an image on the engine, by BuildKit where it has that, and writes what the builder says to
// progress. ErrInvalid for a context that cannot be read, ErrBuild with the builder's words where it fails.
func (e *Engine) Build(ctx context.Context, spec buildcontext.Spec, progress io.Writer) error {
	name := strings.Join(spec.Tags, ", ")
	files, err := spec.Files()
	if err != nil {
		return &Error{Op: "build", Name: name, Kind: ErrInvalid, Err: err}
	}
	return e.stream(ctx, "build", name, func(ctx context.Context, c *client.Client) error {
		session, err := e.openSession(ctx, c, spec)
		if err != nil {
			return err
		}
		options := buildOptions(spec)
		if session != nil {
			defer session.close()
			options.Version, options.SessionID = build.BuilderBuildKit, session.ID
		} else if len(spec.Secrets) > 0 {
			return &Error{Op: "build", Name: name, Kind: ErrInvalid, Err: errors.New("it has secrets, which only BuildKit can give to it, and this engine has none or DOCKER_BUILDKIT turns it off")}
		}
		err = send(ctx, c, spec, files, options, progress)
		var known *Error
		if err == nil || ctx.Err() != nil || errors.As(err, &known) || unreachable(err) {
			return err
		}
		return &Error{Op: "build", Name: name, Kind: ErrBuild, Err: said{err}}
	})
}

func buildOptions(spec buildcontext.Spec) build.ImageBuildOptions {
	return build.ImageBuildOptions{
		Tags: spec.Tags, Dockerfile: spec.DockerfileName(), BuildArgs: spec.Args, Target: spec.Target, Platform: spec.Platform, NetworkMode: spec.Network,
		CacheFrom: spec.CacheFrom, ExtraHosts: spec.ExtraHosts, Labels: spec.Labels, NoCache: spec.NoCache, PullParent: spec.Pull, ShmSize: spec.SharedMemory,
		Remove: true, ForceRemove: true, Version: build.BuilderV1,
	}
}

// send sends the context, and reads what the builder says until it is done. A context that cannot be read is
// ErrInvalid.
func send(ctx context.Context, c *client.Client, spec buildcontext.Spec, files []string, options build.ImageBuildOptions, progress io.Writer) error {
	sent, done := piped(func(to io.Writer) error { return spec.Write(to, files) })
	err := post(ctx, c, sent, options, progress)
	if broken := done(); broken != nil {
		return &Error{Op: "build", Name: strings.Join(spec.Tags, ", "), Kind: ErrInvalid, Err: fmt.Errorf("reading the build context: %w", broken)}
	}
	return err
}

func post(ctx context.Context, c *client.Client, files io.Reader, options build.ImageBuildOptions, progress io.Writer) error {
	answer, err := c.ImageBuild(ctx, files, options)
	if err != nil {
		return err
	}
	return errors.Join(readBuild(answer.Body, &sink{to: progress}), answer.Body.Close())
}

// traceID is that of messages in which BuildKit tells of its steps.
const traceID = "moby.buildkit.trace"

// readBuild passes on what the builder says, and returns its error. Which builder it is shows in its
// messages: an engine that knows no BuildKit takes no notice of the wish for it.
func readBuild(from io.Reader, progress io.Writer) error {
	decoder := json.NewDecoder(from)
	steps := buildkit.NewProgress(progress)
	for {
		var m struct {
			ID     string          `json:"id"`
			Aux    json.RawMessage `json:"aux"`
			Stream string          `json:"stream"`
			Error  string          `json:"error"`
		}
		err := decoder.Decode(&m)
		if err == io.EOF { //nolint:errorlint // the decoder's plain EOF alone is the end; a wrapped one is a broken stream
			return nil
		}
		switch {
		case err != nil:
			return fmt.Errorf("read progress: %w", err)
		case m.Error != "":
			return errors.New(buildkit.Reason(m.Error))
		case m.ID == traceID:
			var trace []byte
			if err = json.Unmarshal(m.Aux, &trace); err == nil {
				err = steps.Add(trace)
			}
		case m.Stream != "":
			_, err = io.WriteString(progress, m.Stream)
		}
		if err != nil {
			return err
		}
	}
}

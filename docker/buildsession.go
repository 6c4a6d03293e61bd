package docker

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/client"

	"skiff/docker/buildcontext"
	"skiff/docker/buildkit"
)

// buildSession is an open session of BuildKit's.
type buildSession struct {
	*buildkit.Session
	conn    net.Conn
	serving sync.WaitGroup
}

func (s *buildSession) close() {
	_ = s.conn.Close() // both ends are done with it
	s.serving.Wait()
}

// openSession opens a session for a build by BuildKit: without one it could not even pull a public base
// image. nil means the classic builder, because the user or the engine wants that, or there is no BuildKit.
func (e *Engine) openSession(ctx context.Context, c *client.Client, spec buildcontext.Spec) (*buildSession, error) {
	wanted, err := e.wantsBuildKit(ctx, c)
	if err != nil || !wanted {
		return nil, err
	}
	s := &buildSession{Session: buildkit.NewSession()}
	s.Credentials = e.buildCredentials
	s.Secrets = spec.Secrets
	s.conn, err = dialSession(ctx, c, s.Headers())
	if err != nil {
		if ctx.Err() != nil || unreachable(err) {
			return nil, err
		}
		e.log.Debug("no session for BuildKit, the classic builder is used", "error", err)
		return nil, nil
	}
	s.serving.Go(func() { s.Serve(ctx, s.conn) })
	return s, nil
}

// dialSession opens the connection of a session. The client takes no notice of ctx while it waits for the
// engine's answer, so that is left behind when ctx ends: a connection that comes late is closed.
func dialSession(ctx context.Context, c *client.Client, headers map[string][]string) (net.Conn, error) {
	type dialed struct {
		conn net.Conn
		err  error
	}
	answers := make(chan dialed)
	go func() {
		conn, err := c.DialHijack(ctx, "/session", "h2c", headers)
		select {
		case answers <- dialed{conn, err}:
		case <-ctx.Done():
			if err == nil {
				_ = conn.Close() // nobody has used it
			}
		}
	}()
	select {
	case answer := <-answers:
		return answer.conn, answer.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// wantsBuildKit follows the docker CLI: DOCKER_BUILDKIT decides, else what the engine prefers. Engine 20.10
// prefers nothing unless it is configured to; every later one has BuildKit for Linux.
func (e *Engine) wantsBuildKit(ctx context.Context, c *client.Client) (bool, error) {
	if text := e.getenv("DOCKER_BUILDKIT"); text != "" {
		on, err := strconv.ParseBool(text)
		if err != nil {
			return false, &Error{Op: "build", Kind: ErrInvalid, Err: errors.New("DOCKER_BUILDKIT is neither 0 nor 1")}
		}
		return on, nil
	}
	ping, err := c.Ping(ctx)
	return ping.BuilderVersion != build.BuilderV1, err
}

// buildCredentials are what docker login has stored for a registry that BuildKit asks about.
func (e *Engine) buildCredentials(ctx context.Context, host string) (user, secret string, err error) {
	if host == "registry-1.docker.io" || host == "docker.io" {
		host = dockerHub
	}
	config, err := readCLIConfig(e.configDir)
	if err != nil {
		return "", "", err
	}
	auth, err := config.credentials(ctx, host)
	if err != nil || auth == nil {
		return "", "", err
	}
	if auth.IdentityToken != "" {
		return "", auth.IdentityToken, nil
	}
	return auth.Username, auth.Password, nil
}

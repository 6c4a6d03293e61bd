// Package proxy serves the API server on this machine without credentials: skiff proxy.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"skiff/cli/command"
)

const defaultPort = 8001

// Command is skiff proxy.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "proxy", Usage: "Serve the API server on this machine, without credentials",
		Description: "Whoever reaches the proxy can do all that you can: it listens on loopback, and takes requests to a loopback name alone, unless told\notherwise.",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "port", Aliases: []string{"p"}, Value: defaultPort, Usage: "`PORT` to listen on; 0 for a free one"},
			&cli.StringFlag{Name: "address", Value: "127.0.0.1", Usage: "`ADDRESS` to listen on"},
			&cli.StringFlag{Name: "unix-socket", Aliases: []string{"u"}, Usage: "`PATH` of a socket to listen on instead"},
			&cli.StringFlag{Name: "api-prefix", Value: "/", Usage: "`PREFIX` of the paths under which the API is served"},
			&cli.StringFlag{Name: "www", Aliases: []string{"w"}, Usage: "`DIRECTORY` whose files to serve as well"},
			&cli.StringFlag{Name: "www-prefix", Aliases: []string{"P"}, Value: "/static/", Usage: "`PREFIX` of the files' paths"},
			&cli.StringFlag{Name: "accept-paths", Value: "^.*", Usage: "`PATTERNS` of the paths to serve, joined by commas"},
			&cli.StringFlag{Name: "reject-paths", Value: "^/api/.*/pods/.*/exec,^/api/.*/pods/.*/attach,^/api/.*/pods/.*/(kill|files)", Usage: "`PATTERNS` of the paths to refuse even so"},
			&cli.StringFlag{Name: "accept-hosts", Value: `^localhost$,^127\.0\.0\.1$,^\[::1\]$`, Usage: "`PATTERNS` of the hosts that requests may be for"},
			&cli.StringFlag{Name: "reject-methods", Value: "^$", Usage: "`PATTERNS` of the methods to refuse"},
			&cli.BoolFlag{Name: "disable-filter", Usage: "serve every path, host and method: any web page that you open may then use the proxy"},
			&cli.DurationFlag{Name: "keepalive", Usage: "time between probes of idle connections to the server; 0 for none"},
			&cli.BoolFlag{Name: "append-server-path", Usage: "put the path of the server's address before each request's"},
		},
		Action: func(c *cli.Context) error { return run(c, env) },
	},
		"skiff proxy",
		"skiff proxy --port=0 --reject-methods=POST,PUT,PATCH,DELETE     # read only",
		"skiff proxy --www=./page --api-prefix=/k8s-api/")
}

func run(c *cli.Context, env *command.Env) error {
	if c.IsSet("port") && c.String("unix-socket") != "" {
		return errors.New("cannot set --unix-socket and --port at the same time")
	}
	cl, err := env.Connect(c)
	if err != nil {
		return err
	}
	h, err := handler(c, env, cl.Config)
	if err != nil {
		return err
	}
	l, err := listen(c)
	if err != nil {
		return err
	}
	fmt.Fprintf(env.Out, "Starting to serve on %s\n", l.Addr())
	return serve(c.Context, l, h)
}

// listen opens the port or socket. A socket of an earlier proxy makes way, another file does not, and only
// this user may use it.
func listen(c *cli.Context) (net.Listener, error) {
	path := c.String("unix-socket")
	if path == "" {
		return net.Listen("tcp", net.JoinHostPort(c.String("address"), strconv.Itoa(c.Int("port"))))
	}
	if info, err := os.Stat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	return l, os.Chmod(path, 0o600)
}

// serve answers requests until ctx ends.
func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 32 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	err := server.Serve(l)
	if errors.Is(err, http.ErrServerClosed) {
		return ctx.Err()
	}
	return err
}

// slashed is a prefix that ends with a slash.
func slashed(prefix string) string { return strings.TrimSuffix(prefix, "/") + "/" }

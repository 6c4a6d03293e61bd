package proxy

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"k8s.io/client-go/rest"

	"skiff/cli/command"
)

// handler serves the API below its prefix, and files below theirs.
func handler(c *cli.Context, env *command.Env, config *rest.Config) (http.Handler, error) {
	if c.IsSet("keepalive") {
		config = rest.CopyConfig(config)
		config.Dial = dialer(c.Duration("keepalive")).DialContext
	}
	api, err := forward(config, c.Bool("append-server-path"))
	if err != nil {
		return nil, err
	}
	if c.Bool("disable-filter") {
		if c.String("unix-socket") == "" {
			fmt.Fprintln(env.Err, "Warning: request filter disabled, your proxy is vulnerable to XSRF attacks, please be cautious")
		}
	} else if api, err = newFilter(c, api); err != nil {
		return nil, err
	}
	prefix := slashed(c.String("api-prefix"))
	if !strings.HasPrefix(prefix, "/api") {
		api = http.StripPrefix(strings.TrimSuffix(prefix, "/"), api)
	}
	mux := http.NewServeMux()
	mux.Handle(prefix, api)
	if dir := c.String("www"); dir != "" {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return nil, fmt.Errorf("--www: %s is not a directory", dir)
		}
		at := slashed(c.String("www-prefix"))
		mux.Handle(at, http.StripPrefix(at, http.FileServer(http.Dir(dir))))
	}
	return mux, nil
}

// dialer connects to the server, and probes connections at this interval; 0 for not at all.
func dialer(keepAlive time.Duration) *net.Dialer {
	if keepAlive == 0 {
		keepAlive = -1
	}
	return &net.Dialer{Timeout: 30 * time.Second, KeepAlive: keepAlive}
}

// forward sends requests on to the server with this user's credentials. Connections that become streams
// (exec, port-forward) need HTTP/1.1.
func forward(config *rest.Config, withPath bool) (http.Handler, error) {
	target, err := url.Parse(config.Host)
	if err != nil {
		return nil, fmt.Errorf("reading the server's address: %w", err)
	}
	config = rest.CopyConfig(config)
	config.NextProtos = []string{"http/1.1"}
	config.Timeout = 0
	transport, err := rest.TransportFor(config)
	if err != nil {
		return nil, err
	}
	return &httputil.ReverseProxy{
		Transport: transport,
		// What a watch or a log sends is passed on at once.
		FlushInterval: -1,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = target.Scheme, target.Host, target.Host
			if withPath {
				r.Out.URL.Path = strings.TrimSuffix(target.Path, "/") + r.Out.URL.Path
				r.Out.URL.RawPath = ""
			}
			// The server takes what it finds here for a client's own credentials, or asks a browser for some.
			r.Out.Header.Del("Authorization")
			r.Out.Header.Del("Origin")
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, err.Error(), http.StatusBadGateway)
		},
	}, nil
}

// filter refuses requests as the flags say.
type filter struct {
	next                                                 http.Handler
	acceptPaths, rejectPaths, acceptHosts, rejectMethods []*regexp.Regexp
}

func newFilter(c *cli.Context, next http.Handler) (http.Handler, error) {
	f := &filter{next: next}
	for name, into := range map[string]*[]*regexp.Regexp{
		"accept-paths": &f.acceptPaths, "reject-paths": &f.rejectPaths, "accept-hosts": &f.acceptHosts, "reject-methods": &f.rejectMethods,
	} {
		if c.String(name) == "" {
			continue
		}
		for _, text := range strings.Split(c.String(name), ",") {
			pattern, err := regexp.Compile(text)
			if err != nil {
				return nil, fmt.Errorf("--%s: %w", name, err)
			}
			*into = append(*into, pattern)
		}
	}
	return f, nil
}

// ServeHTTP implements http.Handler.
func (f *filter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host := r.Host
	if u, err := url.Parse("//" + r.Host); err == nil {
		host = u.Hostname()
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
	}
	if fromElsewhere(r) || matches(r.URL.Path, f.rejectPaths) || matches(r.Method, f.rejectMethods) || !matches(r.URL.Path, f.acceptPaths) || !matches(host, f.acceptHosts) {
		http.Error(w, http.StatusText(http.StatusForbidden), http.StatusForbidden)
		return
	}
	f.next.ServeHTTP(w, r)
}

// fromElsewhere reports whether a page that the proxy has not served wants something done, or a connection that is
// not bound by what browsers let pages read. A request without an origin is no page's.
func fromElsewhere(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || (r.Method == http.MethodGet || r.Method == http.MethodHead) && r.Header.Get("Upgrade") == "" {
		return false
	}
	u, err := url.Parse(origin)
	return err != nil || u.Host != r.Host
}

func matches(text string, patterns []*regexp.Regexp) bool {
	return slices.ContainsFunc(patterns, func(p *regexp.Regexp) bool { return p.MatchString(text) })
}

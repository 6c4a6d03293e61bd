// Package client speaks the Kubernetes API for the command line: which server, with which
// credentials, and the requests themselves, on objects of any kind that the server serves.
package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/clock"
)

// Options say which server to talk to. The zero value means the kubeconfig every Kubernetes client
// uses.
type Options struct {
	Kubeconfig, Context, Namespace, Server string
	// NamespaceGiven says that Namespace was asked for, and is not merely the default.
	NamespaceGiven bool
	// Own is the kubeconfig of skiff's daemon; "" when another cluster was named.
	Own string
	// RequestTimeout bounds each request; 0 for no limit.
	RequestTimeout time.Duration
	// Verbosity as kubectl's: from 6 on requests are logged to Err.
	Verbosity int
	Err       io.Writer
	// Warnings receives the server's warnings; nil drops them.
	Warnings rest.WarningHandler
	// Overrides take precedence over the kubeconfig, as the fields above do.
	Overrides clientcmd.ConfigOverrides
	Clock     clock.Clock
}

// Client talks to one API server. It is safe for concurrent use.
type Client struct {
	// Config is what the connection was made from. Streams (exec, port-forward) make their own
	// connections.
	Config *rest.Config
	// Namespace is that of objects that name none; NamespaceGiven reports whether it was asked for.
	Namespace      string
	NamespaceGiven bool

	rest    *rest.RESTClient
	own     bool
	catalog func() (*Catalog, error)
}

// NoDaemonError says that skiff's daemon is not running: it has no kubeconfig at Path.
type NoDaemonError struct{ Path string }

func (e *NoDaemonError) Error() string {
	return fmt.Sprintf("no skiff daemon is running (%s does not exist): start it with 'skiff daemon start' or 'skiff up', or name another cluster with --context or --kubeconfig", e.Path)
}

// OwnClusterError marks a failure to reach skiff's own daemon, so that the message can say how to
// start it.
type OwnClusterError struct{ Err error }

func (e *OwnClusterError) Error() string { return e.Err.Error() }
func (e *OwnClusterError) Unwrap() error { return e.Err }

// New reads the kubeconfig and prepares a client; nothing is sent yet.
func New(o Options) (*Client, error) {
	config := loader(o)
	if o.Own != "" && o.Server == "" {
		if _, err := os.Stat(o.Own); os.IsNotExist(err) {
			return nil, &NoDaemonError{Path: o.Own}
		}
	}
	rc, err := config.ClientConfig()
	if err != nil {
		return nil, err
	}
	ns, _, err := config.Namespace()
	if err != nil {
		return nil, err
	}
	c := &Client{Config: rc, Namespace: ns, NamespaceGiven: o.NamespaceGiven, own: o.Own != "" && o.Server == ""}
	prepare(rc, o, c.own)
	h, err := rest.HTTPClientFor(rc)
	if err != nil {
		return nil, err
	}
	if c.rest, err = rest.UnversionedRESTClientForConfigAndClient(rc, h); err != nil {
		return nil, err
	}
	c.catalog = sync.OnceValues(func() (*Catalog, error) { return discover(context.TODO(), c.rest) })
	return c, nil
}

// Loader returns the kubeconfig as clientcmd merges it, for commands that show or change it.
func Loader(o Options) clientcmd.ClientConfig { return loader(o) }

func loader(o Options) clientcmd.ClientConfig {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.Kubeconfig
	if o.Own != "" {
		rules = &clientcmd.ClientConfigLoadingRules{Precedence: []string{o.Own}}
	}
	overrides := o.Overrides
	overrides.CurrentContext, overrides.ClusterInfo.Server, overrides.Context.Namespace = o.Context, o.Server, o.Namespace
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &overrides)
}

// prepare sets what all requests share. The rate limits are kubectl's: a command makes a burst of
// requests, then ends.
func prepare(rc *rest.Config, o Options, own bool) {
	rc.QPS, rc.Burst = 50, 300
	rc.Timeout = o.RequestTimeout
	rc.UserAgent = fmt.Sprintf("%s (%s/%s)", filepath.Base(os.Args[0]), runtime.GOOS, runtime.GOARCH)
	rc.GroupVersion = &schema.GroupVersion{}
	// Objects decode as unstructured ones; the API machinery's own types (Status, in errors and
	// watches) decode as themselves.
	rc.NegotiatedSerializer = dynamic.ConfigFor(rc).NegotiatedSerializer
	rc.ContentType, rc.AcceptContentTypes = "application/json", "application/json"
	if rc.WarningHandler = o.Warnings; o.Warnings == nil {
		rc.WarningHandler = rest.NoWarnings{}
	}
	if o.Verbosity >= 6 {
		rc.Wrap(func(rt http.RoundTripper) http.RoundTripper {
			return &requestLog{next: rt, out: o.Err, level: o.Verbosity, clock: o.Clock}
		})
	}
	if own {
		rc.Wrap(func(rt http.RoundTripper) http.RoundTripper { return ownTransport{rt} })
	}
}

// ownTransport marks connection errors of skiff's own daemon.
type ownTransport struct{ next http.RoundTripper }

func (t ownTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, &OwnClusterError{Err: err}
	}
	return resp, nil
}

// Own reports whether the server is skiff's own daemon, as far as the command line tells: a
// kubeconfig or an address that the user names may lead to it as well.
func (c *Client) Own() bool { return c.own }

// Catalog returns what kinds the server has, asked for once.
func (c *Client) Catalog() (*Catalog, error) { return c.catalog() }

// Text fetches a path whose answer is no object: /version, /openapi/v3, /healthz.
func (c *Client) Text(ctx context.Context, path string, params map[string]string) ([]byte, error) {
	r := c.rest.Get().AbsPath(path)
	for k, v := range params {
		r.Param(k, v)
	}
	return text(ctx, r)
}

// Raw fetches a path with its query as the server has it.
func (c *Client) Raw(ctx context.Context, uri string) ([]byte, error) {
	return text(ctx, c.rest.Get().RequestURI(uri))
}

// SendRaw sends a body to a path as it stands, and returns the answer.
func (c *Client) SendRaw(ctx context.Context, verb, uri string, body []byte) ([]byte, error) {
	r := c.rest.Verb(verb).RequestURI(uri)
	if len(body) > 0 {
		r.SetHeader("Content-Type", "application/json").Body(body)
	}
	return text(ctx, r)
}

// text returns an answer's body, or the error that the server sent in it: Raw alone knows only the
// error's code.
func text(ctx context.Context, r *rest.Request) ([]byte, error) {
	result := r.Do(ctx)
	if err := result.Error(); err != nil {
		return nil, err
	}
	return result.Raw()
}

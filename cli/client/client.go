// Package client speaks the Kubernetes API for the command line: which server, with what credentials, and the requests
// themselves, on objects of any kind the server tells of.
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

// Options say which server to talk to. The zero value means the kubeconfig every Kubernetes client uses.
type Options struct {
	Kubeconfig, Context, Namespace, Server string
	// Own is the kubeconfig of skiff's daemon; "" when another cluster was named.
	Own string
	// RequestTimeout bounds each request; 0 for no limit.
	RequestTimeout time.Duration
	// Verbosity as kubectl's: from 6 on requests are logged to Err.
	Verbosity int
	Err       io.Writer
	// Warnings gets what the server warns of; nil drops it.
	Warnings rest.WarningHandler
	// Overrides go before what the kubeconfig says, as the fields above do.
	Overrides clientcmd.ConfigOverrides
	Clock     clock.Clock
}

// Client talks to one API server. It is safe for concurrent use.
type Client struct {
	// Config is what the connection was made from; streams (exec, port-forward) make connections of their own.
	Config *rest.Config
	// Namespace is the one to use for objects that name none; NamespaceGiven whether a flag named it.
	Namespace      string
	NamespaceGiven bool

	rest    *rest.RESTClient
	own     bool
	catalog func() (*Catalog, error)
}

// NoDaemonError says that skiff's daemon has never been started: there is no kubeconfig of its.
type NoDaemonError struct{ Path string }

func (e *NoDaemonError) Error() string {
	return fmt.Sprintf("no skiff daemon is running (%s does not exist): start it with 'skiff daemon start' or 'skiff up', or name another cluster with --context or --kubeconfig", e.Path)
}

// OwnClusterError marks an error of reaching skiff's own daemon, so that the message can say how to start it.
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
	c := &Client{Config: rc, Namespace: ns, NamespaceGiven: o.Namespace != "", own: o.Own != "" && o.Server == ""}
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

// prepare sets what is the same for all requests. The rate limits are kubectl's: a command makes a burst, then ends.
func prepare(rc *rest.Config, o Options, own bool) {
	rc.QPS, rc.Burst = 50, 300
	rc.Timeout = o.RequestTimeout
	rc.UserAgent = fmt.Sprintf("%s (%s/%s)", filepath.Base(os.Args[0]), runtime.GOOS, runtime.GOARCH)
	rc.GroupVersion = &schema.GroupVersion{}
	// Objects of any kind as unstructured ones, the API machinery's own (Status, in errors and watches) as what they are.
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

// REST is the client's connection, for requests that are not about an object.
func (c *Client) REST() *rest.RESTClient { return c.rest }

// Catalog returns what kinds the server has, asked for once.
func (c *Client) Catalog() (*Catalog, error) { return c.catalog() }

// Text fetches a path that answers in something else than an object: /version, /openapi/v3, /healthz.
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

// text is an answer's body, or the error that the server says it is: Raw alone
// knows an error's code only.
func text(ctx context.Context, r *rest.Request) ([]byte, error) {
	result := r.Do(ctx)
	if err := result.Error(); err != nil {
		return nil, err
	}
	return result.Raw()
}

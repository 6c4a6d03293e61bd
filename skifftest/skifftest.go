// Package skifftest gives a Go test a Kubernetes API of its own, in a tenth of a second: skiff's daemon as a
// child process, with all controllers at work.
//
//	func TestController(t *testing.T) {
//		config := skifftest.Start(t)
//		...
//	}
//
// Pods run in memory on one simulated node, so that no Docker Engine is needed; WithEngine has them really
// run. A test that fails leaves what there was, objects, events and logs, in its artifact directory.
//
// The program is the one that the variable SKIFF names, else skiff on the path.
package skifftest

import (
	"os"
	"sync"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Option changes how a daemon is started.
type Option func(*options)

type options struct {
	program string
	engine  string
	args    []string
}

// WithEngine has pods run on the Docker Engine at an address: "" is the one of DOCKER_HOST or of the current
// Docker context. Containers, network and volumes are removed when the test ends.
func WithEngine(address string) Option { return func(o *options) { o.engine = address } }

// WithProgram names skiff's program, in place of the variable SKIFF and the path.
func WithProgram(path string) Option { return func(o *options) { o.program = path } }

// WithArgs adds flags of skiff daemon run.
func WithArgs(args ...string) Option { return func(o *options) { o.args = append(o.args, args...) } }

// noEngine is what skiff calls the absence of an engine.
const noEngine = "none"

func gather(given []Option) options {
	o := options{engine: noEngine, program: os.Getenv("SKIFF")}
	for _, option := range given {
		option(&o)
	}
	if o.program == "" {
		o.program = "skiff"
	}
	return o
}

// Start starts a daemon for one test, and ends it with the test. The test fails at once if there can be none.
// The config is the administrator's, without a limit on requests.
func Start(t testing.TB, given ...Option) *rest.Config {
	t.Helper()
	s, err := start(gather(given))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
	return s.serve(t)
}

// shared is the daemon of all tests of a binary.
var shared struct {
	mu      sync.Mutex
	main    bool
	options []Option
	server  *server
	err     error
}

// Main runs the tests of a binary that use Shared, and ends its daemon. Call it in TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(skifftest.Main(m)) }
func Main(m *testing.M, given ...Option) int {
	shared.mu.Lock()
	shared.main, shared.options = true, given
	shared.mu.Unlock()
	code := m.Run()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.server == nil {
		return code
	}
	if err := shared.server.stop(); err != nil {
		_, _ = os.Stderr.WriteString(err.Error() + "\n")
		return max(code, 1)
	}
	return code
}

// Shared is the config of one daemon for all tests of the binary, started when the first asks. Tests keep
// apart by namespaces of their own. It needs Main.
func Shared(t testing.TB) *rest.Config {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if !shared.main {
		t.Fatal("skifftest.Shared needs skifftest.Main in TestMain: somebody has to end the daemon")
	}
	if shared.server == nil && shared.err == nil {
		shared.server, shared.err = start(gather(shared.options))
	}
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.server.serve(t)
}

// serve returns the config for a test, which leaves what there was if it fails. The daemon has to run until
// the test's cleanup.
func (s *server) serve(t testing.TB) *rest.Config {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			s.dump(t)
		}
	})
	config, err := s.config()
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// config reads how the daemon is reached.
func (s *server) config() (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", s.kubeconfig())
	if err != nil {
		return nil, err
	}
	config.QPS = -1 // no limit of the client's own
	return config, nil
}

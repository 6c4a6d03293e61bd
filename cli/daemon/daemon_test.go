package daemon

import (
	"context"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/clock"
)

func testConfig(t *testing.T) Config {
	t.Helper()
	c := Config{DataDir: t.TempDir(), Listen: "127.0.0.1:0"}
	if err := c.prepare(); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestLockNamesItsHolder(t *testing.T) {
	c := testConfig(t)
	if pid, err := holder(c); pid != 0 || err != nil {
		t.Fatalf("before: %d, %v", pid, err)
	}
	l, err := acquire(t.Context(), c, clock.RealClock{})
	if err != nil {
		t.Fatal(err)
	}
	if pid, err := holder(c); pid != os.Getpid() || err != nil {
		t.Errorf("held: %d, %v", pid, err)
	}
	var held *heldError
	if _, err := acquire(t.Context(), c, clock.RealClock{}); !errors.As(err, &held) || held.pid != os.Getpid() {
		t.Errorf("a second one: %v", err)
	}
	if err := l.release(); err != nil {
		t.Fatal(err)
	}
	if pid, err := holder(c); pid != 0 || err != nil {
		t.Errorf("released: %d, %v", pid, err)
	}
}

// TestLookingDoesNotKeepFromLocking looks for the holder all the time while somebody else takes the lock.
func TestLookingDoesNotKeepFromLocking(t *testing.T) {
	c := testConfig(t)
	ctx, cancel := context.WithCancel(t.Context())
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		for ctx.Err() == nil {
			if _, err := holder(c); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for range 50 {
		l, err := acquire(t.Context(), c, clock.RealClock{})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.release(); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	<-looked
}

func TestEnsureWaitsForADaemonThatStarts(t *testing.T) {
	c := testConfig(t)
	l, err := acquire(t.Context(), c, clock.RealClock{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.release() //nolint:errcheck // the directory goes
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, _, err := ensure(ctx, c, nil, clock.RealClock{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without a kubeconfig: %v", err)
	}
	if err := writeKubeconfig(c.kubeconfig(), newKubeconfig("127.0.0.1:1", clientIdentity{})); err != nil {
		t.Fatal(err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, _, err := ensure(ctx, c, nil, clock.RealClock{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with what a killed daemon left: %v", err)
	}
	asked := 0
	api := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked++; r.URL.Path != "/readyz" || asked < 3 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer api.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: api.Certificate().Raw})
	if err := writeKubeconfig(c.kubeconfig(), newKubeconfig(api.Listener.Addr().String(), clientIdentity{ca: ca})); err != nil {
		t.Fatal(err)
	}
	if pid, started, err := ensure(t.Context(), c, nil, clock.RealClock{}); pid != os.Getpid() || started || err != nil {
		t.Errorf("with one that answers: %d, %v, %v", pid, started, err)
	}
	if asked != 3 {
		t.Errorf("asked %d times, want until it is ready, the third time", asked)
	}
}

func TestNodeNameIsKept(t *testing.T) {
	c := testConfig(t)
	c.NodeName = "first"
	for _, step := range []struct{ given, want, fails string }{
		{"first", "first", ""}, {"", "first", ""}, {"second", "", `is called "first" and can not become "second"`},
	} {
		c.NodeName = step.given
		got, err := nodeName(c)
		if got != step.want || (err != nil) != (step.fails != "") || err != nil && !strings.Contains(err.Error(), step.fails) {
			t.Errorf("given %q: %q, %v", step.given, got, err)
		}
	}
	bad := testConfig(t)
	bad.NodeName = "Bad_Name"
	if _, err := nodeName(bad); err == nil || !strings.Contains(err.Error(), "--node-name") {
		t.Errorf("a bad name: %v", err)
	}
}

func TestNodeNameOfAHost(t *testing.T) {
	for host, want := range map[string]string{"vm": "vm", "My_Laptop.local": "my-laptop.local", "-odd-": "odd", "Jürgens PC": "j-rgens-pc"} {
		if got, err := hostNodeName(func() (string, error) { return host, nil }); got != want || err != nil {
			t.Errorf("%q: %q, %v", host, got, err)
		}
	}
}

func TestInstanceIsKeptAndPrivate(t *testing.T) {
	c := testConfig(t)
	first, err := instanceID(c)
	if err != nil || len(first) != 8 {
		t.Fatalf("%q, %v", first, err)
	}
	if again, err := instanceID(c); again != first || err != nil {
		t.Errorf("%q, %v", again, err)
	}
	if other, err := instanceID(testConfig(t)); other == first || err != nil {
		t.Errorf("another directory: %q, %v", other, err)
	}
	if info, err := os.Stat(c.instanceFile()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestMergeKeepsWhatTheUserHas(t *testing.T) {
	own := t.TempDir() + "/own"
	t.Setenv("KUBECONFIG", own)
	mine := newKubeconfig("example.com:6443", clientIdentity{})
	mine.Contexts["mine"], mine.Clusters["mine"], mine.AuthInfos["mine"] = mine.Contexts[contextName], mine.Clusters[contextName], mine.AuthInfos[contextName]
	delete(mine.Contexts, contextName)
	mine.CurrentContext = "mine"
	if err := clientcmd.WriteToFile(*mine, own); err != nil {
		t.Fatal(err)
	}
	c := testConfig(t)
	if err := writeKubeconfig(c.kubeconfig(), newKubeconfig("127.0.0.1:7443", clientIdentity{})); err != nil {
		t.Fatal(err)
	}
	l, err := acquire(t.Context(), c, clock.RealClock{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.release() //nolint:errcheck // the directory goes
	read, err := readKubeconfig(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mergeKubeconfig(read); err != nil {
		t.Fatal(err)
	}
	got, err := clientcmd.LoadFromFile(own)
	if err != nil {
		t.Fatal(err)
	}
	if got.CurrentContext != contextName || got.Contexts["mine"] == nil || got.Clusters[contextName].Server != "https://127.0.0.1:7443" {
		t.Errorf("merged: current %q, %v, %v", got.CurrentContext, got.Contexts, got.Clusters[contextName])
	}
}

func TestWithoutADaemonTheKubeconfigSaysSo(t *testing.T) {
	c := testConfig(t)
	for _, left := range []string{"nothing", "the file of a daemon that was killed"} {
		if _, err := readKubeconfig(c); err == nil || !strings.Contains(err.Error(), "no daemon runs") || !strings.Contains(err.Error(), "skiff daemon start") {
			t.Errorf("%s: %v", left, err)
		}
		if err := writeKubeconfig(c.kubeconfig(), newKubeconfig("127.0.0.1:1", clientIdentity{})); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNamespaceOutlivesTheKubeconfig(t *testing.T) {
	c := Config{DataDir: t.TempDir()}
	fresh := func() string {
		cfg := newKubeconfig("127.0.0.1:1", clientIdentity{})
		if err := recallNamespace(c, cfg); err != nil {
			t.Fatal(err)
		}
		return cfg.Contexts[contextName].Namespace
	}
	if got := fresh(); got != "default" {
		t.Errorf("at first %q", got)
	}
	chosen := newKubeconfig("127.0.0.1:1", clientIdentity{})
	chosen.Contexts[contextName].Namespace = "dev"
	if err := writeKubeconfig(c.kubeconfig(), chosen); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second removal finds no file
		if err := removeKubeconfig(c); err != nil {
			t.Fatal(err)
		}
	}
	if got := fresh(); got != "dev" {
		t.Errorf("afterwards %q, want the namespace that was chosen", got)
	}
}

package daemon

import (
	"context"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/clock"

	"skiff/daemon/datadir"
)

func testDir(t *testing.T) datadir.Dir {
	t.Helper()
	d := datadir.Dir(t.TempDir())
	if err := d.Prepare(); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestEnsureWaitsForADaemonThatStarts(t *testing.T) {
	dir := testDir(t)
	l, err := dir.Acquire(t.Context(), clock.RealClock{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release() //nolint:errcheck // the directory goes
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, _, err := ensure(ctx, dir, nil, clock.RealClock{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without a kubeconfig: %v", err)
	}
	if err := dir.WriteKubeconfig(datadir.NewKubeconfig("127.0.0.1:1", datadir.ClientIdentity{})); err != nil {
		t.Fatal(err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, _, err := ensure(ctx, dir, nil, clock.RealClock{}); !errors.Is(err, context.DeadlineExceeded) {
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
	if err := dir.WriteKubeconfig(datadir.NewKubeconfig(api.Listener.Addr().String(), datadir.ClientIdentity{CA: ca})); err != nil {
		t.Fatal(err)
	}
	if pid, d, err := ensure(t.Context(), dir, nil, clock.RealClock{}); pid != os.Getpid() || d.Started || d.Address != api.Listener.Addr().String() || err != nil {
		t.Errorf("with one that answers: %d, %v, %v", pid, d, err)
	}
	if asked != 3 {
		t.Errorf("asked %d times, want until it is ready, the third time", asked)
	}
}

func TestMergeKeepsWhatTheUserHas(t *testing.T) {
	own := t.TempDir() + "/own"
	t.Setenv("KUBECONFIG", own)
	mine := datadir.NewKubeconfig("example.com:6443", datadir.ClientIdentity{})
	mine.Contexts["mine"], mine.Clusters["mine"], mine.AuthInfos["mine"] = mine.Contexts[datadir.ContextName], mine.Clusters[datadir.ContextName], mine.AuthInfos[datadir.ContextName]
	delete(mine.Contexts, datadir.ContextName)
	mine.CurrentContext = "mine"
	if err := clientcmd.WriteToFile(*mine, own); err != nil {
		t.Fatal(err)
	}
	dir := testDir(t)
	if err := dir.WriteKubeconfig(datadir.NewKubeconfig("127.0.0.1:7443", datadir.ClientIdentity{})); err != nil {
		t.Fatal(err)
	}
	l, err := dir.Acquire(t.Context(), clock.RealClock{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release() //nolint:errcheck // the directory goes
	read, err := dir.ReadKubeconfig()
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
	if got.CurrentContext != datadir.ContextName || got.Contexts["mine"] == nil || got.Clusters[datadir.ContextName].Server != "https://127.0.0.1:7443" {
		t.Errorf("merged: current %q, %v, %v", got.CurrentContext, got.Contexts, got.Clusters[datadir.ContextName])
	}
}

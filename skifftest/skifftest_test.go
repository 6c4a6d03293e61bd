package skifftest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"skiff/skifftest"
)

func TestMain(m *testing.M) {
	program := os.Getenv("SKIFF")
	if program == "" {
		program = "skiff"
	}
	if _, err := exec.LookPath(program); err != nil && os.Getenv("CI") == "" {
		fmt.Println("SKIPPED: there is no skiff on the path, and SKIFF names none:", err)
		return
	}
	os.Exit(skifftest.Main(m))
}

// api asks the API as it is, without a client of any kind.
type api struct {
	t    testing.TB
	host string
	http *http.Client
}

func newAPI(t testing.TB, config *rest.Config) api {
	t.Helper()
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	host := config.Host
	if !strings.Contains(host, "://") {
		host = "https://" + host
	}
	return api{t, host, client}
}

func (a api) do(method, path string, body, into any) int {
	a.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		a.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(context.Background(), method, a.host+path, bytes.NewReader(text))
	if err != nil {
		a.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	answer, err := a.http.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err = io.ReadAll(answer.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	if into != nil {
		if err := json.Unmarshal(text, into); err != nil {
			a.t.Fatal(errors.Join(err, errors.New(string(text))))
		}
	}
	return answer.StatusCode
}

func deployment(name string, replicas int) map[string]any {
	labels := map[string]any{"app": name}
	return map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": name},
		"spec": map[string]any{
			"replicas": replicas, "selector": map[string]any{"matchLabels": labels},
			"template": map[string]any{"metadata": map[string]any{"labels": labels}, "spec": map[string]any{"containers": []any{map[string]any{"name": "web", "image": "web"}}}},
		},
	}
}

// ready waits until a deployment has as many ready replicas.
func (a api) ready(namespace, name string, want int) {
	a.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		var d struct{ Status struct{ ReadyReplicas int } }
		a.do(http.MethodGet, "/apis/apps/v1/namespaces/"+namespace+"/deployments/"+name, nil, &d)
		if d.Status.ReadyReplicas == want {
			return
		}
		if time.Now().After(deadline) {
			a.t.Fatalf("deployment %s has %d ready replicas, want %d", name, d.Status.ReadyReplicas, want)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestControllersWorkAndPodsRun(t *testing.T) {
	a := newAPI(t, skifftest.Start(t))
	if code := a.do(http.MethodPost, "/apis/apps/v1/namespaces/default/deployments", deployment("web", 3), nil); code != http.StatusCreated {
		t.Fatal(code)
	}
	a.ready("default", "web", 3)
}

// TestEachStartIsAnew: nothing is left of one daemon for the next.
func TestEachStartIsAnew(t *testing.T) {
	starts := 20
	if testing.Short() {
		starts = 3
	}
	var slowest time.Duration
	for range starts {
		t.Run("", func(t *testing.T) {
			began := time.Now()
			a := newAPI(t, skifftest.Start(t))
			if code := a.do(http.MethodGet, "/api/v1/namespaces/default/configmaps/mine", nil, nil); code != http.StatusNotFound {
				t.Error(code)
			}
			slowest = max(slowest, time.Since(began))
			mine := map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "mine"}}
			if code := a.do(http.MethodPost, "/api/v1/namespaces/default/configmaps", mine, nil); code != http.StatusCreated {
				t.Error(code)
			}
		})
	}
	t.Logf("%d starts; the slowest had an answer after %s", starts, slowest)
}

func TestSharedIsOne(t *testing.T) {
	first, second := skifftest.Shared(t), skifftest.Shared(t)
	if first.Host != second.Host {
		t.Errorf("%s and %s", first.Host, second.Host)
	}
	a := newAPI(t, first)
	if code := a.do(http.MethodGet, "/readyz", nil, nil); code != http.StatusOK {
		t.Error(code)
	}
}

// TestFailureLeavesWhatThereWas runs a test that fails, in a process of its own.
func TestFailureLeavesWhatThereWas(t *testing.T) {
	if os.Getenv("FAIL") != "" {
		a := newAPI(t, skifftest.Start(t))
		a.do(http.MethodPost, "/apis/apps/v1/namespaces/default/deployments", deployment("web", 1), nil)
		a.ready("default", "web", 1)
		t.Fatal("as it was asked for")
	}
	out := t.TempDir()
	run := exec.Command(os.Args[0], "-test.run=^TestFailureLeavesWhatThereWas$", "-test.artifacts", "-test.outputdir="+out, "-test.v")
	run.Env = append(os.Environ(), "FAIL=yes")
	said, err := run.CombinedOutput()
	if err == nil || !strings.Contains(string(said), "what there was: "+out) {
		t.Fatalf("%v:\n%s", err, said)
	}
	for _, want := range []string{"skiff.log", "nodes.json", "default/pods.json", "default/events.json"} {
		found := false
		_ = filepath.WalkDir(out, func(path string, _ os.DirEntry, _ error) error {
			found = found || strings.HasSuffix(path, "/"+want)
			return nil
		})
		if !found {
			t.Errorf("%s is missing; the test said:\n%s", want, said)
		}
	}
}

func TestNoProgramIsSaid(t *testing.T) {
	if os.Getenv("FAIL") != "" {
		skifftest.Start(t, skifftest.WithProgram("/no/skiff"))
		return
	}
	run := exec.Command(os.Args[0], "-test.run=^TestNoProgramIsSaid$")
	run.Env = append(os.Environ(), "FAIL=yes")
	said, err := run.CombinedOutput()
	if err == nil || !strings.Contains(string(said), "starting skiff (/no/skiff; the variable SKIFF names another program)") {
		t.Errorf("%v:\n%s", err, said)
	}
}

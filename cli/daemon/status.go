package daemon

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/node"
	"skiff/daemon/datadir"
	"skiff/manifests/servicefacts"
)

// answers is how long the API of a running daemon may take to answer.
const answers = 5 * time.Second

// printStatus says where the daemon is and what its own health checks say.
func printStatus(ctx context.Context, env *command.Env, dir datadir.Dir, pid int) error {
	kc, err := dir.ReadKubeconfig()
	if err != nil {
		return fmt.Errorf("process %d holds %s, but its API does not answer yet: %w", pid, dir, err)
	}
	_, checks, err := Get(ctx, dir, "/readyz?verbose")
	if err != nil {
		return fmt.Errorf("process %d holds %s, but its API does not answer: %w", pid, dir, err)
	}
	fmt.Fprintf(env.Out, "running as process %d\n", pid)
	fmt.Fprintf(env.Out, "data directory: %s\nAPI:            %s\nkubeconfig:     %s\n", dir, kc.Clusters[datadir.ContextName].Server, dir.Kubeconfig())
	if id, err := dir.InstanceID(); err == nil {
		fmt.Fprintf(env.Out, "containers:     docker ps --filter label=skiff/instance=%s\n", id)
	}
	state, err := nodeTrouble(ctx, env, dir)
	if err != nil {
		return err
	}
	if state == "" {
		state = "ready"
	}
	if err := printNetwork(ctx, env, dir); err != nil {
		return err
	}
	if full := dir.Full(); full != nil {
		fmt.Fprintf(env.Out, "disk:           %v\n", full)
	}
	fmt.Fprintf(env.Out, "node:           %s\n%s\n", state, strings.TrimRight(string(checks), "\n"))
	return nil
}

// printNetwork says how the pods' network is and where the front door is, as the daemon tells it.
func printNetwork(ctx context.Context, env *command.Env, dir datadir.Dir) error {
	code, raw, err := Get(ctx, dir, "/api/v1/namespaces/"+servicefacts.InfoNamespace+"/configmaps/"+servicefacts.InfoName)
	if err != nil || code != http.StatusOK {
		return err
	}
	var info corev1.ConfigMap
	if err := json.Unmarshal(raw, &info); err != nil {
		return fmt.Errorf("reading how the network is: %w", err)
	}
	fmt.Fprintf(env.Out, "network:        %s\n", cmp.Or(info.Data[servicefacts.InfoNetwork], "not made yet"))
	if door := info.Data[servicefacts.InfoFrontDoor]; door != "" {
		fmt.Fprintf(env.Out, "front door:     http://%s\n", door)
	}
	return nil
}

// Get asks the API that the data directory's kubeconfig names, and returns the answer's HTTP code with its body.
func Get(ctx context.Context, dir datadir.Dir, path string) (int, []byte, error) {
	restCfg, err := clientcmd.BuildConfigFromFlags("", dir.Kubeconfig())
	if err != nil {
		return 0, nil, err
	}
	restCfg.Timeout = answers
	c, err := rest.HTTPClientFor(restCfg)
	if err != nil {
		return 0, nil, err
	}
	defer c.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, restCfg.Host+path, nil)
	if err != nil {
		return 0, nil, err
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, body, err
}

// isReady asks the API whether it is ready. The kubeconfig may be one that a killed daemon has left
// behind, so that it exists says nothing. On a full disk the store takes no writes, but the API
// answers: waiting would not help.
func isReady(ctx context.Context, dir datadir.Dir) error {
	code, body, err := Get(ctx, dir, "/readyz?exclude=store")
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("/readyz says %d: %s", code, strings.TrimSpace(string(body)))
	}
	return err
}

// nodeTrouble is why no pod can run, empty when there is a node that is ready.
func nodeTrouble(ctx context.Context, env *command.Env, dir datadir.Dir) (string, error) {
	c, err := client.New(client.Options{Own: dir.Kubeconfig(), RequestTimeout: answers, Err: env.Err, Clock: env.Clock})
	if err != nil {
		return "", err
	}
	return node.Trouble(ctx, c)
}

// warnOfNode says on standard error why no pod can run on a daemon that was just started. It is no
// error: the engine may be started later, and room be made on the disk.
func warnOfNode(ctx context.Context, env *command.Env, dir datadir.Dir) {
	if err := dir.Full(); err != nil {
		fmt.Fprintln(env.Err, "warning:", err)
	}
	if trouble, err := nodeTrouble(ctx, env, dir); err == nil && trouble != "" {
		fmt.Fprintln(env.Err, "warning: no pod can run yet:", trouble)
	}
}

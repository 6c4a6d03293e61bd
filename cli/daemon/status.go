package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// printStatus says where the daemon is and what its own health checks say.
func printStatus(c *cli.Context, cfg Config, pid int) error {
	kc, err := readKubeconfig(cfg)
	if err != nil {
		return fmt.Errorf("process %d holds %s, but its API does not answer yet: %w", pid, cfg.DataDir, err)
	}
	_, checks, err := get(c.Context, cfg, "/readyz?verbose")
	if err != nil {
		return fmt.Errorf("process %d holds %s, but its API does not answer: %w", pid, cfg.DataDir, err)
	}
	w := c.App.Writer
	fmt.Fprintf(w, "running as process %d\n", pid)
	fmt.Fprintf(w, "data directory: %s\nAPI:            %s\nkubeconfig:     %s\n", cfg.DataDir, kc.Clusters[contextName].Server, cfg.kubeconfig())
	if id, err := instanceID(cfg); err == nil {
		fmt.Fprintf(w, "containers:     docker ps --filter label=skiff/instance=%s\n", id)
	}
	trouble, err := nodeTrouble(c, cfg)
	if err != nil {
		return err
	}
	if trouble == "" {
		trouble = "ready"
	}
	fmt.Fprintf(w, "node:           %s\n%s\n", trouble, strings.TrimRight(string(checks), "\n"))
	return nil
}

// get asks the API that the kubeconfig names, and returns the answer's HTTP code with its body.
func get(ctx context.Context, cfg Config, path string) (int, []byte, error) {
	restCfg, err := clientcmd.BuildConfigFromFlags("", cfg.kubeconfig())
	if err != nil {
		return 0, nil, err
	}
	restCfg.Timeout = 5 * time.Second
	client, err := rest.HTTPClientFor(restCfg)
	if err != nil {
		return 0, nil, err
	}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, restCfg.Host+path, nil)
	if err != nil {
		return 0, nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, body, err
}

// isReady asks the API whether it is ready. A kubeconfig may be there that a killed daemon has left, so its being there says
// nothing.
func isReady(ctx context.Context, cfg Config) error {
	code, body, err := get(ctx, cfg, "/readyz")
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("/readyz says %d: %s", code, strings.TrimSpace(string(body)))
	}
	return err
}

// nodeTrouble is why the node is not ready, empty when it is, or when it has not said anything yet.
func nodeTrouble(c *cli.Context, cfg Config) (string, error) {
	_, raw, err := get(c.Context, cfg, "/api/v1/nodes")
	if err != nil {
		return "", err
	}
	var nodes corev1.NodeList
	if err := json.Unmarshal(raw, &nodes); err != nil {
		return "", fmt.Errorf("reading the nodes: %w", err)
	}
	for _, n := range nodes.Items {
		for _, condition := range n.Status.Conditions {
			if condition.Type == corev1.NodeReady && condition.Status != corev1.ConditionTrue {
				return condition.Message, nil
			}
		}
	}
	return "", nil
}

// warnOfEngine says on standard error why the node of a daemon that was just started is not ready. That the daemon runs all
// the same is no error: the engine may be started later.
func warnOfEngine(c *cli.Context, cfg Config) {
	trouble, err := nodeTrouble(c, cfg)
	if err == nil && trouble != "" {
		fmt.Fprintln(c.App.ErrWriter, "warning: no pod can run yet:", trouble)
	}
}

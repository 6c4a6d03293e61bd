package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// historyTime is after how long the daemon keeps no more old states than before, for clients that watch:
// five minutes, and what a look of its own once a minute adds.
const historyTime = 6 * time.Minute

// soak has services and pods come and go under load for b.soak, and compares what the daemon and its
// router hold afterwards with what they held after a part of that time, both times at rest. In a soak that
// is shorter than the daemon's history memory grows by that.
func soak(ctx context.Context, b *bench) (rows []row, err error) {
	l, err := b.newLab(ctx, b.main, "one")
	if err != nil {
		return nil, err
	}
	defer func() { err = joinClose(ctx, err, l) }()
	rs := replicaSet(labLabel, churned)
	rs.Name, rs.Spec.Template.Labels["app"], rs.Spec.Selector.MatchLabels["app"] = "churned", "churned", "churned"
	rs.Spec.Template.Spec = netloadSpec()
	if _, err := l.kube.AppsV1().ReplicaSets(namespace).Create(ctx, rs, metav1.CreateOptions{}); err != nil {
		return nil, err
	}
	defer l.kube.AppsV1().ReplicaSets(namespace).Delete(context.WithoutCancel(ctx), rs.Name, metav1.DeleteOptions{}) //nolint:errcheck // the pods are waited for
	if err := l.pods.until(ctx, time.Minute, "the pods ready", ready(len(l.pods.state)+churned)); err != nil {
		return nil, err
	}
	s, err := l.service(ctx, "churned", "churned", corev1.ServiceTypeNodePort)
	if err != nil {
		return nil, err
	}
	warm := max(b.soak/4, min(historyTime, b.soak*6/10))
	rounds, err := l.churn(ctx, s, warm, 0)
	if err != nil {
		return nil, err
	}
	before, err := l.holdings(ctx)
	if err != nil {
		return nil, err
	}
	more, err := l.churn(ctx, s, b.soak-warm, rounds)
	if err != nil {
		return nil, err
	}
	after, err := l.holdings(ctx)
	if err != nil {
		return nil, err
	}
	rows = append(rows, info(fmt.Sprintf("soak of %s: rounds of churn", b.soak), float64(rounds+more), ""))
	for i, h := range after {
		name := fmt.Sprintf("  %s, beside that after %s", h.name, warm)
		if h.unit != "" && warm < historyTime {
			rows = append(rows, beside(name, h.value, before[i].value, h.unit))
			continue
		}
		rows = append(rows, within(name, h.value, before[i].value, h.growth, h.unit))
	}
	return rows, nil
}

// churned is how many replicas come and go in a soak.
const churned = 3

// churn has services and pods come and go under load for so long, and returns how often. Rounds are
// counted from first.
func (l *lab) churn(ctx context.Context, s *corev1.Service, d time.Duration, first int) (rounds int, err error) {
	load, err := l.begin(ctx, l.client, "http", "-to", at(s.Spec.ClusterIP, httpPort), "-workers", "2", "-pause", "5ms", "-timeout", "1s")
	if err != nil {
		return 0, err
	}
	for end := time.Now().Add(d); time.Now().Before(end); rounds++ {
		if err := l.churnOnce(ctx, first+rounds); err != nil {
			return rounds, fmt.Errorf("round %d: %w", first+rounds, err)
		}
	}
	r, err := load.stop(ctx)
	if err != nil {
		return rounds, err
	}
	fmt.Fprintf(os.Stderr, "  %d rounds; %d requests, %d failed\n", rounds, r.Done+r.Failed, r.Failed)
	return rounds, nil
}

// churnOnce makes a service, asks it by way of the API, has a pod replaced, and deletes the service.
func (l *lab) churnOnce(ctx context.Context, round int) error {
	services := l.kube.CoreV1().Services(namespace)
	s := netloadService("round-"+strconv.Itoa(round), "churned", corev1.ServiceTypeLoadBalancer)
	for i := range s.Spec.Ports {
		s.Spec.Ports[i].Port += 20000 // ports of this machine that a load balancer opens
	}
	s, err := services.Create(ctx, s, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	if err := l.answersThroughTheAPI(ctx, s.Name); err != nil {
		return err
	}
	list, err := l.kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=churned"})
	if err != nil {
		return err
	}
	if len(list.Items) == 0 {
		return fmt.Errorf("no pods to replace")
	}
	dying := list.Items[round%len(list.Items)].Name
	if err := l.kube.CoreV1().Pods(namespace).Delete(ctx, dying, metav1.DeleteOptions{}); err != nil {
		return err
	}
	if err := l.pods.until(ctx, time.Minute, "the pod replaced", func(s map[string]*corev1.Pod) bool {
		return s[dying] == nil && ready(2+churned)(s) // the client and the server are there too
	}); err != nil {
		return err
	}
	return services.Delete(ctx, s.Name, metav1.DeleteOptions{})
}

func (l *lab) answersThroughTheAPI(ctx context.Context, service string) error {
	var last error
	err := poll(ctx, time.Minute, "service "+service+" answers through the API", func() (bool, error) {
		_, last = l.kube.CoreV1().Services(namespace).ProxyGet("http", service, "http", "/", nil).DoRaw(ctx)
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("%w: %w", err, last)
	}
	return nil
}

// holding is something of which a long-lived process must not get more and more.
type holding struct {
	name   string
	value  float64
	unit   string
	growth float64 // the ratio that is noise
}

// holdings is what the daemon and its router hold once they are at rest and the events of the churn,
// which are kept for an hour, are deleted.
func (l *lab) holdings(ctx context.Context) ([]holding, error) {
	if err := l.kube.CoreV1().Events(namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		return nil, err
	}
	if err := wait(ctx, 20*time.Second); err != nil {
		return nil, err
	}
	var out []holding
	metrics, err := l.metrics(ctx)
	if err != nil {
		return nil, err
	}
	daemon, err := memory(strconv.Itoa(l.d.cmd.Process.Pid), "status", "RssAnon:")
	if err != nil {
		return nil, err
	}
	out = append(out,
		holding{"the daemon's goroutines", metrics["go_goroutines"], "", 1.05},
		holding{"the daemon's open files", metrics["process_open_fds"], "", 1.05},
		holding{"the daemon's anonymous memory", daemon, "MiB", 1.15})
	router, files, err := l.routerHolds(ctx)
	if err != nil {
		return nil, err
	}
	return append(out, holding{"the router's open files", files, "", 1.05}, holding{"the router's anonymous memory", router, "MiB", 1.15}), nil
}

// routerHolds is the anonymous memory of the router's processes in MiB, and their open files.
func (l *lab) routerHolds(ctx context.Context) (mem, files float64, err error) {
	id, err := l.containerIn(ctx, l.d, routerLabel)
	if err != nil {
		return 0, 0, err
	}
	top, err := l.engine.ContainerTop(ctx, id, []string{"-o", "pid,args"})
	if err != nil {
		return 0, 0, err
	}
	for _, p := range top.Processes {
		anon, err := memory(p[0], "status", "RssAnon:")
		if err != nil {
			return 0, 0, err
		}
		open, err := os.ReadDir(filepath.Join("/proc", p[0], "fd"))
		if err != nil {
			return 0, 0, err
		}
		mem, files = mem+anon, files+float64(len(open))
	}
	return mem, files, nil
}

// metrics are the daemon's, those without labels.
func (l *lab) metrics(ctx context.Context) (map[string]float64, error) {
	raw, err := l.kube.CoreV1().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return nil, err
	}
	out := map[string]float64{}
	for s := bufio.NewScanner(strings.NewReader(string(raw))); s.Scan(); {
		name, value, _ := strings.Cut(s.Text(), " ")
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			out[name] = v
		}
	}
	return out, nil
}

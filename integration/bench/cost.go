package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/pkg/stdcopy"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func httpProbe(port int) corev1.ProbeHandler {
	return corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/", Port: intstr.FromInt(port)}}
}

func tcpProbe(port int) corev1.ProbeHandler {
	return corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt(port)}}
}

// lastRequest is when the dead container of a pod logged its last request: that of the deciding
// probe.
func (b *bench) lastRequest(ctx context.Context, podName string) (time.Time, error) {
	dead, err := b.deadContainer(ctx, podName)
	if err != nil {
		return time.Time{}, err
	}
	logs, err := b.engine.ContainerLogs(ctx, dead, container.LogsOptions{ShowStdout: true, Timestamps: true, Tail: "1"})
	if err != nil {
		return time.Time{}, err
	}
	defer logs.Close()
	var text strings.Builder
	if _, err := stdcopy.StdCopy(&text, io.Discard, logs); err != nil {
		return time.Time{}, err
	}
	stamp, _, _ := strings.Cut(text.String(), " ")
	return time.Parse(time.RFC3339Nano, stamp)
}

// deadContainer finds a pod's container that has exited. The engine tells of a death a little
// before its lists show it.
func (b *bench) deadContainer(ctx context.Context, podName string) (string, error) {
	id, err := b.main.instance()
	if err != nil {
		return "", err
	}
	for range 100 {
		list, err := b.engine.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(
			filters.Arg("label", "skiff/instance="+id), filters.Arg("label", "io.kubernetes.pod.name="+podName), filters.Arg("status", "exited"))})
		if err != nil {
			return "", err
		}
		if len(list) > 0 {
			return list[0].ID, nil
		}
		if err := wait(ctx, 20*time.Millisecond); err != nil {
			return "", err
		}
	}
	return "", fmt.Errorf("pod %s has no dead container", podName)
}

// cpuTime is CPU time, in seconds, of the daemon and of the processes that it probes.
type cpuTime struct{ daemon, probed float64 }

// probeCost measures what probes cost the daemon and the probed processes (the engine has no part
// in HTTP and TCP probes): 50 pods, one probe a second each, against the same 50 pods without
// probes, over the same time. Their own CPU time is counted, not the machine's, so that whatever
// else runs does not show. Beside it stands what bare system calls spend on the same.
func probeCost(ctx context.Context, b *bench) ([]row, error) {
	const count, window = 50, 20 * time.Second
	var rows []row
	quiet, err := b.cpuOfPods(ctx, "quiet", count, window, nil)
	if err != nil {
		return nil, err
	}
	for _, k := range []struct {
		name    string
		limit   float64
		handler corev1.ProbeHandler
		request string
	}{{"HTTP", 0.2, httpProbe(8080), bareRequest}, {"TCP", 0.12, tcpProbe(8080), ""}} {
		busy, err := b.cpuOfPods(ctx, "probe-"+strings.ToLower(k.name), count, window, &corev1.Probe{PeriodSeconds: 1, FailureThreshold: 100, ProbeHandler: k.handler})
		if err != nil {
			return nil, err
		}
		bare, err := b.bareOfPod(ctx, k.request)
		if err != nil {
			return nil, err
		}
		const thousands = count * float64(window/time.Second) / 1000
		cost := atMost("1,000 "+k.name+" probes, the daemon's CPU", (busy.daemon-quiet.daemon)/thousands, k.limit, "s")
		cost.Raw = bare
		rows = append(rows, cost,
			info("  and the probed server's", (busy.probed-quiet.probed)/thousands, "s"))
	}
	return rows, nil
}

// bareOfPod is what bare system calls spend to ask a pod a thousand times.
func (b *bench) bareOfPod(ctx context.Context, request string) (float64, error) {
	const name = "bare"
	p, err := watchPods(ctx, b.kube, name)
	if err != nil {
		return 0, err
	}
	defer p.w.Stop()
	if _, err := b.kube.CoreV1().Pods(namespace).Create(ctx, pod(name, nil), metav1.CreateOptions{}); err != nil {
		return 0, err
	}
	if err := p.until(ctx, time.Minute, "the pod Running", running(1)); err != nil {
		return 0, err
	}
	ip, err := netip.ParseAddr(p.state[name].Status.PodIP)
	if err != nil {
		return 0, err
	}
	address := netip.AddrPortFrom(ip, 8080)
	for bareProbe(address, request) != nil { // a container that runs may not listen yet
		if err := wait(ctx, 20*time.Millisecond); err != nil {
			return 0, err
		}
	}
	cost, err := bareCost(ctx, address, request)
	if err != nil {
		return 0, err
	}
	if err := b.kube.CoreV1().Pods(namespace).Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		return 0, err
	}
	return cost, p.until(ctx, time.Minute, "the pod gone", gone)
}

// cpuOfPods is what the daemon and the pods spend while count pods run for a while.
func (b *bench) cpuOfPods(ctx context.Context, name string, count int, window time.Duration, probe *corev1.Probe) (spent cpuTime, err error) {
	p, err := watchPods(ctx, b.kube, name)
	if err != nil {
		return spent, err
	}
	defer p.w.Stop()
	rs := replicaSet(name, count)
	rs.Spec.Template.Spec.Containers[0].LivenessProbe = probe
	if _, err := b.kube.AppsV1().ReplicaSets(namespace).Create(ctx, rs, metav1.CreateOptions{}); err != nil {
		return spent, err
	}
	if err := p.until(ctx, 2*time.Minute, "pods Running", running(count)); err != nil {
		return spent, err
	}
	if err := wait(ctx, 3*time.Second); err != nil { // let what the start left behind die down
		return spent, err
	}
	pids, err := b.podProcesses(ctx)
	if err != nil {
		return spent, err
	}
	before, err := b.cpuNow(pids)
	if err != nil {
		return spent, err
	}
	if err := wait(ctx, window); err != nil {
		return spent, err
	}
	after, err := b.cpuNow(pids)
	if err != nil {
		return spent, err
	}
	if err := b.kube.AppsV1().ReplicaSets(namespace).Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		return spent, err
	}
	spent = cpuTime{daemon: after.daemon - before.daemon, probed: after.probed - before.probed}
	return spent, p.until(ctx, 2*time.Minute, "pods gone", gone)
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// clockTicks is the unit of /proc/PID/stat, 1/100 s on every Linux.
const clockTicks = 100.0

// podProcesses are the first processes of the containers of the daemon's pods.
func (b *bench) podProcesses(ctx context.Context) ([]int, error) {
	id, err := b.main.instance()
	if err != nil {
		return nil, err
	}
	list, err := b.engine.ContainerList(ctx, container.ListOptions{Filters: filters.NewArgs(
		filters.Arg("label", "skiff/instance="+id), filters.Arg("label", "io.kubernetes.pod.name"))})
	if err != nil {
		return nil, err
	}
	pids := make([]int, 0, len(list))
	for _, c := range list {
		found, err := b.engine.ContainerInspect(ctx, c.ID)
		if err != nil {
			return nil, err
		}
		pids = append(pids, found.State.Pid)
	}
	return pids, nil
}

func (b *bench) cpuNow(pods []int) (now cpuTime, err error) {
	if now.daemon, err = b.main.cpu(); err != nil {
		return now, err
	}
	for _, pid := range pods {
		spent, err := processCPU(pid)
		if err != nil {
			return now, err
		}
		now.probed += spent
	}
	return now, nil
}

// cpu is the CPU time, in seconds, that the daemon has spent.
func (d *daemon) cpu() (float64, error) { return processCPU(d.cmd.Process.Pid) }

// processCPU is the CPU time, in seconds, that a process has spent.
func processCPU(pid int) (float64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	f := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
	user, err := strconv.ParseFloat(f[11], 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseFloat(f[12], 64)
	return (user + system) / clockTicks, err
}

// resident is the daemon's resident memory in MiB.
func (d *daemon) resident() (float64, error) { return residentOf(strconv.Itoa(d.cmd.Process.Pid)) }

// residentOf is the resident memory of a process in MiB.
func residentOf(pid string) (float64, error) { return memory(pid, "status", "VmRSS:") }

// proportional is that memory, where a page that several processes have counts for a part in each.
func proportional(pid string) (float64, error) { return memory(pid, "smaps_rollup", "Pss:") }

func memory(pid, file, field string) (float64, error) {
	f, err := os.Open(filepath.Join("/proc", pid, file))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), field); ok {
			kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb / 1024, err
		}
	}
	return 0, fmt.Errorf("no %s of process %s", field, pid)
}

// idle measures a fresh daemon that has nothing to do, the same holding 50 pods, and the size of
// the binary.
func idle(ctx context.Context, b *bench) ([]row, error) {
	d, err := b.start("idle")
	if err != nil {
		return nil, err
	}
	defer d.reset(context.WithoutCancel(ctx)) //nolint:errcheck // what matters has been measured
	if err := wait(ctx, 5*time.Second); err != nil {
		return nil, err
	}
	before, err := d.cpu()
	if err != nil {
		return nil, err
	}
	const window = 20 * time.Second
	if err := wait(ctx, window); err != nil {
		return nil, err
	}
	after, err := d.cpu()
	if err != nil {
		return nil, err
	}
	mem, err := d.resident()
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(b.skiff)
	if err != nil {
		return nil, err
	}
	rows := []row{
		atMost("binary", float64(info.Size())/1e6, 72, "MB"),
		atMost("resident memory, idle", mem, 40, "MiB"),
		atMost("CPU at idle, of a core", (after-before)/window.Seconds()*100, 0.5, "%"),
	}
	held, err := b.holding(ctx, d, 50)
	return append(rows, atMost("resident memory, holding 50 pods", held, 80, "MiB")), err
}

// holding is the daemon's memory, in MiB, while it runs n pods.
func (b *bench) holding(ctx context.Context, d *daemon, n int) (float64, error) {
	kube, err := d.client()
	if err != nil {
		return 0, err
	}
	p, err := watchPods(ctx, kube, "hold")
	if err != nil {
		return 0, err
	}
	defer p.w.Stop()
	if _, err := kube.AppsV1().ReplicaSets(namespace).Create(ctx, replicaSet("hold", n), metav1.CreateOptions{}); err != nil {
		return 0, err
	}
	if err := p.until(ctx, 2*time.Minute, "pods Running", running(n)); err != nil {
		return 0, err
	}
	if err := wait(ctx, 10*time.Second); err != nil {
		return 0, err
	}
	return d.resident()
}

// startUp measures from exec to the first answer and to the first pod Running, in fresh data
// directories.
func startUp(ctx context.Context, b *bench) ([]row, error) {
	var answer, first, raw []time.Duration
	for i := range b.rounds {
		r, err := b.rawReplicas(ctx, b.best, 1)
		if err != nil {
			return nil, err
		}
		a, f, err := b.startRound(ctx, filepath.Join(fmt.Sprintf("start-%d", i)))
		if err != nil {
			return nil, err
		}
		raw, answer, first = append(raw, r), append(answer, a), append(first, f)
	}
	run := atMost("exec to first pod Running", median(first), 600, "ms")
	run.Raw = median(raw)
	return []row{atMost("exec to first API answer", median(answer), 60, "ms"), run}, nil
}

func (b *bench) startRound(ctx context.Context, name string) (answer, first time.Duration, err error) {
	d, err := b.start(name)
	if err != nil {
		return 0, 0, err
	}
	defer d.reset(context.WithoutCancel(ctx)) //nolint:errcheck // what matters has been measured
	kube, err := d.client()
	if err != nil {
		return 0, 0, err
	}
	if _, err := kube.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{}); err != nil {
		return 0, 0, err
	}
	answer = time.Since(d.execed)
	p, err := watchPods(ctx, kube, "first")
	if err != nil {
		return 0, 0, err
	}
	defer p.w.Stop()
	if _, err := kube.CoreV1().Pods(namespace).Create(ctx, pod("first", nil), metav1.CreateOptions{}); err != nil {
		return 0, 0, err
	}
	err = p.until(ctx, time.Minute, "the first pod Running", running(1))
	return answer, time.Since(d.execed), err
}

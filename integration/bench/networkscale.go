package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/integration/bench/netload/report"
)

// So many services there are, and each leads to so many pods.
const manyServices, manyEndpoints = 1000, 10

// networkScale measures a router with many services: how soon a new one has them in force, how soon
// a change of one endpoint is, and its memory.
func networkScale(ctx context.Context, b *bench) (rows []row, err error) {
	d, err := b.start("scale")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.reset(context.WithoutCancel(ctx))) }()
	l, err := b.newLab(ctx, d, "one", "other")
	if err != nil {
		return nil, err
	}
	if err := wait(ctx, 10*time.Second); err != nil { // let what the start left behind die down
		return nil, err
	}
	idle, err := l.routerMemory(ctx)
	if err != nil {
		return nil, err
	}
	last, err := l.manyServices(ctx)
	if err != nil {
		return nil, err
	}
	switched, err := l.switches(ctx, 4*b.rounds)
	if err != nil {
		return nil, err
	}
	full, err := l.routerMemory(ctx)
	if err != nil {
		return nil, err
	}
	var restored []time.Duration
	for range b.rounds {
		took, err := l.restore(ctx, last)
		if err != nil {
			return nil, err
		}
		restored = append(restored, took)
	}
	fresh, err := l.routerMemory(ctx)
	if err != nil {
		return nil, err
	}
	what := fmt.Sprintf("%d services of %d: ", manyServices, manyEndpoints)
	return []row{
		atMost(what+"the router's start to all in force", median(restored), 500, "ms"),
		atMost("  an endpoint's change to in force", median(switched), 20, "ms"),
		atMost("  the router's resident memory", full, 25, "MiB"),
		info("  that of one that found them at its start", fresh, "MiB"),
		atMost("the router's resident memory, idle", idle, 12, "MiB"),
	}, nil
}

// manyServices makes the services and their pods, waits until the last one answers, and returns its
// address.
func (l *lab) manyServices(ctx context.Context) (string, error) {
	rs := replicaSet(labLabel, manyEndpoints)
	rs.Spec.Template.Labels["app"], rs.Spec.Template.Spec = "many", netloadSpec()
	rs.Spec.Selector.MatchLabels["app"] = "many"
	if _, err := l.kube.AppsV1().ReplicaSets(namespace).Create(ctx, rs, metav1.CreateOptions{}); err != nil {
		return "", err
	}
	if err := l.pods.until(ctx, time.Minute, "the pods ready", ready(len(l.pods.state)+manyEndpoints)); err != nil {
		return "", err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for i := range manyServices {
		g.Go(func() error {
			s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "many-" + strconv.Itoa(i)}, Spec: corev1.ServiceSpec{
				Selector: map[string]string{"app": "many"}, Ports: []corev1.ServicePort{{Port: httpPort}},
			}}
			_, err := l.kube.CoreV1().Services(namespace).Create(gctx, s, metav1.CreateOptions{})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return "", err
	}
	// Their slices are written in the order in which the services came, or so: all are waited for.
	if err := poll(ctx, time.Minute, "all services have their endpoints", func() (bool, error) {
		list, err := l.kube.DiscoveryV1().EndpointSlices(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		full := 0
		for i := range list.Items {
			if len(list.Items[i].Endpoints) == manyEndpoints {
				full++
			}
		}
		return full == manyServices, nil
	}); err != nil {
		return "", err
	}
	last, err := l.kube.CoreV1().Services(namespace).Get(ctx, "many-"+strconv.Itoa(manyServices-1), metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	return last.Spec.ClusterIP, poll(ctx, time.Minute, "the last service answers", func() (bool, error) {
		r, err := l.run(ctx, "http", "-to", at(last.Spec.ClusterIP, httpPort), "-for", "50ms", "-timeout", "200ms")
		return err == nil && r.Done > 0, err
	})
}

// switches has one service lead to one pod and the other in turn, and returns how long it took from
// the request for the change until a new connection got to the other one.
func (l *lab) switches(ctx context.Context, count int) (took []time.Duration, err error) {
	s, err := l.service(ctx, "switched", "", corev1.ServiceTypeClusterIP)
	if err != nil {
		return nil, err
	}
	slices := l.kube.DiscoveryV1().EndpointSlices(namespace)
	slice, err := slices.Create(ctx, l.sliceTo("switched", "one"), metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	watch, err := l.begin(ctx, l.client, "watch-http", "-to", at(s.Spec.ClusterIP, httpPort), "-every", "2ms", "-timeout", "1s")
	if err != nil {
		return nil, err
	}
	if err := wait(ctx, settle); err != nil {
		return nil, err
	}
	began := make([]time.Time, count)
	to := []string{"other", "one"}
	for i := range count {
		slice.Endpoints = l.sliceTo("switched", to[i%2]).Endpoints
		began[i] = time.Now()
		if slice, err = slices.Update(ctx, slice, metav1.UpdateOptions{}); err != nil {
			return nil, err
		}
		if err := wait(ctx, settle); err != nil {
			return nil, err
		}
	}
	r, err := watch.stop(ctx)
	if err != nil {
		return nil, err
	}
	for i := range count {
		seen, err := firstAnswer(r.Attempts, began[i], to[i%2])
		if err != nil {
			return nil, fmt.Errorf("change %d: %w", i, err)
		}
		took = append(took, seen.Sub(began[i]))
	}
	complain("changes of an endpoint", report.Report{Failed: failures(r.Attempts), Done: len(r.Attempts)})
	fmt.Fprintf(os.Stderr, "  changes of an endpoint: %v\n", took)
	return took, nil
}

func failures(attempts []report.Attempt) (n int) {
	for _, a := range attempts {
		if a.Error != "" {
			n++
		}
	}
	return n
}

// sliceTo is a service's slice that leads to one pod.
func (l *lab) sliceTo(service, pod string) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: service, Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{l.ip(pod)}, Conditions: discoveryv1.EndpointConditions{Ready: ptr(true)}}},
		Ports:       []discoveryv1.EndpointPort{{Name: ptr("http"), Port: ptr(int32(httpPort)), Protocol: ptr(corev1.ProtocolTCP)}},
	}
}

// restore removes the router, and returns how long after its successor's start the last service took
// a connection again.
func (l *lab) restore(ctx context.Context, service string) (time.Duration, error) {
	watch, err := l.begin(ctx, l.client, "watch-http", "-to", at(service, httpPort), "-timeout", "300ms")
	if err != nil {
		return 0, err
	}
	if err := wait(ctx, settle); err != nil {
		return 0, err
	}
	started, err := l.replaceRouter(ctx)
	if err != nil {
		return 0, err
	}
	if err := wait(ctx, 2*time.Second); err != nil {
		return 0, err
	}
	r, err := watch.stop(ctx)
	if err != nil {
		return 0, err
	}
	first, err := firstAnswer(r.Attempts, started, "")
	if err != nil {
		return 0, fmt.Errorf("the last of the services: %w", err)
	}
	return first.Sub(started), nil
}

// routerMemory is the resident memory of the router in MiB: that of all processes in its container,
// where pages that several share count once.
func (l *lab) routerMemory(ctx context.Context) (float64, error) {
	id, err := l.containerIn(ctx, l.d, routerLabel)
	if err != nil {
		return 0, err
	}
	top, err := l.engine.ContainerTop(ctx, id, []string{"-o", "pid,args"})
	if err != nil {
		return 0, err
	}
	sum := 0.0
	for _, p := range top.Processes {
		mem, err := proportional(p[0])
		if err != nil {
			return 0, err
		}
		rss, err := residentOf(p[0])
		if err != nil {
			return 0, err
		}
		fmt.Fprintf(os.Stderr, "  router's process %s: %.1f MiB resident, %.1f its share\n", p[1], rss, mem)
		sum += mem
	}
	return sum, nil
}

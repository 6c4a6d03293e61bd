package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-connections/nat"
	corev1 "k8s.io/api/core/v1"
)

// networkHostPort measures a load balancer's port on this machine beside one that the engine
// publishes itself (docker run -p 127.0.0.1:…).
func networkHostPort(ctx context.Context, b *bench) (rows []row, err error) {
	l, err := b.newLab(ctx, b.main, "server")
	if err != nil {
		return nil, err
	}
	defer func() { err = joinClose(ctx, err, l) }()
	if _, err := l.service(ctx, "published", "server", corev1.ServiceTypeLoadBalancer); err != nil {
		return nil, err
	}
	raw, remove, err := b.rawPublished(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	for _, way := range []struct {
		name string
		port int
		down []string
	}{{"to the pod", sinkPort, nil}, {"from the pod", sourcePort, []string{"-down"}}} {
		load := func(port string, streams int) func() (float64, error) {
			return func() (float64, error) {
				r, err := b.runHere(ctx, append([]string{"throughput", "-to", "127.0.0.1:" + port, "-for", loadTime.String(),
					"-workers", strconv.Itoa(streams)}, way.down...)...)
				return r.Gbit, err
			}
		}
		streams, err := bestOf([]int{1, 2, 4}, func(n int) (float64, error) { return load(raw[way.port], n)() })
		if err != nil {
			return nil, err
		}
		docker, ours, err := inTurn(b.rounds, load(raw[way.port], streams), load(strconv.Itoa(way.port), streams))
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(os.Stderr, "  load balancer, %s, %d streams: %.3g beside docker's %.3g\n", way.name, streams, ours, docker)
		rows = append(rows,
			atLeast("load balancer at 127.0.0.1, "+way.name, middle(ours), 8, "Gbit/s"),
			reaching("  beside docker run -p 127.0.0.1:", middle(ours), middle(docker), 1, "Gbit/s"))
	}
	return rows, nil
}

// rawPublished runs netload in a container whose ports the engine publishes, and says which ports of
// this machine those are.
func (b *bench) rawPublished(ctx context.Context) (ports map[int]string, remove func() error, err error) {
	config := &container.Config{Image: netloadImage, ExposedPorts: nat.PortSet{}}
	host := &container.HostConfig{PortBindings: nat.PortMap{}}
	for _, p := range []int{sinkPort, sourcePort} {
		port := nat.Port(fmt.Sprintf("%d/tcp", p))
		config.ExposedPorts[port] = struct{}{}
		host.PortBindings[port] = []nat.PortBinding{{HostIP: "127.0.0.1"}}
	}
	made, err := b.engine.ContainerCreate(ctx, config, host, nil, nil, "")
	if err != nil {
		return nil, nil, err
	}
	remove = func() error { return b.rawRemove(context.WithoutCancel(ctx), []string{made.ID}) }
	if err := b.engine.ContainerStart(ctx, made.ID, container.StartOptions{}); err != nil {
		return nil, nil, errors.Join(err, remove())
	}
	runs, err := b.engine.ContainerInspect(ctx, made.ID)
	if err != nil {
		return nil, nil, errors.Join(err, remove())
	}
	ports = map[int]string{}
	for port, bound := range runs.NetworkSettings.Ports {
		if len(bound) > 0 {
			ports[port.Int()] = bound[0].HostPort
		}
	}
	return ports, remove, nil
}

// Package portforward forwards local ports to a pod: skiff port-forward.
package portforward

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	streamhttp "k8s.io/streaming/pkg/httpstream"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/compose"
	"skiff/cli/pods"
	"skiff/cli/resource"
)

// Command is skiff port-forward.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "port-forward", Usage: "Forward one or more local ports to a pod", ArgsUsage: "TYPE/NAME [LOCAL_PORT:]REMOTE_PORT …",
		Description: "A service's or workload's pod that goes is followed by another one that is ready; the local ports stay.",
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "address", Value: cli.NewStringSlice("localhost"), Usage: "`ADDRESSES` to listen on, joined by commas: IP addresses or localhost"},
			&cli.DurationFlag{Name: "pod-running-timeout", Value: time.Minute, Usage: "how long to wait for a controller's first pod"},
		},
		Action: func(c *cli.Context) error { return run(c, env) },
	},
		"skiff port-forward kubia-dssvz 8080",
		"skiff port-forward rc/kubia 8888:8080       # local 8888 to the pod's 8080",
		"skiff port-forward svc/kubia :http          # a free local port to the service's port http")
}

func run(c *cli.Context, env *command.Env) error {
	if c.NArg() < 2 {
		return command.UsageErrorf("port-forward", "TYPE/NAME and list of ports are required for port-forward")
	}
	cl, err := compose.Connect(c, env)
	if err != nil {
		return err
	}
	o, err := pods.Named(c.Context, cl, c.Args().First())
	if err != nil {
		return err
	}
	f := pods.Finder{Client: cl, Clock: env.Clock, Err: env.Err, Patience: c.Duration("pod-running-timeout")}
	pod, _, err := f.One(c.Context, o, pods.ForWork)
	if err != nil {
		return err
	}
	if pod.Status.Phase != corev1.PodRunning {
		return fmt.Errorf("unable to forward port because pod is not running. Current status=%v", pod.Status.Phase)
	}
	ports, err := translate(c.Args().Slice()[1:], o, pod)
	if err != nil {
		return err
	}
	fw := &forwarder{env: env, client: cl, finder: f, target: o, wanted: c.Args().Slice()[1:], addresses: command.List(c, "address"), ports: ports}
	return fw.run(c.Context, pod)
}

// dial tunnels SPDY through a WebSocket, and falls back to plain SPDY for servers that do not
// support that.
func dial(cl *client.Client, pod *corev1.Pod) (streamhttp.Dialer, error) {
	r, err := pods.Ref(cl, pod.Namespace, pod.Name)
	if err != nil {
		return nil, err
	}
	u := cl.Request("POST", r.WithSubresource("portforward")).URL()
	transport, upgrader, err := spdy.RoundTripperFor(cl.Config)
	if err != nil {
		return nil, err
	}
	direct := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, "POST", u)
	tunnel, err := portforward.NewSPDYOverWebsocketDialerForStreaming(u, cl.Config)
	if err != nil {
		return nil, err
	}
	return portforward.NewFallbackDialerForStreaming(tunnel, direct, func(err error) bool {
		return streamhttp.IsUpgradeFailure(err) || streamhttp.IsHTTPSProxyError(err)
	}), nil
}

// translate turns a service's ports, and named ports, into the pod's own port numbers.
func translate(specs []string, o resource.Object, pod *corev1.Pod) ([]string, error) {
	var service *corev1.Service
	if o.Mapping.GroupVersionKind.Kind == "Service" {
		service = &corev1.Service{}
		if err := client.Into(o.Value, service); err != nil {
			return nil, err
		}
	}
	var out []string
	for _, spec := range specs {
		local, remote, both := strings.Cut(spec, ":")
		if !both {
			remote = local
		}
		if remote == "" {
			return nil, errors.New("remote port cannot be empty")
		}
		number, err := podPort(remote, service, pod)
		if err != nil {
			return nil, err
		}
		if !both && number != remote {
			if _, err := strconv.Atoi(remote); err != nil {
				local = number
			}
		}
		if local == number && !both {
			out = append(out, number)
		} else {
			out = append(out, local+":"+number)
		}
	}
	return out, nil
}

func podPort(remote string, service *corev1.Service, pod *corev1.Pod) (string, error) {
	if service != nil {
		target, err := targetPort(remote, service)
		if err != nil {
			return "", err
		}
		if service.Spec.ClusterIP == corev1.ClusterIPNone {
			return remote, nil
		}
		remote = target.String()
	}
	if _, err := strconv.Atoi(remote); err == nil {
		return remote, nil
	}
	for _, c := range pod.Spec.Containers {
		for _, p := range c.Ports {
			if p.Name == remote && p.Protocol == corev1.ProtocolUDP {
				return "", fmt.Errorf("UDP protocol is not supported for %s", remote)
			}
			if p.Name == remote {
				return strconv.Itoa(int(p.ContainerPort)), nil
			}
		}
	}
	return "", fmt.Errorf("Pod '%s' does not have a named port '%s'", pod.Name, remote)
}

func targetPort(remote string, service *corev1.Service) (intstr.IntOrString, error) {
	for _, p := range service.Spec.Ports {
		if p.Name != remote && strconv.Itoa(int(p.Port)) != remote {
			continue
		}
		if p.Protocol == corev1.ProtocolUDP {
			return intstr.IntOrString{}, fmt.Errorf("UDP protocol is not supported for %s", remote)
		}
		if p.TargetPort.IntVal == 0 && p.TargetPort.StrVal == "" {
			return intstr.FromInt32(p.Port), nil
		}
		return p.TargetPort, nil
	}
	return intstr.IntOrString{}, fmt.Errorf("Service %s does not have a service port %s", service.Name, remote)
}

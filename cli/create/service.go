package create

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	utilsnet "k8s.io/utils/net"

	"skiff/cli/command"
)

// services are the generators of Services, by type.
func services(env *command.Env) *cli.Command {
	ports := &cli.StringSliceFlag{Name: "tcp", Usage: "`PORT[:TARGET]` of the service; may be repeated"}
	clusterIP := serviceOf(corev1.ServiceTypeClusterIP, []string{"skiff create service clusterip web --tcp=80:8080", "skiff create service clusterip db --clusterip=None"},
		ports, &cli.StringFlag{Name: "clusterip", Usage: "`ADDRESS` within the cluster, or None for a headless service (default: one that is free)"})
	nodePort := serviceOf(corev1.ServiceTypeNodePort, []string{"skiff create service nodeport web --tcp=80:8080 --node-port=30080"},
		ports, &cli.IntFlag{Name: "node-port", Usage: "`PORT` on each node, which is on this machine (default: one that is free)"})
	balanced := serviceOf(corev1.ServiceTypeLoadBalancer, []string{"skiff create service loadbalancer web --tcp=8080"}, ports)
	external := serviceOf(corev1.ServiceTypeExternalName, []string{"skiff create service externalname db --external-name=db.example.org"},
		ports, &cli.StringFlag{Name: "external-name", Usage: "`NAME` that this one stands for; required"})
	return command.New(cli.Command{Name: "service", Aliases: []string{"svc"}, Usage: "Create a service using a specified subcommand",
		Subcommands: []*cli.Command{clusterIP.command(env), nodePort.command(env), balanced.command(env), external.command(env)}},
		"skiff create service clusterip web --tcp=80:8080",
		"skiff create service loadbalancer web --tcp=8080")
}

func serviceOf(kind corev1.ServiceType, examples []string, flags ...cli.Flag) generator {
	return generator{name: strings.ToLower(string(kind)), what: string(kind) + " service", usage: fmt.Sprintf("Create a service of type %s", kind),
		flags: flags, examples: examples,
		make: func(c *cli.Context, _ *maker, name string) (runtime.Object, error) { return makeService(c, kind, name) }}
}

func makeService(c *cli.Context, kind corev1.ServiceType, name string) (runtime.Object, error) {
	ports, address := command.List(c, "tcp"), c.String("clusterip")
	if kind == corev1.ServiceTypeExternalName {
		switch target := c.String("external-name"); {
		case !c.IsSet("external-name"):
			return nil, errors.New("required flag(s) \"external-name\" not set")
		case len(validation.IsDNS1123Subdomain(target)) > 0:
			return nil, fmt.Errorf("invalid service external name %s", target)
		}
	} else if address != corev1.ClusterIPNone && len(ports) == 0 {
		return nil, errors.New("at least one tcp port specifier must be provided")
	}
	labels := map[string]string{"app": name}
	o := &corev1.Service{
		TypeMeta: typeMeta(corev1.SchemeGroupVersion.WithKind("Service")), ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec: corev1.ServiceSpec{Type: kind, Selector: labels, ClusterIP: address, ExternalName: c.String("external-name")},
	}
	for _, text := range ports {
		port, err := servicePort(text)
		if err != nil {
			return nil, err
		}
		port.NodePort = int32(c.Int("node-port"))
		o.Spec.Ports = append(o.Spec.Ports, port)
	}
	return o, nil
}

// servicePort reads PORT or PORT:TARGET; the target may be a name.
func servicePort(text string) (corev1.ServicePort, error) {
	number, target, _ := strings.Cut(text, ":")
	port, err := utilsnet.ParsePort(number, true)
	if err != nil {
		return corev1.ServicePort{}, err
	}
	p := corev1.ServicePort{
		Name: strings.ReplaceAll(text, ":", "-"), Port: int32(port), TargetPort: intstr.FromInt32(int32(port)), Protocol: corev1.ProtocolTCP,
	}
	if number == text {
		return p, nil
	}
	target, _, _ = strings.Cut(target, ":")
	var wrong []string
	if n, err := strconv.Atoi(target); err == nil {
		wrong, p.TargetPort = validation.IsValidPortNum(n), intstr.FromInt32(int32(n))
	} else {
		wrong, p.TargetPort = validation.IsValidPortName(target), intstr.FromString(target)
	}
	if len(wrong) > 0 {
		return corev1.ServicePort{}, errors.New(strings.Join(wrong, ","))
	}
	return p, nil
}

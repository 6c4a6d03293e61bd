package expose

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
)

// wishes are what the flags say about the service; "" leaves it to the object, or to the server.
type wishes struct {
	name, kind, selector, labels, port, targetPort, protocol string

	externalIP, loadBalancerIP, affinity, clusterIP string
}

func readWishes(c *cli.Context) wishes {
	return wishes{
		name: c.String("name"), kind: c.String("type"), selector: c.String("selector"), labels: c.String("labels"),
		port: c.String("port"), targetPort: c.String("target-port"), protocol: c.String("protocol"),
		externalIP: c.String("external-ip"), loadBalancerIP: c.String("load-balancer-ip"), affinity: c.String("session-affinity"), clusterIP: c.String("cluster-ip"),
	}
}

// service is the service of an object. What is said and in which order it is refused is kubectl's.
func (w wishes) service(of exposed) (*corev1.Service, error) {
	s := &corev1.Service{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: serviceKind.Kind}}
	s.Name = cmp.Or(w.name, of.name[:min(len(of.name), validation.DNS1035LabelMaxLength)])
	s.Spec = corev1.ServiceSpec{Type: corev1.ServiceType(w.kind), ClusterIP: w.clusterIP}
	if w.selector == "" && of.why != nil {
		return nil, fmt.Errorf("couldn't retrieve selectors via --selector flag or introspection: %w", of.why)
	}
	numbers, err := w.ports(of)
	if err != nil {
		return nil, err
	}
	if s.Spec.Selector = of.selector; w.selector != "" {
		if s.Spec.Selector, err = parseLabels(w.selector); err != nil {
			return nil, err
		}
	}
	if len(s.Spec.Selector) == 0 {
		return nil, errors.New("selector must be specified")
	}
	if s.Labels = of.labels; w.labels != "" {
		if s.Labels, err = parseLabels(w.labels); err != nil {
			return nil, err
		}
	}
	if s.Spec.Ports, err = w.servicePorts(of, numbers); err != nil {
		return nil, err
	}
	if w.externalIP != "" {
		s.Spec.ExternalIPs = []string{w.externalIP}
	}
	if s.Spec.Type == corev1.ServiceTypeLoadBalancer {
		s.Spec.LoadBalancerIP = w.loadBalancerIP //nolint:staticcheck // deprecated, and a flag of kubectl's
	}
	s.Spec.SessionAffinity = corev1.ServiceAffinity(w.affinity)
	switch s.Spec.SessionAffinity {
	case "", corev1.ServiceAffinityNone, corev1.ServiceAffinityClientIP:
		return s, nil
	}
	return nil, fmt.Errorf("unknown session affinity: %s", w.affinity)
}

// ports are the numbers of the service's ports, as text: those of the flag, or else the object's.
func (w wishes) ports(of exposed) ([]string, error) {
	if w.port != "" {
		return strings.Split(w.port, ","), nil
	}
	var out []string
	for _, p := range of.ports {
		out = append(out, strconv.Itoa(int(p)))
	}
	if len(out) == 0 && w.clusterIP != corev1.ClusterIPNone {
		return nil, errors.New("couldn't find port via --port flag or introspection")
	}
	return out, nil
}

// servicePorts are the ports of the numbers. Several have names, port-1 and so on; a number that is
// used with two protocols becomes two ports.
func (w wishes) servicePorts(of exposed, numbers []string) ([]corev1.ServicePort, error) {
	var out []corev1.ServicePort
	for i, text := range numbers {
		number, err := strconv.Atoi(text)
		if err != nil {
			return nil, err
		}
		name := ""
		if len(numbers) > 1 {
			name = fmt.Sprintf("port-%d", i+1)
		}
		protocols := []corev1.Protocol{corev1.Protocol(cmp.Or(w.protocol, string(corev1.ProtocolTCP)))}
		if own := of.protocols[int32(number)]; w.protocol == "" && len(own) > 0 {
			protocols = own
		}
		target := intstr.FromInt32(int32(number))
		if w.targetPort != "" {
			target = intstr.Parse(w.targetPort)
		}
		for _, protocol := range protocols {
			own := name
			if len(protocols) > 1 {
				own = fmt.Sprintf("port-%d-%s", i+1, strings.ToLower(string(protocol)))
			}
			out = append(out, corev1.ServicePort{Name: own, Port: int32(number), TargetPort: target, Protocol: protocol})
		}
	}
	return out, nil
}

package node

import (
	"fmt"
	"maps"
	"net"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// serviceEnv are the variables that tell a container of a service: where it is, and the same in the form of Docker's links
// (k8s.io/kubernetes/pkg/kubelet/envvars). A service without an address of its own has none.
func serviceEnv(s *corev1.Service) map[string]string {
	ip := s.Spec.ClusterIP
	if ip == "" || ip == corev1.ClusterIPNone || len(s.Spec.Ports) == 0 {
		return nil
	}
	prefix := variableName(s.Name)
	out := map[string]string{
		prefix + "_SERVICE_HOST": ip,
		prefix + "_SERVICE_PORT": strconv.Itoa(int(s.Spec.Ports[0].Port)),
	}
	for i, p := range s.Spec.Ports {
		port := strconv.Itoa(int(p.Port))
		if p.Name != "" {
			out[prefix+"_SERVICE_PORT_"+variableName(p.Name)] = port
		}
		protocol := strings.ToLower(string(p.Protocol))
		if protocol == "" {
			protocol = "tcp"
		}
		url := protocol + "://" + net.JoinHostPort(ip, port)
		if i == 0 {
			out[prefix+"_PORT"] = url
		}
		link := fmt.Sprintf("%s_PORT_%s_%s", prefix, port, strings.ToUpper(protocol))
		out[link], out[link+"_PROTO"], out[link+"_PORT"], out[link+"_ADDR"] = url, protocol, port, ip
	}
	return out
}

// variableName makes the name of a variable of that of an object.
func variableName(name string) string { return strings.ToUpper(strings.ReplaceAll(name, "-", "_")) }

// serviceLinks are the variables of the services that are in the pod's namespace when a container is made.
func serviceLinks(pod *corev1.Pod, from sources) map[string]string {
	out := map[string]string{}
	if wanted := pod.Spec.EnableServiceLinks; wanted != nil && !*wanted {
		return out
	}
	for _, s := range from.Services(pod.Namespace) {
		maps.Copy(out, serviceEnv(s))
	}
	return out
}

package env

import (
	"fmt"
	"maps"
	"net"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// serviceEnv are the variables for a service: its address, and the same in the form of Docker's
// links (k8s.io/kubernetes/pkg/kubelet/envvars). A service without an address of its own has none.
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

// variableName is the name of a variable made from an object's name.
func variableName(name string) string { return strings.ToUpper(strings.ReplaceAll(name, "-", "_")) }

// serviceLinks are the variables for all services in the pod's namespace, and for the API, which all
// pods have (k8s.io/kubernetes/pkg/kubelet/kubelet_pods.go, getServiceEnvVarMap).
func serviceLinks(pod *corev1.Pod, from Sources) map[string]string {
	out := map[string]string{}
	if api := from.APIService(); api != nil {
		maps.Copy(out, serviceEnv(api))
	}
	if wanted := pod.Spec.EnableServiceLinks; wanted != nil && !*wanted {
		return out
	}
	for _, s := range from.Services(pod.Namespace) {
		maps.Copy(out, serviceEnv(s))
	}
	return out
}

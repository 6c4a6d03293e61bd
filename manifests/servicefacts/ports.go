// Package servicefacts tells what a Service alone can: which of its ports people mean, and how it is
// spoken to.
package servicefacts

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// What a port is spoken to in, where that is not HTTP/1.1 without TLS.
const (
	// HTTP2 is HTTP/2 without TLS.
	HTTP2 = "h2c"
	HTTPS = "https"
)

// appProtocols are what a port says that it speaks (KEP-1422 and KEP-3726, and what is common without
// a prefix), and how it is spoken to.
var appProtocols = map[string]string{
	"http": "", "kubernetes.io/ws": "", "ws": "",
	"kubernetes.io/h2c": HTTP2, "h2c": HTTP2, "grpc": HTTP2, "http2": HTTP2,
	"https": HTTPS, "kubernetes.io/wss": HTTPS, "wss": HTTPS,
}

// portNames are names that ports for HTTP have, whole or before a "-".
var portNames = map[string]string{
	"http": "", "web": "", "grpc": HTTP2, "h2c": HTTP2, "http2": HTTP2, "https": HTTPS,
}

// Speaks is how a port is spoken to: as it says itself, or by its name, or by its number.
func Speaks(p *corev1.ServicePort) string {
	if how, ok := appProtocols[strings.ToLower(ptr.Deref(p.AppProtocol, ""))]; ok {
		return how
	}
	if how, ok := byName(p); ok {
		return how
	}
	if p.Port == 443 || p.Port == 8443 {
		return HTTPS
	}
	return ""
}

// byName goes by the port's name or, where it has none, by that of the containers' port.
func byName(p *corev1.ServicePort) (how string, ok bool) {
	name, _, _ := strings.Cut(cmp.Or(p.Name, p.TargetPort.StrVal), "-")
	how, ok = portNames[name]
	return how, ok
}

// WebPort is the port by which people mean a service when they say its name to a browser: the first
// that says it is for HTTP, or has a usual name or number for it, or else the first of all.
func WebPort(s *corev1.Service) (*corev1.ServicePort, bool) {
	var candidates []*corev1.ServicePort
	for i := range s.Spec.Ports {
		if p := &s.Spec.Ports[i]; p.Protocol == corev1.ProtocolTCP || p.Protocol == "" {
			candidates = append(candidates, p)
		}
	}
	for _, fits := range []func(*corev1.ServicePort) bool{
		SaysHTTP, UsualForHTTP, func(*corev1.ServicePort) bool { return true },
	} {
		if at := slices.IndexFunc(candidates, fits); at >= 0 {
			return candidates[at], true
		}
	}
	return nil, false
}

// SaysHTTP reports whether a port says by its protocol or its name that it is for HTTP, without TLS.
func SaysHTTP(p *corev1.ServicePort) bool {
	if how, ok := appProtocols[strings.ToLower(ptr.Deref(p.AppProtocol, ""))]; ok {
		return how != HTTPS
	}
	how, ok := byName(p)
	return ok && how != HTTPS
}

// UsualForHTTP reports whether a port has a number that is usual for HTTP.
func UsualForHTTP(p *corev1.ServicePort) bool {
	return slices.Contains([]int32{80, 8080, 8000, 3000, 5000}, p.Port)
}

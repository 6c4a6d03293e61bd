package create

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

func ingress() generator {
	return generator{name: "ingress", aliases: []string{"ing"}, usage: "Create an ingress with the specified name",
		flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "rule", Usage: "`HOST/PATH=SERVICE:PORT[,tls[=SECRET]]`; a path that ends in * is a prefix; may be repeated"},
			&cli.StringFlag{Name: "class", Usage: "`NAME` of the ingress class (default: the cluster's default)"},
			&cli.StringFlag{Name: "default-backend", Usage: "`SERVICE:PORT` for requests that no rule is for"},
			&cli.StringSliceFlag{Name: "annotation", Usage: "`KEY=VALUE` to annotate it with; may be repeated"},
		},
		examples: []string{
			"skiff create ingress shop --rule='shop.localhost/*=web:80'",
			"skiff create ingress shop --rule='shop.localhost/*=web:80,tls' --rule='shop.localhost/api*=api:http'",
			"skiff create ingress rest --class=skiff --default-backend=web:80",
		},
		make: makeIngress}
}

// ingressRule matches what begins with HOST/PATH=SERVICE:PORT; kubectl takes any text behind it.
var ingressRule = regexp.MustCompile(`^[\w*.-]*/.*=[\w-]+:[\w-]+`)

func makeIngress(c *cli.Context, _ *maker, name string) (runtime.Object, error) {
	rules, backend := c.StringSlice("rule"), c.String("default-backend")
	if backend == "" && len(rules) == 0 {
		return nil, errors.New("not enough information provided: every ingress has to either specify a default-backend (which catches all traffic) or a list of rules (which catch specific paths)")
	}
	o := &networkingv1.Ingress{TypeMeta: typeMeta(networkingv1.SchemeGroupVersion.WithKind("Ingress")), ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, rule := range rules {
		if !ingressRule.MatchString(rule) {
			return nil, fmt.Errorf("rule %s is invalid and should be in format host/path=svcname:svcport[,tls[=secret]]", rule)
		}
		addRule(&o.Spec, rule)
	}
	for _, a := range c.StringSlice("annotation") {
		key, value, ok := strings.Cut(a, "=")
		if !ok {
			return nil, fmt.Errorf("annotation %s is invalid and should be in format key=[value]", a)
		}
		o.Annotations = put(o.Annotations, key, value)
	}
	if class := c.String("class"); class != "" {
		o.Spec.IngressClassName = &class
	}
	if backend != "" {
		if strings.Count(backend, ":") != 1 {
			return nil, errors.New("default-backend should be in format servicename:serviceport")
		}
		o.Spec.DefaultBackend = ptr.To(ingressBackend(backend))
	}
	return o, nil
}

// addRule adds a path, beside the others of its host, and the host to those with TLS if it asks for
// that.
func addRule(spec *networkingv1.IngressSpec, rule string) {
	words := strings.Split(rule, ",")
	host, rest, _ := strings.Cut(words[0], "/")
	if len(words) == 2 {
		_, secret, _ := strings.Cut(words[1], "=")
		addTLS(spec, host, secret)
	}
	path, service, _ := strings.Cut("/"+rest, "=")
	kind := networkingv1.PathTypeExact
	if strings.HasSuffix(path, "*") {
		path, kind = strings.TrimSuffix(path, "*"), networkingv1.PathTypePrefix
	}
	added := networkingv1.HTTPIngressPath{Path: path, PathType: &kind, Backend: ingressBackend(service)}
	at := slices.IndexFunc(spec.Rules, func(r networkingv1.IngressRule) bool { return r.Host == host })
	if at < 0 {
		at = len(spec.Rules)
		spec.Rules = append(spec.Rules, networkingv1.IngressRule{Host: host, IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{}}})
	}
	spec.Rules[at].HTTP.Paths = append(spec.Rules[at].HTTP.Paths, added)
}

// addTLS adds a host to the others of a secret, "" for none. A host has the first secret that it is
// given.
func addTLS(spec *networkingv1.IngressSpec, host, secret string) {
	if slices.ContainsFunc(spec.TLS, func(t networkingv1.IngressTLS) bool {
		return slices.Contains(t.Hosts, host) || host == "" && len(t.Hosts) == 0
	}) {
		return
	}
	at := slices.IndexFunc(spec.TLS, func(t networkingv1.IngressTLS) bool { return t.SecretName == secret })
	switch {
	case at >= 0:
		spec.TLS[at].Hosts = append(spec.TLS[at].Hosts, host)
	case host != "":
		spec.TLS = append(spec.TLS, networkingv1.IngressTLS{Hosts: []string{host}, SecretName: secret})
	case secret != "":
		spec.TLS = append(spec.TLS, networkingv1.IngressTLS{SecretName: secret})
	}
}

// ingressBackend reads SERVICE:PORT; the port may be a name.
func ingressBackend(text string) networkingv1.IngressBackend {
	name, port, _ := strings.Cut(text, ":")
	b := networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: name}}
	if p := intstr.Parse(port); p.Type == intstr.Int {
		b.Service.Port.Number = p.IntVal
	} else {
		b.Service.Port.Name = p.StrVal
	}
	return b
}

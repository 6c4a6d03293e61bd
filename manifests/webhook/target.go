package webhook

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	arv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

// DefaultPort is the port of a Service that says none.
const DefaultPort int32 = 443

// Target is where a webhook listens: at a URL or behind a Service.
type Target struct {
	URL     string
	Service *Service
	// CABundle are the authorities, as PEM, of which one must have issued the webhook's certificate; the
	// machine's own if it is empty.
	CABundle []byte
}

// TargetOf is the webhook that a configuration says how to reach. Those of custom resources' definitions
// have the same fields.
func TargetOf(c arv1.WebhookClientConfig) Target {
	t := Target{URL: ptr.Deref(c.URL, ""), CABundle: c.CABundle}
	if s := c.Service; s != nil {
		t.Service = &Service{Namespace: s.Namespace, Name: s.Name, Path: ptr.Deref(s.Path, ""), Port: ptr.Deref(s.Port, 0)}
	}
	return t
}

// Service is a webhook's Service, on whose own name its certificate must be: NAME.NAMESPACE.svc.
type Service struct {
	Namespace, Name string
	// Path is that of the URL, "" for the root.
	Path string
	// Port is the Service's own; 0 is DefaultPort.
	Port int32
}

func (s *Service) port() int32 {
	if s.Port == 0 {
		return DefaultPort
	}
	return s.Port
}

func (s *Service) host() string { return s.Name + "." + s.Namespace + ".svc" }

// address is where requests are sent.
func (t Target) address() (*url.URL, error) {
	switch {
	case t.Service != nil:
		u := &url.URL{Scheme: "https", Host: net.JoinHostPort(t.Service.host(), strconv.Itoa(int(t.Service.port())))}
		return u.JoinPath(t.Service.Path), nil
	case t.URL == "":
		return nil, errors.New("webhook configuration must have either service or URL")
	}
	u, err := url.Parse(t.URL)
	if err != nil {
		return nil, fmt.Errorf("Unparsable URL: %w", err)
	}
	return u, nil
}

// key is the same for targets that share their connections.
func (t Target) key(u *url.URL) [sha256.Size]byte {
	service := ""
	if t.Service != nil {
		service = t.Service.Namespace + "/" + t.Service.Name
	}
	return sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s\n%s", u.Scheme, u.Host, service, t.CABundle))
}

// ValidateURL refuses what is no webhook's URL, in upstream's words
// (k8s.io/apiserver/pkg/util/webhook/validation.go).
func ValidateURL(at *field.Path, text string) field.ErrorList {
	const form = "; desired format: https://host[/path]"
	u, err := url.Parse(text)
	if err != nil {
		return field.ErrorList{field.Required(at, "url must be a valid URL: "+err.Error()+form)}
	}
	var errs field.ErrorList
	for _, rule := range []struct {
		broken        bool
		value, detail string
	}{
		{u.Scheme != "https", u.Scheme, "'https' is the only allowed URL scheme" + form},
		{u.Host == "", u.Host, "host must be specified" + form},
		{u.User != nil, u.User.String(), "user information is not permitted in the URL"},
		{u.Fragment != "", u.Fragment, "fragments are not permitted in the URL"},
		{u.RawQuery != "", u.RawQuery, "query parameters are not permitted in the URL"},
	} {
		if rule.broken {
			errs = append(errs, field.Invalid(at, rule.value, rule.detail))
		}
	}
	return errs
}

// ValidateService refuses what is no webhook's Service, in upstream's words.
func ValidateService(at *field.Path, namespace, name string, path *string, port int32) field.ErrorList {
	var errs field.ErrorList
	if name == "" {
		errs = append(errs, field.Required(at.Child("name"), ""))
	}
	if namespace == "" {
		errs = append(errs, field.Required(at.Child("namespace"), ""))
	}
	if wrong := validation.IsValidPortNum(int(port)); wrong != nil {
		errs = append(errs, field.Invalid(at.Child("port"), port, "port is not valid: "+strings.Join(wrong, ", ")))
	}
	if path == nil {
		return errs
	}
	return append(errs, validatePath(at.Child("path"), *path)...)
}

func validatePath(at *field.Path, path string) field.ErrorList {
	switch path {
	case "", "/":
		return nil
	case "//":
		return field.ErrorList{field.Invalid(at, path, "segment[0] may not be empty")}
	}
	var errs field.ErrorList
	if !strings.HasPrefix(path, "/") {
		errs = append(errs, field.Invalid(at, path, "must start with a '/'"))
	}
	for i, segment := range strings.Split(strings.TrimSuffix(path[1:], "/"), "/") {
		if segment == "" {
			errs = append(errs, field.Invalid(at, path, fmt.Sprintf("segment[%d] may not be empty", i)))
			continue
		}
		for _, wrong := range validation.IsDNS1123Subdomain(segment) {
			errs = append(errs, field.Invalid(at, path, fmt.Sprintf("segment[%d]: %v", i, wrong)))
		}
	}
	return errs
}

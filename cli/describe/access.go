package describe

import (
	"crypto/x509"
	"encoding/pem"
	"strings"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/cli/access"
)

func role(p *page, o *rbacv1.Role) error {
	p.granted(o, o.Rules)
	return nil
}

func clusterRole(p *page, o *rbacv1.ClusterRole) error {
	p.granted(o, o.Rules)
	return nil
}

func (p *page) granted(o metav1.Object, rules []rbacv1.PolicyRule) {
	p.field("Name", o.GetName())
	p.labelled(o)
	p.title("PolicyRule")
	p.in(func() {
		p.line("Resources\tNon-Resource URLs\tResource Names\tVerbs")
		p.line("---------\t-----------------\t--------------\t-----")
		for _, r := range access.Rows(rules) {
			p.line("%s\t%v\t%v\t%v", r.Resource, r.Paths, r.Names, r.Verbs)
		}
	})
}

func roleBinding(p *page, o *rbacv1.RoleBinding) error {
	p.bound(o, o.RoleRef, o.Subjects)
	return nil
}

func clusterRoleBinding(p *page, o *rbacv1.ClusterRoleBinding) error {
	p.bound(o, o.RoleRef, o.Subjects)
	return nil
}

func (p *page) bound(o metav1.Object, ref rbacv1.RoleRef, subjects []rbacv1.Subject) {
	p.field("Name", o.GetName())
	p.labelled(o)
	p.title("Role")
	p.in(func() {
		p.field("Kind", ref.Kind)
		p.field("Name", ref.Name)
	})
	p.title("Subjects")
	p.in(func() {
		p.line("Kind\tName\tNamespace")
		p.line("----\t----\t---------")
		for _, s := range subjects {
			p.line("%s\t%s\t%s", s.Kind, s.Name, s.Namespace)
		}
	})
}

func certificateRequest(p *page, o *certificatesv1.CertificateSigningRequest) error {
	p.field("Name", o.Name)
	p.labelled(o)
	p.field("CreationTimestamp", o.CreationTimestamp.Format(time.RFC1123Z))
	p.field("Requesting User", o.Spec.Username)
	if o.Spec.SignerName != "" {
		p.field("Signer", o.Spec.SignerName)
	}
	if s := o.Spec.ExpirationSeconds; s != nil {
		p.field("Requested Duration", (time.Duration(*s) * time.Second).String())
	}
	p.field("Status", requestStatus(o))
	p.requested(o.Spec.Request)
	p.events(o, "CertificateSigningRequest")
	return nil
}

// requested writes whom a certificate is to be for.
func (p *page) requested(raw []byte) {
	block, _ := pem.Decode(raw)
	if block == nil {
		return
	}
	r, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		p.line("Error parsing CSR: %v", err)
		return
	}
	p.title("Subject")
	p.in(func() {
		p.line("\tCommon Name:\t%s", r.Subject.CommonName)
		p.line("\tSerial Number:\t%s", r.Subject.SerialNumber)
		for _, f := range []struct {
			name   string
			values []string
		}{{"Organization", r.Subject.Organization}, {"Organizational Unit", r.Subject.OrganizationalUnit}, {"Country", r.Subject.Country}, {"Locality", r.Subject.Locality}} {
			if len(f.values) > 0 {
				p.line("\t%s:\t%s", f.name, strings.Join(f.values, "\n\t\t\t"))
			}
		}
	})
	names := append([]string(nil), r.DNSNames...)
	for _, ip := range r.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) > 0 {
		p.title("Subject Alternative Names")
		p.in(func() { p.line("\tDNS Names and IP Addresses:\t%s", strings.Join(names, "\n\t\t\t")) })
	}
}

func requestStatus(o *certificatesv1.CertificateSigningRequest) string {
	status := "Pending"
	for _, c := range o.Status.Conditions {
		switch c.Type {
		case certificatesv1.CertificateDenied:
			status = "Denied"
		case certificatesv1.CertificateApproved:
			status = "Approved"
		case certificatesv1.CertificateFailed:
			status += ",Failed"
		}
	}
	if len(o.Status.Certificate) > 0 {
		status += ",Issued"
	}
	return status
}

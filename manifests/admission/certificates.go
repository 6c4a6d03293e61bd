package admission

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"

	"skiff/manifests"
	"skiff/manifests/registry"
)

// Certificates lets only those approve and sign requests for certificates who may do so for the
// signer, and nobody ask for a certificate that makes an administrator (upstream's plugins
// CertificateApproval, CertificateSigning and CertificateSubjectRestriction).
type Certificates struct {
	Authorizer authorizer.UnconditionalAuthorizer
}

// Admit implements registry.Admitter.
func (Certificates) Admit(context.Context, registry.Request) error { return nil }

// Validate implements registry.Validator.
func (c Certificates) Validate(ctx context.Context, r registry.Request) error {
	csr, ok := r.Object.(*certificatesv1.CertificateSigningRequest)
	if !ok {
		return nil
	}
	who, byUser := request.UserFrom(ctx)
	old, _ := r.Old.(*certificatesv1.CertificateSigningRequest)
	switch {
	case r.Operation == registry.Create:
		return refuseAdministrators(r, csr)
	case !byUser || old == nil:
		return nil
	case r.Subresource == manifests.SubresourceApproval:
		if !c.may(ctx, who, "approve", old.Spec.SignerName) {
			return forbidden(r, fmt.Errorf("user not permitted to approve requests with signerName %q", old.Spec.SignerName))
		}
	case r.Subresource == manifests.SubresourceStatus && signs(csr, old):
		if !c.may(ctx, who, "sign", old.Spec.SignerName) {
			return forbidden(r, fmt.Errorf("user not permitted to sign requests with signerName %q", old.Spec.SignerName))
		}
	}
	return nil
}

// signs reports whether an update of the status is a signer's.
func signs(r, old *certificatesv1.CertificateSigningRequest) bool {
	return !slices.Equal(r.Status.Certificate, old.Status.Certificate) || len(r.Status.Conditions) != len(old.Status.Conditions) ||
		!slices.Equal(r.Status.Conditions, old.Status.Conditions)
}

func refuseAdministrators(r registry.Request, csr *certificatesv1.CertificateSigningRequest) error {
	if csr.Spec.SignerName != certificatesv1.KubeAPIServerClientSignerName {
		return nil
	}
	parsed, err := manifests.ParseCertificateRequest(csr.Spec.Request)
	if err != nil {
		return forbidden(r, fmt.Errorf("failed to parse CSR: %w", err))
	}
	if slices.Contains(parsed.Subject.Organization, user.SystemPrivilegedGroup) {
		return forbidden(r, errors.New("use of "+certificatesv1.KubeAPIServerClientSignerName+" signer with system:masters group is not allowed"))
	}
	return nil
}

// may asks about the signer, and then about all signers of its domain.
func (c Certificates) may(ctx context.Context, who user.Info, verb, signer string) bool {
	domain, _, _ := strings.Cut(signer, "/")
	for _, name := range []string{signer, domain + "/*"} {
		decision, _, err := c.Authorizer.Authorize(ctx, authorizer.AttributesRecord{
			User: who, Verb: verb, APIGroup: certificatesv1.GroupName, APIVersion: "*", Resource: "signers", Name: name, ResourceRequest: true,
		})
		if err == nil && decision == authorizer.DecisionAllow {
			return true
		}
	}
	return false
}

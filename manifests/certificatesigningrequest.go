package manifests

import (
	"context"
	"crypto/x509"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/kubernetes/pkg/apis/certificates"
	kcertificatesv1 "k8s.io/kubernetes/pkg/apis/certificates/v1"
	"k8s.io/kubernetes/pkg/apis/certificates/validation"
)

// SubresourceApproval is of CertificateSigningRequests: the one way to approve or deny one.
const SubresourceApproval = "approval"

func certificateSigningRequestKind() *Kind {
	v1 := []schema.GroupVersion{certificatesv1.SchemeGroupVersion}
	return newKind(certificatesv1.SchemeGroupVersion.WithKind("CertificateSigningRequest"), Kind{
		Resource: "certificatesigningrequests", ShortNames: []string{"csr"}, HasStatus: true,
		New: newOf[*certificatesv1.CertificateSigningRequest](), NewList: newOf[*certificatesv1.CertificateSigningRequestList](),
		Rules: &rules[*certificatesv1.CertificateSigningRequest, certificates.CertificateSigningRequest]{
			toInternal:      kcertificatesv1.Convert_v1_CertificateSigningRequest_To_certificates_CertificateSigningRequest,
			fromInternal:    kcertificatesv1.Convert_certificates_CertificateSigningRequest_To_v1_CertificateSigningRequest,
			prepareCreateBy: nameRequester,
			validateCreate: func(_ context.Context, r *certificates.CertificateSigningRequest) field.ErrorList {
				return validation.ValidateCertificateSigningRequestCreate(r)
			},
			updates: map[string]update[certificates.CertificateSigningRequest]{
				SubresourceNone: {
					prepare: func(r, old *certificates.CertificateSigningRequest) { r.Spec, r.Status = old.Spec, old.Status },
					validate: func(_ context.Context, r, old *certificates.CertificateSigningRequest) field.ErrorList {
						return validation.ValidateCertificateSigningRequestUpdate(r, old)
					},
				},
				SubresourceStatus: {
					prepare: keepDecision,
					validate: func(_ context.Context, r, old *certificates.CertificateSigningRequest) field.ErrorList {
						return validation.ValidateCertificateSigningRequestStatusUpdate(r, old)
					},
				},
				SubresourceApproval: {
					prepare: keepAllButConditions,
					validate: func(_ context.Context, r, old *certificates.CertificateSigningRequest) field.ErrorList {
						return validation.ValidateCertificateSigningRequestApprovalUpdate(r, old)
					},
				},
			},
			fields: fieldTable[*certificatesv1.CertificateSigningRequest]{
				"spec.signerName": func(r *certificatesv1.CertificateSigningRequest) string { return r.Spec.SignerName },
			},
			reset: resetFields{
				SubresourceNone:     reset(v1, path("spec"), path("status")),
				SubresourceStatus:   reset(v1, path("spec"), path("status", "conditions")),
				SubresourceApproval: reset(v1, path("spec"), path("status", "certificate")),
			},
		},
	})
}

// nameRequester writes down who asks for the certificate: nobody can say that of themselves.
func nameRequester(ctx context.Context, r *certificates.CertificateSigningRequest) {
	r.Status = certificates.CertificateSigningRequestStatus{Conditions: []certificates.CertificateSigningRequestCondition{}}
	r.Spec.Username, r.Spec.UID, r.Spec.Groups, r.Spec.Extra = "", "", nil, nil
	who, ok := request.UserFrom(ctx)
	if !ok {
		return
	}
	r.Spec.Username, r.Spec.UID, r.Spec.Groups = who.GetName(), who.GetUID(), who.GetGroups()
	for key, values := range who.GetExtra() {
		if r.Spec.Extra == nil {
			r.Spec.Extra = map[string]certificates.ExtraValue{}
		}
		r.Spec.Extra[key] = values
	}
}

// keepDecision lets a signer write all of the status but whether the request is approved.
func keepDecision(r, old *certificates.CertificateSigningRequest) {
	r.Spec = old.Spec
	for _, decision := range []certificates.RequestConditionType{certificates.CertificateApproved, certificates.CertificateDenied} {
		at, was := conditionsOf(r, decision), conditionsOf(old, decision)
		if len(at) != len(was) {
			continue // validation refuses it
		}
		for i := range at {
			r.Status.Conditions[at[i]] = old.Status.Conditions[was[i]]
		}
	}
}

func keepAllButConditions(r, old *certificates.CertificateSigningRequest) {
	conditions := r.Status.Conditions
	r.Spec, r.Status = old.Spec, old.Status
	r.Status.Conditions = conditions
}

// conditionsOf are the places of the conditions of a type.
func conditionsOf(r *certificates.CertificateSigningRequest, of certificates.RequestConditionType) []int {
	var at []int
	for i, c := range r.Status.Conditions {
		if c.Type == of {
			at = append(at, i)
		}
	}
	return at
}

// ParseCertificateRequest reads the PEM of a request for a certificate.
func ParseCertificateRequest(pem []byte) (*x509.CertificateRequest, error) {
	return certificates.ParseCSR(pem)
}

// CheckNodeClientRequest says why a request is none for the certificate by which a node shows who it
// is, nil if it is one.
func CheckNodeClientRequest(r *x509.CertificateRequest, usages []certificatesv1.KeyUsage) error {
	return certificates.ValidateKubeletClientCSR(r, usageSet(usages))
}

// CheckNodeServingRequest is CheckNodeClientRequest for the certificate of a node's own server.
func CheckNodeServingRequest(r *x509.CertificateRequest, usages []certificatesv1.KeyUsage) error {
	return certificates.ValidateKubeletServingCSR(r, usageSet(usages))
}

func usageSet(usages []certificatesv1.KeyUsage) sets.String {
	set := sets.NewString()
	for _, u := range usages {
		set.Insert(string(u))
	}
	return set
}

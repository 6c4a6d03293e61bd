// Package certificates approves, signs and cleans up requests for certificates: the built-in signers
// of https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/.
package certificates

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"skiff/manifests"
	"skiff/manifests/registry"
	"skiff/orchestrator/controller"
)

// Authority signs certificates.
type Authority interface {
	// Sign signs what a request asks for, for the usages given. life is how long it is to be good.
	Sign(r *x509.CertificateRequest, usages []certificatesv1.KeyUsage, life time.Duration) (pem []byte, err error)
}

// Options are what the controller needs.
type Options struct {
	controller.Env
	Authority  Authority
	Authorizer authorizer.UnconditionalAuthorizer
}

// Controller looks after the requests.
type Controller struct {
	options  Options
	requests registry.Client[*certificatesv1.CertificateSigningRequest]
}

// New returns the controller.
func New(o Options) *Controller {
	return &Controller{options: o, requests: registry.For[*certificatesv1.CertificateSigningRequest](o.Registry)}
}

// Run works until ctx ends.
func (c *Controller) Run(ctx context.Context) error {
	loop := controller.Loop[string]{
		Name: "certificates", Reconcile: c.reconcile,
		Sources: []controller.Source[string]{
			controller.Follow(c.options.Feeds.Of("certificatesigningrequests.certificates.k8s.io"), func(now, _ *certificatesv1.CertificateSigningRequest, add func(string)) {
				if now != nil {
					add(now.Name)
				}
			}),
		},
		Env: c.options.Env,
	}
	return loop.Run(ctx)
}

func (c *Controller) reconcile(ctx context.Context, name string) (time.Duration, error) {
	r, err := c.requests.Get("", name)
	if apierrors.IsNotFound(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading the request for certificate %s: %w", name, err)
	}
	now := c.options.Clock.Now()
	end := expiry(r)
	if !now.Before(end) {
		if err := c.requests.Delete(ctx, "", name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &r.UID}}); err != nil && !apierrors.IsNotFound(err) {
			return 0, fmt.Errorf("deleting the old request for certificate %s: %w", name, err)
		}
		return 0, nil
	}
	switch {
	case len(r.Status.Certificate) > 0 || has(r, certificatesv1.CertificateFailed) || has(r, certificatesv1.CertificateDenied):
	case has(r, certificatesv1.CertificateApproved):
		err = c.sign(ctx, r)
	default:
		err = c.approve(ctx, r)
	}
	if apierrors.IsNotFound(err) {
		err = nil
	}
	return end.Sub(now), err
}

// How long requests are kept after what has become of them, and those that wait.
const (
	decidedLife = time.Hour
	waitingLife = 24 * time.Hour
)

// expiry is when a request is deleted.
func expiry(r *certificatesv1.CertificateSigningRequest) time.Time {
	end := r.CreationTimestamp.Add(waitingLife)
	for _, cond := range r.Status.Conditions {
		life := decidedLife
		if cond.Type == certificatesv1.CertificateApproved && len(r.Status.Certificate) == 0 {
			life = waitingLife
		}
		if !cond.LastUpdateTime.IsZero() {
			end = cond.LastUpdateTime.Add(life)
		}
	}
	return end
}

func has(r *certificatesv1.CertificateSigningRequest, condition certificatesv1.RequestConditionType) bool {
	return slices.ContainsFunc(r.Status.Conditions, func(c certificatesv1.CertificateSigningRequestCondition) bool {
		return c.Type == condition && (c.Status == corev1.ConditionTrue || c.Status == "")
	})
}

// approve approves what nodes ask for themselves, if they may.
func (c *Controller) approve(ctx context.Context, r *certificatesv1.CertificateSigningRequest) error {
	parsed, err := manifests.ParseCertificateRequest(r.Spec.Request)
	if err != nil || r.Spec.SignerName != certificatesv1.KubeAPIServerClientKubeletSignerName || manifests.CheckNodeClientRequest(parsed, r.Spec.Usages) != nil {
		return nil //nolint:nilerr // it waits for a person
	}
	who := &user.DefaultInfo{Name: r.Spec.Username, UID: r.Spec.UID, Groups: r.Spec.Groups, Extra: map[string][]string{}}
	for key, values := range r.Spec.Extra {
		who.Extra[key] = values
	}
	for _, may := range []struct {
		subresource, message string
		self                 bool
	}{
		{"selfnodeclient", "Auto approving self kubelet client certificate after SubjectAccessReview.", true},
		{"nodeclient", "Auto approving kubelet client certificate after SubjectAccessReview.", false},
	} {
		if may.self && r.Spec.Username != parsed.Subject.CommonName {
			continue
		}
		decision, _, err := c.options.Authorizer.Authorize(ctx, authorizer.AttributesRecord{
			User: who, Verb: "create", APIGroup: certificatesv1.GroupName, APIVersion: "*", Resource: "certificatesigningrequests", Subresource: may.subresource, ResourceRequest: true,
		})
		if err != nil {
			return fmt.Errorf("deciding about the request for certificate %s: %w", r.Name, err)
		}
		if decision == authorizer.DecisionAllow {
			return c.update(ctx, r, manifests.SubresourceApproval, func(r *certificatesv1.CertificateSigningRequest) {
				r.Status.Conditions = append(r.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
					Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: "AutoApproved", Message: may.message,
				})
			})
		}
	}
	return nil
}

func (c *Controller) update(ctx context.Context, r *certificatesv1.CertificateSigningRequest, subresource string, change func(*certificatesv1.CertificateSigningRequest)) error {
	_, err := c.requests.UpdateSubresource(ctx, "", r.Name, subresource, func(now *certificatesv1.CertificateSigningRequest) error {
		if now.UID == r.UID {
			change(now)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("updating the request for certificate %s: %w", r.Name, err)
	}
	return nil
}

// errOtherSigner is of requests that are for signers of other programs.
var errOtherSigner = errors.New("not one of the built-in signers")

// sign signs an approved request, or says in its status why that can not be.
func (c *Controller) sign(ctx context.Context, r *certificatesv1.CertificateSigningRequest) error {
	parsed, err := manifests.ParseCertificateRequest(r.Spec.Request)
	if err != nil {
		return fmt.Errorf("reading the request for certificate %s: %w", r.Name, err)
	}
	err = check(r, parsed)
	if errors.Is(err, errOtherSigner) {
		return nil
	}
	if err != nil {
		return c.update(ctx, r, manifests.SubresourceStatus, func(r *certificatesv1.CertificateSigningRequest) {
			r.Status.Conditions = append(r.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
				Type: certificatesv1.CertificateFailed, Status: corev1.ConditionTrue, Reason: "SignerValidationFailure", Message: err.Error(),
			})
		})
	}
	signed, err := c.options.Authority.Sign(parsed, r.Spec.Usages, life(r.Spec.ExpirationSeconds))
	if err != nil {
		return fmt.Errorf("signing certificate %s: %w", r.Name, err)
	}
	return c.update(ctx, r, manifests.SubresourceStatus, func(r *certificatesv1.CertificateSigningRequest) { r.Status.Certificate = signed })
}

// check refuses what a signer does not sign.
func check(r *certificatesv1.CertificateSigningRequest, parsed *x509.CertificateRequest) error {
	switch r.Spec.SignerName {
	case certificatesv1.KubeAPIServerClientSignerName:
		return checkClientUsages(r.Spec.Usages)
	case certificatesv1.KubeAPIServerClientKubeletSignerName:
		return manifests.CheckNodeClientRequest(parsed, r.Spec.Usages)
	case certificatesv1.KubeletServingSignerName:
		return manifests.CheckNodeServingRequest(parsed, r.Spec.Usages)
	}
	return errOtherSigner
}

func checkClientUsages(usages []certificatesv1.KeyUsage) error {
	for _, u := range usages {
		switch u {
		case certificatesv1.UsageDigitalSignature, certificatesv1.UsageKeyEncipherment, certificatesv1.UsageClientAuth:
		default:
			return fmt.Errorf("invalid usage for client certificate: %s", u)
		}
	}
	if !slices.Contains(usages, certificatesv1.UsageClientAuth) {
		return fmt.Errorf("missing required usage for client certificate: %s", certificatesv1.UsageClientAuth)
	}
	return nil
}

// A certificate is good for a year unless the request wants less, and for no less than ten minutes.
const (
	longestLife  = 365 * 24 * time.Hour
	shortestLife = 10 * time.Minute
)

func life(seconds *int32) time.Duration {
	if seconds == nil {
		return longestLife
	}
	return min(max(time.Duration(*seconds)*time.Second, shortestLife), longestLife)
}

package tokens

import (
	"fmt"
	"slices"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/utils/clock"

	"skiff/store"
)

const (
	// WarnOnlyExpiration is how long, in seconds, the token is good for that each pod gets. Because
	// clients of old do not read it anew, it is let in for extendedExpiration.
	WarnOnlyExpiration = 60*60 + 7
	extendedExpiration = 365 * 24 * 60 * 60

	defaultExpiration = 60 * 60
	minExpiration     = 10 * 60
	maxExpiration     = 1 << 32

	legacyIssuer = "kubernetes/serviceaccount"
)

// Reader is the state; *store.Store is one.
type Reader interface {
	Get(store.Key) (store.Object, bool)
}

// Options configure an Issuer.
type Options struct {
	Keys  *Keys
	State Reader
	// Issuer is the URL by which tokens name who issued them, and the audience of those that are for
	// the API.
	Issuer string
	Clock  clock.PassiveClock
}

// Issuer issues tokens and checks them.
type Issuer struct {
	options Options
	checked checked
}

// New returns an issuer.
func New(o Options) *Issuer { return &Issuer{options: o} }

// Audiences are those of the API.
func (i *Issuer) Audiences() []string { return []string{i.options.Issuer} }

// Issue answers a request for a token of a service account, whose name and namespace are the request's.
// It takes the request over.
func (i *Issuer) Issue(r *authenticationv1.TokenRequest) (*authenticationv1.TokenRequest, error) {
	account, ok := get[*corev1.ServiceAccount](i.options.State, "serviceaccounts", r.Namespace, r.Name)
	if !ok {
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "serviceaccounts"}, r.Name)
	}
	kind := authenticationv1.SchemeGroupVersion.WithKind("TokenRequest")
	if r.UID != "" && r.UID != account.UID {
		return nil, apierrors.NewConflict(schema.GroupResource{Group: kind.Group, Resource: kind.Kind}, r.Name,
			fmt.Errorf("the UID in the token request (%s) does not match the UID of the service account (%s)", r.UID, account.UID))
	}
	now := i.options.Clock.Now()
	r.UID, r.CreationTimestamp, r.Status = account.UID, metav1.NewTime(now), authenticationv1.TokenRequestStatus{}
	if len(r.Spec.Audiences) == 0 {
		r.Spec.Audiences = i.Audiences()
	}
	if r.Spec.ExpirationSeconds == nil {
		usual := int64(defaultExpiration)
		r.Spec.ExpirationSeconds = &usual
	}
	if errs := validate(&r.Spec); len(errs) > 0 {
		return nil, apierrors.NewInvalid(kind.GroupKind(), "", errs)
	}
	to := &bound{Namespace: r.Namespace, Account: reference{Name: account.Name, UID: string(account.UID)}}
	if err := i.bind(r, to); err != nil {
		return nil, err
	}
	token, err := i.options.Keys.sign(i.claims(r, to, now))
	if err != nil {
		return nil, fmt.Errorf("signing a token of service account %s/%s: %w", r.Namespace, r.Name, err)
	}
	r.Status.Token = token
	r.Status.ExpirationTimestamp = metav1.NewTime(now.Add(time.Duration(*r.Spec.ExpirationSeconds) * time.Second))
	return r, nil
}

func validate(s *authenticationv1.TokenRequestSpec) field.ErrorList {
	var errs field.ErrorList
	at := field.NewPath("spec", "expirationSeconds")
	if *s.ExpirationSeconds < minExpiration {
		errs = append(errs, field.Invalid(at, *s.ExpirationSeconds, "may not specify a duration less than 10 minutes"))
	}
	if *s.ExpirationSeconds > maxExpiration {
		errs = append(errs, field.Invalid(at, *s.ExpirationSeconds, "may not specify a duration larger than 2^32 seconds"))
	}
	if len(s.Attestations) != 0 {
		errs = append(errs, field.Invalid(field.NewPath("spec", "attestations"), s.Attestations, "attestations may only be specified with a webhook bound object reference"))
	}
	return errs
}

func (i *Issuer) claims(r *authenticationv1.TokenRequest, to *bound, now time.Time) *claims {
	lasts := *r.Spec.ExpirationSeconds
	if to.Pod != nil && lasts == WarnOnlyExpiration && slices.Equal(r.Spec.Audiences, i.Audiences()) {
		to.WarnAfter = now.Unix() + lasts
		lasts = extendedExpiration
	}
	return &claims{
		Audience: r.Spec.Audiences, Expires: now.Unix() + lasts, IssuedAt: now.Unix(), NotBefore: now.Unix(), Issuer: i.options.Issuer,
		ID: string(uuid.NewUUID()), Subject: serviceaccount.MakeUsername(r.Namespace, r.Name), Bound: to,
	}
}

// bind finds the object that the token is to end with.
func (i *Issuer) bind(r *authenticationv1.TokenRequest, to *bound) error {
	ref := r.Spec.BoundObjectRef
	if ref == nil {
		return nil
	}
	of := schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind)
	if of.Group != "" {
		return cannotBind(of)
	}
	var found store.Object
	var ok bool
	switch of.Kind {
	case "Pod":
		var pod *corev1.Pod
		if pod, ok = get[*corev1.Pod](i.options.State, "pods", r.Namespace, ref.Name); ok {
			if pod.Spec.ServiceAccountName != r.Name {
				return apierrors.NewBadRequest(fmt.Sprintf("cannot bind token for serviceaccount %q to pod running with different serviceaccount name.", r.Name))
			}
			found, to.Pod, to.Node = pod, refer(pod), i.nodeOf(pod)
		}
	case "Secret":
		var secret *corev1.Secret
		if secret, ok = get[*corev1.Secret](i.options.State, "secrets", r.Namespace, ref.Name); ok {
			found, to.Secret = secret, refer(secret)
		}
	case "Node":
		var node *corev1.Node
		if node, ok = get[*corev1.Node](i.options.State, "nodes", "", ref.Name); ok {
			found, to.Node = node, refer(node)
		}
	default:
		return cannotBind(of)
	}
	if !ok {
		return apierrors.NewNotFound(schema.GroupResource{Resource: strings.ToLower(of.Kind) + "s"}, ref.Name)
	}
	if ref.UID != "" && ref.UID != found.GetUID() {
		return apierrors.NewConflict(schema.GroupResource{Resource: of.Kind}, ref.Name,
			fmt.Errorf("the UID in the bound object reference (%s) does not match the UID in record. The object might have been deleted and then recreated", ref.UID))
	}
	return nil
}

func cannotBind(of schema.GroupVersionKind) error {
	return apierrors.NewBadRequest(fmt.Sprintf("cannot bind token to object of type %s", of))
}

func (i *Issuer) nodeOf(pod *corev1.Pod) *reference {
	if pod.Spec.NodeName == "" {
		return nil
	}
	if node, ok := get[*corev1.Node](i.options.State, "nodes", "", pod.Spec.NodeName); ok {
		return refer(node)
	}
	return &reference{Name: pod.Spec.NodeName}
}

// IssueLegacy makes the token that a secret of the type kubernetes.io/service-account-token holds. It
// ends with the secret and has no other end.
func (i *Issuer) IssueLegacy(account *corev1.ServiceAccount, secret string) (string, error) {
	return i.options.Keys.sign(&claims{
		Issuer: legacyIssuer, Subject: serviceaccount.MakeUsername(account.Namespace, account.Name),
		legacy: legacy{Namespace: account.Namespace, Secret: secret, Account: account.Name, AccountUID: string(account.UID)},
	})
}

func refer(o store.Object) *reference { return &reference{Name: o.GetName(), UID: string(o.GetUID())} }

// PodToken issues the token that is projected into a pod.
func (i *Issuer) PodToken(pod *corev1.Pod, audience string, seconds int64) (token string, expires time.Time, err error) {
	r := &authenticationv1.TokenRequest{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Spec.ServiceAccountName},
		Spec: authenticationv1.TokenRequestSpec{
			ExpirationSeconds: &seconds,
			BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID},
		},
	}
	if audience != "" {
		r.Spec.Audiences = []string{audience}
	}
	if r, err = i.Issue(r); err != nil {
		return "", time.Time{}, err
	}
	return r.Status.Token, r.Status.ExpirationTimestamp.Time, nil
}

func get[T store.Object](state Reader, resource, namespace, name string) (T, bool) {
	found, ok := state.Get(store.Key{Resource: resource, Namespace: namespace, Name: name})
	if !ok {
		var none T
		return none, false
	}
	return found.(T), true
}

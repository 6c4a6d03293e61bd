package dynamic

import (
	"context"
	"errors"
	"fmt"

	admissionv1 "k8s.io/api/admission/v1"
	admissionv1beta1 "k8s.io/api/admission/v1beta1"
	arv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apiserver/pkg/admission"
	webhookerrors "k8s.io/apiserver/pkg/admission/plugin/webhook/errors"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/warning"
)

// callError says that a webhook could not be asked, or has not answered as it must. Whether that
// refuses the request is up to the webhook's failure policy.
type callError struct {
	hook   string
	reason error
}

// Error has upstream's words.
func (e *callError) Error() string {
	return fmt.Sprintf("failed calling webhook %q: %v", e.hook, e.reason)
}

func (e *callError) Unwrap() error { return e.reason }

// ask shows the request to a webhook and returns what it has answered. The error of a webhook that
// refuses is a status error, that of one that fails a *callError.
func (q *request) ask(ctx context.Context, h *hook, v *admission.VersionedAttributes, t target, mutating bool) (*admissionv1.AdmissionResponse, error) {
	if q.IsDryRun() && (h.SideEffects == nil || *h.SideEffects != arv1.SideEffectClassNone && *h.SideEffects != arv1.SideEffectClassNoneOnDryRun) {
		return nil, webhookerrors.NewDryRunUnsupportedErr(h.Name)
	}
	calling, cancel := context.WithTimeout(ctx, h.timeout())
	defer cancel()
	response, err := q.call(calling, h, reviewOf(v, t), mutating)
	if err != nil {
		return nil, &callError{h.Name, err}
	}
	for key, value := range response.AuditAnnotations {
		audit.AddAuditAnnotation(ctx, h.Name+"/"+key, value)
	}
	for _, text := range response.Warnings {
		warning.AddWarning(ctx, "", text)
	}
	if !response.Allowed {
		return nil, webhookerrors.ToStatusErr(h.Name, response.Result)
	}
	return response, nil
}

// call speaks the first version of reviews that the webhook names and skiff knows.
func (q *request) call(ctx context.Context, h *hook, review *admissionv1.AdmissionRequest, mutating bool) (*admissionv1.AdmissionResponse, error) {
	for _, version := range h.AdmissionReviewVersions {
		switch version {
		case "v1":
			in, out := &admissionv1.AdmissionReview{Request: review}, &admissionv1.AdmissionReview{}
			in.SetGroupVersionKind(reviewKind)
			if err := q.extension.options.Caller.Call(ctx, h.target, in, out); err != nil {
				return nil, fmt.Errorf("failed to call webhook: %w", err)
			}
			return out.Response, invalid(verify(out, review.UID, mutating))
		case "v1beta1":
			in, out := olderReview(review), &admissionv1beta1.AdmissionReview{}
			if err := q.extension.options.Caller.Call(ctx, h.target, in, out); err != nil {
				return nil, fmt.Errorf("failed to call webhook: %w", err)
			}
			response, err := newerResponse(out, mutating)
			return response, invalid(err)
		}
	}
	return nil, errors.New("could not create admission objects: webhook does not accept known AdmissionReview versions (v1, v1beta1)")
}

func invalid(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("received invalid webhook response: %w", err)
}

var reviewKind = admissionv1.SchemeGroupVersion.WithKind("AdmissionReview")

// verify refuses an answer that is none to the question.
func verify(r *admissionv1.AdmissionReview, asked types.UID, mutating bool) error {
	response := r.Response
	switch {
	case response == nil:
		return errors.New("webhook response was absent")
	case response.UID != asked:
		return fmt.Errorf("expected response.uid=%q, got %q", asked, response.UID)
	case r.GroupVersionKind() != reviewKind:
		return fmt.Errorf("expected webhook response of %v, got %v", reviewKind, r.GroupVersionKind())
	case !mutating && len(response.Patch) > 0:
		return errors.New("validating webhook may not return response.patch")
	case !mutating && response.PatchType != nil:
		return errors.New("validating webhook may not return response.patchType")
	case len(response.Patch) > 0 && response.PatchType == nil:
		return errors.New("webhook returned response.patch but not response.patchType")
	case len(response.Patch) == 0 && response.PatchType != nil:
		return errors.New("webhook returned response.patchType but not response.patch")
	case response.PatchType != nil && *response.PatchType == "":
		return fmt.Errorf("webhook returned invalid response.patchType of %q", *response.PatchType)
	case response.PatchType != nil && *response.PatchType != admissionv1.PatchTypeJSONPatch:
		return fmt.Errorf("unsupported patch type %q", *response.PatchType)
	}
	return nil
}

func reviewOf(v *admission.VersionedAttributes, t target) *admissionv1.AdmissionRequest {
	dryRun := v.IsDryRun()
	kind, resource := metav1.GroupVersionKind(v.GetKind()), metav1.GroupVersionResource(v.GetResource())
	return &admissionv1.AdmissionRequest{
		UID: uuid.NewUUID(), Kind: metav1.GroupVersionKind(t.kind), Resource: metav1.GroupVersionResource(t.resource), SubResource: v.GetSubresource(),
		RequestKind: &kind, RequestResource: &resource, RequestSubResource: v.GetSubresource(),
		Name: v.GetName(), Namespace: v.GetNamespace(), Operation: admissionv1.Operation(v.GetOperation()),
		UserInfo: userInfo(v.GetUserInfo()), Object: runtime.RawExtension{Object: v.VersionedObject.Object()},
		OldObject: runtime.RawExtension{Object: v.VersionedOldObject.Object()},
		DryRun:    &dryRun, Options: runtime.RawExtension{Object: v.GetOperationOptions()},
	}
}

func userInfo(u user.Info) authenticationv1.UserInfo {
	info := authenticationv1.UserInfo{Username: u.GetName(), UID: u.GetUID(), Groups: u.GetGroups(), Extra: map[string]authenticationv1.ExtraValue{}}
	for key, value := range u.GetExtra() {
		info.Extra[key] = value
	}
	return info
}

// olderReview is a request in the version that came before v1, which is the same but for its name.
func olderReview(r *admissionv1.AdmissionRequest) *admissionv1beta1.AdmissionReview {
	review := &admissionv1beta1.AdmissionReview{Request: &admissionv1beta1.AdmissionRequest{
		UID: r.UID, Kind: r.Kind, Resource: r.Resource, SubResource: r.SubResource,
		RequestKind: r.RequestKind, RequestResource: r.RequestResource, RequestSubResource: r.RequestSubResource,
		Name: r.Name, Namespace: r.Namespace, Operation: admissionv1beta1.Operation(r.Operation), UserInfo: r.UserInfo,
		Object: r.Object, OldObject: r.OldObject, DryRun: r.DryRun, Options: r.Options,
	}}
	review.SetGroupVersionKind(schema.GroupVersionKind{Group: admissionv1beta1.GroupName, Version: "v1beta1", Kind: "AdmissionReview"})
	return review
}

// newerResponse takes an answer of that version, of which upstream verifies less.
func newerResponse(r *admissionv1beta1.AdmissionReview, mutating bool) (*admissionv1.AdmissionResponse, error) {
	if r.Response == nil {
		return nil, errors.New("webhook response was absent")
	}
	out := &admissionv1.AdmissionResponse{
		UID: r.Response.UID, Allowed: r.Response.Allowed, Result: r.Response.Result,
		AuditAnnotations: r.Response.AuditAnnotations, Warnings: r.Response.Warnings,
	}
	if mutating && len(r.Response.Patch) > 0 {
		patchType := admissionv1.PatchTypeJSONPatch
		out.Patch, out.PatchType = r.Response.Patch, &patchType
	}
	return out, nil
}

package custom

import (
	"context"
	"errors"
	"fmt"
	"slices"

	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Webhook sends reviews to conversion webhooks.
type Webhook interface {
	// Convert posts a review to the webhook of a configuration and returns the review that is answered.
	// It bounds the time that takes by itself.
	Convert(ctx context.Context, config *extv1.WebhookClientConfig, review *extv1.ConversionReview) (*extv1.ConversionReview, error)
}

// convert brings an object, which it takes over, from one version of the definition into another.
func (d *Definition) convert(u *unstructured.Unstructured, to *Version) (*unstructured.Unstructured, error) {
	want := to.GVK.GroupVersion().String()
	if u.GetAPIVersion() == want {
		return u, nil
	}
	if c := d.CRD.Spec.Conversion; c != nil && c.Strategy == extv1.WebhookConverter {
		var err error
		if u, err = d.askWebhook(u, want); err != nil {
			return nil, err
		}
	} else {
		u.SetAPIVersion(want)
	}
	if _, err := to.Coerce(u, Strictness{}); err != nil {
		return nil, err
	}
	return u, nil
}

// askWebhook follows pkg/apiserver/conversion/webhook_converter.go in k8s.io/apiextensions-apiserver.
// As there, nobody's context ends the conversion: that of an object which many wait for must not
// fail because one of them has gone.
func (d *Definition) askWebhook(u *unstructured.Unstructured, want string) (*unstructured.Unstructured, error) {
	failed := func(err error) error {
		return fmt.Errorf("conversion webhook for %v failed: %w", u.GroupVersionKind(), err)
	}
	if d.options.Webhook == nil {
		return nil, failed(errors.New("skiff calls no conversion webhooks here"))
	}
	config := d.CRD.Spec.Conversion.Webhook
	version := reviewVersion(config.ConversionReviewVersions)
	if version == "" {
		return nil, failed(errors.New("no supported conversion review versions"))
	}
	review := &extv1.ConversionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: extv1.GroupName + "/" + version, Kind: "ConversionReview"},
		Request: &extv1.ConversionRequest{
			UID: uuid.NewUUID(), DesiredAPIVersion: want, Objects: []runtime.RawExtension{{Object: u}},
		},
	}
	answer, err := d.options.Webhook.Convert(context.TODO(), config.ClientConfig, review)
	if err != nil {
		return nil, failed(err)
	}
	objects, err := convertedObjects(review, answer)
	if err != nil {
		return nil, failed(err)
	}
	if len(objects) != 1 {
		return nil, fmt.Errorf("conversion webhook for %v returned %d objects, expected %d", u.GroupVersionKind(), len(objects), 1)
	}
	out, err := convertedObject(u, objects[0], want)
	if err != nil {
		return nil, fmt.Errorf("conversion webhook for %v returned invalid object: %w", u.GroupVersionKind(), err)
	}
	return out, nil
}

// reviewVersion is the first version of reviews that skiff can speak, "" if there is none. The two
// look the same.
func reviewVersion(versions []string) string {
	i := slices.IndexFunc(versions, func(v string) bool { return v == "v1" || v == "v1beta1" })
	if i < 0 {
		return ""
	}
	return versions[i]
}

// convertedObjects are those of an answer that is one to the review. Answers of the older version
// need not name what they are the answer to.
func convertedObjects(review, answer *extv1.ConversionReview) ([]runtime.RawExtension, error) {
	strict := review.APIVersion == extv1.SchemeGroupVersion.String()
	if strict && answer.GroupVersionKind() != review.GroupVersionKind() {
		return nil, fmt.Errorf("expected webhook response of %v, got %v", review.GroupVersionKind(), answer.GroupVersionKind())
	}
	r := answer.Response
	switch {
	case r == nil:
		return nil, errors.New("no response provided")
	case strict && r.UID != review.Request.UID:
		return nil, fmt.Errorf("expected response.uid=%q, got %q", review.Request.UID, r.UID)
	case r.Result.Status != metav1.StatusSuccess && r.Result.Message != "":
		return nil, errors.New(r.Result.Message)
	case r.Result.Status != metav1.StatusSuccess:
		return nil, fmt.Errorf("response.result.status was '%s', not 'Success'", r.Result.Status)
	}
	return r.ConvertedObjects, nil
}

// convertedObject is the object that a webhook made of another, with the metadata of the other:
// labels and annotations alone are the webhook's to change.
func convertedObject(in *unstructured.Unstructured, raw runtime.RawExtension, want string) (*unstructured.Unstructured, error) {
	out, ok := raw.Object.(*unstructured.Unstructured)
	if !ok {
		out = &unstructured.Unstructured{}
		if err := out.UnmarshalJSON(raw.Raw); err != nil {
			return nil, err
		}
	}
	if out.GetAPIVersion() != want {
		return nil, fmt.Errorf("invalid groupVersion (expected %v, received %v)", want, out.GetAPIVersion())
	}
	for _, same := range []struct{ name, in, out string }{
		{"kind", in.GetKind(), out.GetKind()},
		{"name", in.GetName(), out.GetName()},
		{"namespace", in.GetNamespace(), out.GetNamespace()},
		{"UID", string(in.GetUID()), string(out.GetUID())},
	} {
		if same.in != same.out {
			return nil, fmt.Errorf("must have the same %s: %v != %v", same.name, same.in, same.out)
		}
	}
	return out, restoreMetadata(in, out)
}

func restoreMetadata(in, out *unstructured.Unstructured) error {
	answered, ok := out.Object["metadata"].(map[string]any)
	if !ok {
		return fmt.Errorf("invalid metadata of type %T in converted object", out.Object["metadata"])
	}
	restored := map[string]any{}
	if m, ok := in.Object["metadata"].(map[string]any); ok {
		restored = runtime.DeepCopyJSON(m)
	}
	for _, name := range []string{"labels", "annotations"} {
		delete(restored, name)
		if answered[name] == nil {
			continue
		}
		values, _, err := unstructured.NestedStringMap(answered, name)
		if err != nil {
			return fmt.Errorf("invalid metadata.%s in converted object: %w", name, err)
		}
		at := field.NewPath("metadata", name)
		errs := apivalidation.ValidateAnnotations(values, at)
		if name == "labels" {
			errs = metavalidation.ValidateLabels(values, at)
		}
		if len(errs) > 0 {
			return errs.ToAggregate()
		}
		restored[name] = answered[name]
	}
	out.Object["metadata"] = restored
	return nil
}

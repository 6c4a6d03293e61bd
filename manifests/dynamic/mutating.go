package dynamic

import (
	"context"
	"encoding/json"
	"fmt"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	admissionv1 "k8s.io/api/admission/v1"
	arv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	jsonserializer "k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/warning"
)

// maxCopied is how many bytes the copies that a patch makes may come to: each can double the object.
const maxCopied = 64 << 20

func init() { jsonpatch.AccumulatedCopySizeLimit = maxCopied }

// mutation is a registry.Mutation.
type mutation struct {
	extension       *Extension
	request         *request
	hooks, policies bool // there are some
	round           int

	hookRounds, policyRounds rounds
}

// Mutate implements registry.Mutation.
func (m *mutation) Mutate(ctx context.Context) (bool, error) {
	q := m.request
	clear(q.versions) // the admitters have changed the object
	owned := q.managedFields()
	defer func() { m.round++ }()
	changed := false
	for _, step := range []struct {
		on     bool
		rounds *rounds
		run    func(context.Context) (bool, error)
	}{{m.policies, &m.policyRounds, m.mutateByPolicies}, {m.hooks, &m.hookRounds, m.mutateByHooks}} {
		if !step.on {
			continue
		}
		step.rounds.begin(m.round, q.GetObject())
		by, err := step.run(ctx)
		if err != nil {
			return false, err
		}
		step.rounds.end(m.round, q.GetObject())
		changed = changed || by
	}
	if changed {
		q.keepManagedFields(ctx, owned)
	}
	return changed, nil
}

// mutateByHooks asks all webhooks that the request concerns, one after the other.
func (m *mutation) mutateByHooks(ctx context.Context) (bool, error) {
	q, any := m.request, false
	for i, h := range m.extension.mutating.all(m.extension.options.Reader) {
		t, ok, err := q.concerns(ctx, h)
		if err != nil {
			return false, err
		}
		// One that did not want to see the request before is not asked in the second round.
		if !ok || !m.hookRounds.may(m.round, h.key) {
			continue
		}
		changed, err := q.mutateBy(ctx, h, t)
		at := fmt.Sprintf("round_%d_index_%d", m.round, i)
		note(ctx, "mutation.webhook.admission.k8s.io/"+at, mutated{h.configuration, h.Name, changed})
		if changed {
			any = true
			m.hookRounds.changed()
		}
		if h.ReinvocationPolicy != nil && *h.ReinvocationPolicy == arv1.IfNeededReinvocationPolicy {
			m.hookRounds.ran(h.key)
		}
		if err := q.failed(ctx, h, err, "failed-open.mutation.webhook.admission.k8s.io/"+at); err != nil {
			return false, err
		}
	}
	return any, nil
}

// mutated is what the audit log says of a webhook.
type mutated struct {
	Configuration string `json:"configuration"`
	Webhook       string `json:"webhook"`
	Mutated       bool   `json:"mutated"`
}

func note(ctx context.Context, key string, value any) {
	if audit.AuditContextFrom(ctx) == nil {
		return
	}
	if text, err := json.Marshal(value); err == nil {
		audit.AddAuditAnnotation(ctx, key, string(text))
	}
}

// mutateBy asks one webhook and changes the object as it wants.
func (q *request) mutateBy(ctx context.Context, h *hook, t target) (bool, error) {
	v, err := q.versioned(t.kind)
	if err != nil {
		return false, err
	}
	response, err := q.ask(ctx, h, v, t, true)
	if err != nil || len(response.Patch) == 0 {
		return false, err
	}
	made, err := q.patched(h, v, response)
	if err != nil || made == nil {
		return false, err
	}
	changed := !equality.Semantic.DeepEqual(v.VersionedObject.Object(), made)
	q.interfaces.GetObjectDefaulter().Default(made)
	if err := q.replace(made, t.kind); err != nil {
		return false, apierrors.NewInternalError(err)
	}
	return changed, nil
}

// patched is the object with a webhook's patch, nil if the patch does nothing.
func (q *request) patched(h *hook, v *admission.VersionedAttributes, response *admissionv1.AdmissionResponse) (runtime.Object, error) {
	patch, err := jsonpatch.DecodePatch(response.Patch)
	if err != nil {
		return nil, &callError{h.Name, fmt.Errorf("received undecodable patch in webhook response: %w", err)}
	}
	if len(patch) == 0 {
		return nil, nil
	}
	obj := v.VersionedObject.Object()
	if obj == nil || q.GetOperation() == admission.Delete {
		return nil, apierrors.NewInternalError(fmt.Errorf("admission webhook %q attempted to modify the object, which is not supported for this operation", h.Name))
	}
	made, err := q.apply(patch, obj)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	return made, nil
}

// apply decodes what a patch makes of the encoded object. Fields that its type does not have are dropped.
func (q *request) apply(patch jsonpatch.Patch, obj runtime.Object) (runtime.Object, error) {
	serializer := jsonserializer.NewSerializerWithOptions(jsonserializer.DefaultMetaFactory,
		q.interfaces.GetObjectCreater(), q.interfaces.GetObjectTyper(), jsonserializer.SerializerOptions{})
	before, err := runtime.Encode(serializer, obj)
	if err != nil {
		return nil, err
	}
	after, err := patch.Apply(before)
	if err != nil {
		return nil, err
	}
	gvk := obj.GetObjectKind().GroupVersionKind()
	var into runtime.Object = &unstructured.Unstructured{}
	if _, custom := obj.(*unstructured.Unstructured); !custom {
		if into, err = q.interfaces.GetObjectCreater().New(gvk); err != nil {
			return nil, err
		}
	}
	made, _, err := serializer.Decode(after, nil, into)
	if err != nil {
		return nil, err
	}
	if got := made.GetObjectKind().GroupVersionKind(); got != gvk {
		return nil, fmt.Errorf("the patch makes a %v of a %v", got, gvk)
	}
	return made, nil
}

func (q *request) managedFields() []metav1.ManagedFieldsEntry {
	if m, err := meta.Accessor(q.GetObject()); err == nil {
		return m.GetManagedFields()
	}
	return nil
}

// keepManagedFields takes back what somebody has made of the managed fields if it is nonsense, as
// upstream does.
func (q *request) keepManagedFields(ctx context.Context, before []metav1.ManagedFieldsEntry) {
	after := q.managedFields()
	if equality.Semantic.DeepEqual(before, after) {
		return
	}
	if err := managedfields.ValidateManagedFields(after); err != nil {
		warning.AddWarning(ctx, "", fmt.Sprintf(".metadata.managedFields was in an invalid state after admission; this could be caused by an outdated mutating admission controller; please fix your requests: %v", err))
		if m, err := meta.Accessor(q.GetObject()); err == nil {
			m.SetManagedFields(before)
		}
	}
}

package dynamic

import (
	"slices"

	arv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/predicates/rules"
)

// selectors are those of a webhook or a policy, parsed. Nil ones match everything.
type selectors struct {
	namespace, object labels.Selector
	err               error
}

func newSelectors(namespace, object *metav1.LabelSelector) selectors {
	var s selectors
	s.namespace, s.err = parseSelector(namespace)
	if s.err == nil {
		s.object, s.err = parseSelector(object)
	}
	return s
}

func parseSelector(s *metav1.LabelSelector) (labels.Selector, error) {
	if s == nil {
		return nil, nil
	}
	parsed, err := metav1.LabelSelectorAsSelector(s)
	if err == nil && parsed.Empty() {
		return nil, nil
	}
	return parsed, err
}

// selected reports whether the selectors match, or why that can not be told. The error matters only
// if the rules match.
func (q *request) selected(s selectors) (bool, error) {
	if s.err != nil {
		return true, s.err
	}
	ok, err := q.namespaceSelected(s.namespace)
	if !ok && err == nil {
		return false, nil
	}
	return q.objectSelected(s.object), err
}

// namespaceSelected looks at the labels of the namespace; those of a Namespace are its own.
func (q *request) namespaceSelected(s labels.Selector) (bool, error) {
	if s == nil {
		return true, nil
	}
	if isNamespaces(q.kind) {
		n := q.GetObject()
		if n == nil || q.part != nil {
			n = q.GetOldObject()
		}
		return labelled(n, s), nil
	}
	switch name := q.GetNamespace(); {
	case name == "":
		return true, nil
	case q.namespace == nil:
		return true, apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, name)
	default:
		return s.Matches(labels.Set(q.namespace.Labels)), nil
	}
}

// objectSelected looks at the object as it is to be and as it was.
func (q *request) objectSelected(s labels.Selector) bool {
	return s == nil || labelled(q.GetObject(), s) || labelled(q.GetOldObject(), s)
}

func labelled(obj runtime.Object, s labels.Selector) bool {
	if obj == nil {
		return false
	}
	m, err := meta.Accessor(obj)
	return err == nil && s.Matches(labels.Set(m.GetLabels()))
}

// target is in which version somebody wants to see the request.
type target struct {
	resource schema.GroupVersionResource
	kind     schema.GroupVersionKind
}

// ruled finds the version of the request that one of the rules names: the request's own, or, if the match
// policy is Equivalent, another one that is served.
func (q *request) ruled(all []arv1.NamedRuleWithOperations, policy *arv1.MatchPolicyType) (target, bool) {
	own := target{q.GetResource(), q.GetKind()}
	if q.anyRule(all, own) {
		return own, true
	}
	if policy == nil || *policy != arv1.Equivalent {
		return target{}, false
	}
	for i := range all { // earlier rules first
		for _, other := range q.equivalents() {
			if q.anyRule(all[i:i+1], other) {
				return other, true
			}
		}
	}
	return target{}, false
}

// equivalents are the other versions that are served.
func (q *request) equivalents() []target {
	var out []target
	served := q.kind.Served
	if q.custom != nil {
		served = q.custom.Served
	}
	for _, gvk := range served {
		t := target{gvk.GroupVersion().WithResource(q.kind.Resource), gvk}
		if t.resource == q.GetResource() {
			continue
		}
		if q.part != nil {
			t.kind = q.part.GVK
		}
		out = append(out, t)
	}
	return out
}

func (q *request) anyRule(all []arv1.NamedRuleWithOperations, t target) bool {
	return slices.ContainsFunc(all, func(r arv1.NamedRuleWithOperations) bool {
		m := rules.Matcher{Rule: r.RuleWithOperations, Attr: inVersion{q.Attributes, t.resource}}
		return m.Matches() && (len(r.ResourceNames) == 0 || slices.Contains(r.ResourceNames, q.GetName()))
	})
}

// inVersion is a request as if it had come by another version.
type inVersion struct {
	admission.Attributes
	resource schema.GroupVersionResource
}

// GetResource implements admission.Attributes.
func (v inVersion) GetResource() schema.GroupVersionResource { return v.resource }

// named are rules that name no objects.
func named(all []arv1.RuleWithOperations) []arv1.NamedRuleWithOperations {
	out := make([]arv1.NamedRuleWithOperations, len(all))
	for i := range all {
		out[i].RuleWithOperations = all[i]
	}
	return out
}

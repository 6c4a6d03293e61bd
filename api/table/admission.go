package table

import (
	"time"

	arv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// admissionLayoutOf finds the layout of a resource that configures admission.
func admissionLayoutOf(gr schema.GroupResource) layout {
	switch gr.Resource {
	case "mutatingwebhookconfigurations":
		return layout{webhooksColumns, of(mutatingWebhooksCells)}
	case "validatingwebhookconfigurations":
		return layout{webhooksColumns, of(validatingWebhooksCells)}
	case "mutatingadmissionpolicies":
		return layout{mutatingPolicyColumns, of(mutatingPolicyCells)}
	case "validatingadmissionpolicies":
		return layout{validatingPolicyColumns, of(validatingPolicyCells)}
	case "mutatingadmissionpolicybindings":
		return layout{policyBindingColumns, of(mutatingBindingCells)}
	case "validatingadmissionpolicybindings":
		return layout{policyBindingColumns, of(validatingBindingCells)}
	}
	return layout{plainColumns, plainCells}
}

func webhooksColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{nameColumn(), number("Webhooks", "How many webhooks are configured."), ageColumn()}
}

func mutatingWebhooksCells(c *arv1.MutatingWebhookConfiguration, now time.Time) []any {
	return []any{c.Name, int64(len(c.Webhooks)), age(c.CreationTimestamp, now)}
}

func validatingWebhooksCells(c *arv1.ValidatingWebhookConfiguration, now time.Time) []any {
	return []any{c.Name, int64(len(c.Webhooks)), age(c.CreationTimestamp, now)}
}

func validatingPolicyColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		nameColumn(), number("Validations", "How many expressions must be true."), text("ParamKind", "The kind of the policy's parameters."), ageColumn(),
	}
}

func validatingPolicyCells(p *arv1.ValidatingAdmissionPolicy, now time.Time) []any {
	return []any{p.Name, int64(len(p.Spec.Validations)), paramKind(p.Spec.ParamKind), age(p.CreationTimestamp, now)}
}

func mutatingPolicyColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		nameColumn(), number("Mutations", "How many changes are made."), text("ParamKind", "The kind of the policy's parameters."), ageColumn(),
	}
}

func mutatingPolicyCells(p *arv1.MutatingAdmissionPolicy, now time.Time) []any {
	return []any{p.Name, int64(len(p.Spec.Mutations)), paramKind(p.Spec.ParamKind), age(p.CreationTimestamp, now)}
}

func paramKind(k *arv1.ParamKind) string {
	if k == nil {
		return unset
	}
	return k.APIVersion + "/" + k.Kind
}

func policyBindingColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		nameColumn(), text("PolicyName", "The policy that is put into force."), text("ParamRef", "The policy's parameters."), ageColumn(),
	}
}

func validatingBindingCells(b *arv1.ValidatingAdmissionPolicyBinding, now time.Time) []any {
	return []any{b.Name, b.Spec.PolicyName, paramRef(b.Spec.ParamRef), age(b.CreationTimestamp, now)}
}

func mutatingBindingCells(b *arv1.MutatingAdmissionPolicyBinding, now time.Time) []any {
	return []any{b.Name, b.Spec.PolicyName, paramRef(b.Spec.ParamRef), age(b.CreationTimestamp, now)}
}

// paramRef leaves the namespace open where it depends on the object.
func paramRef(r *arv1.ParamRef) string {
	switch {
	case r != nil && r.Name != "" && r.Namespace != "":
		return r.Namespace + "/" + r.Name
	case r != nil && r.Name != "":
		return "*/" + r.Name
	case r != nil && r.Selector != nil:
		return r.Selector.String()
	}
	return unset
}

package definitions

import (
	"fmt"
	"slices"

	"k8s.io/apiextensions-apiserver/pkg/apihelpers"
	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"

	"skiff/manifests"
)

// taken are the names that a definition can not have.
type taken struct{ resources, kinds map[string]bool }

// takenNames are those that others of the definition's group have. Unlike upstream, resources of
// skiff's own are among them: there, a definition of such a name is accepted and never served.
func takenNames(crd *extv1.CustomResourceDefinition, all []*manifests.Packed) taken {
	t := taken{map[string]bool{}, map[string]bool{}}
	for _, other := range all {
		if other.Spec.Group != crd.Spec.Group || other.Name == crd.Name {
			continue
		}
		names := other.Status.AcceptedNames
		for _, r := range append([]string{names.Plural, names.Singular}, names.ShortNames...) {
			t.resources[r] = true
		}
		t.kinds[names.Kind], t.kinds[names.ListKind] = true, true
	}
	if own := manifests.KindFor(schema.GroupResource{Group: crd.Spec.Group, Resource: crd.Spec.Names.Plural}); own != nil {
		t.resources[own.Resource] = true
	}
	return t
}

// settle gives a definition the names it asks for, as far as nobody else has them, and says how it
// stands. It follows pkg/controller/status and pkg/controller/establish, which leave some seconds
// between the two for servers that have yet to hear of it: here there is but one.
func settle(crd *extv1.CustomResourceDefinition, t taken, now metav1.Time) {
	set := func(kind extv1.CustomResourceDefinitionConditionType, status extv1.ConditionStatus, reason, message string) {
		apihelpers.SetCRDCondition(crd, extv1.CustomResourceDefinitionCondition{
			Type: kind, Status: status, Reason: reason, Message: message, LastTransitionTime: now,
		})
	}
	if approval := approvalCondition(crd); approval != nil {
		set(approval.Type, approval.Status, approval.Reason, approval.Message)
	}
	reason, message := accept(&crd.Status.AcceptedNames, crd.Spec.Names, t)
	established := apihelpers.IsCRDConditionTrue(crd, extv1.Established)
	if reason != "" {
		set(extv1.NamesAccepted, extv1.ConditionFalse, reason, message)
		if !established {
			set(extv1.Established, extv1.ConditionFalse, "NotAccepted", "not all names are accepted")
		}
		return
	}
	set(extv1.NamesAccepted, extv1.ConditionTrue, "NoConflicts", "no conflicts found")
	if !established {
		set(extv1.Established, extv1.ConditionTrue, "InitialNamesAccepted", "the initial names have been accepted")
	}
}

// accept changes the names a definition has to those it wants, but for those that are taken. The
// last conflict is the one that is told.
func accept(have *extv1.CustomResourceDefinitionNames, want extv1.CustomResourceDefinitionNames, t taken) (reason, message string) {
	take := func(want string, have *string, taken map[string]bool, conflict string) {
		if want != *have && taken[want] {
			reason, message = conflict, inUse(want).Error()
			return
		}
		*have = want
	}
	take(want.Plural, &have.Plural, t.resources, "PluralConflict")
	take(want.Singular, &have.Singular, t.resources, "SingularConflict")
	var errs []error
	for _, s := range want.ShortNames {
		if t.resources[s] && !slices.Contains(have.ShortNames, s) {
			errs = append(errs, inUse(s))
		}
	}
	if err := utilerrors.NewAggregate(errs); err != nil {
		reason, message = "ShortNamesConflict", err.Error()
	} else {
		have.ShortNames = want.ShortNames
	}
	take(want.Kind, &have.Kind, t.kinds, "KindConflict")
	take(want.ListKind, &have.ListKind, t.kinds, "ListKindConflict")
	have.Categories = want.Categories
	return reason, message
}

func inUse(name string) error { return fmt.Errorf("%q is already in use", name) }

// approvalCondition says whether a definition in one of Kubernetes' own groups is approved as its
// annotation tells; nil for other groups. It follows pkg/controller/apiapproval.
func approvalCondition(crd *extv1.CustomResourceDefinition) *extv1.CustomResourceDefinitionCondition {
	if !apihelpers.IsProtectedCommunityGroup(crd.Spec.Group) {
		return nil
	}
	c := &extv1.CustomResourceDefinitionCondition{Type: extv1.KubernetesAPIApprovalPolicyConformant, Status: extv1.ConditionFalse}
	var state apihelpers.APIApprovalState
	state, c.Message = apihelpers.GetAPIApprovalState(crd.Annotations)
	switch state {
	case apihelpers.APIApprovalInvalid:
		c.Reason = "InvalidAnnotation"
	case apihelpers.APIApprovalMissing:
		c.Reason = "MissingAnnotation"
	case apihelpers.APIApproved:
		c.Reason, c.Status = "ApprovedAnnotation", extv1.ConditionTrue
	case apihelpers.APIApprovalBypassed:
		c.Reason = "UnapprovedAnnotation"
	}
	return c
}

package up

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"skiff/cli/resource"
)

// immutableError says that an object has to be deleted and created again to be as its manifest
// says.
type immutableError struct {
	target resource.Target
	// uid is the object's that was to be changed.
	uid     types.UID
	changes []change
}

// mostChanges is how many fields are named.
const mostChanges = 3

func (e *immutableError) Error() string {
	var fields []string
	for i, c := range e.changes {
		if i == mostChanges {
			fields = append(fields, fmt.Sprintf("%d more fields", len(e.changes)-i))
			break
		}
		fields = append(fields, c.String())
	}
	text := fmt.Sprintf("%s (%s) cannot be changed in place: %s", e.target.Ref, e.target.Source, strings.Join(fields, ", "))
	if holdsData(e.target) {
		return text + "; --replace does not delete it, because its data would go with it: delete it yourself"
	}
	return text + "; --replace deletes it and creates it again"
}

// holdsData reports whether data is lost when an object is deleted and created again.
func holdsData(t resource.Target) bool {
	return slices.Contains([]string{"Namespace", "PersistentVolume", "PersistentVolumeClaim", "CustomResourceDefinition"}, t.Mapping.GroupVersionKind.Kind)
}

// immutableWords are those of upstream's validation where a value is valid but may not replace
// another (k8s.io/kubernetes/pkg/apis, and ValidateImmutableField in apimachinery).
var immutableWords = regexp.MustCompile(`(?i)immutable|may not (be )?(change|update|add or remove|remove or update)|must not update|cannot (be )?(change|clear|modif)|updates? .*(is|are) forbidden`)

// asImmutable is the error of an update that was refused for nothing but fields that may not
// change; nil for any other error.
func asImmutable(t resource.Target, current, wanted *unstructured.Unstructured, err error) error {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Reason != metav1.StatusReasonInvalid || status.Status().Details == nil {
		return nil
	}
	all := changes("", current.Object, wanted.Object)
	e := &immutableError{target: t, uid: current.GetUID()}
	for _, cause := range status.Status().Details.Causes {
		if !immutableWords.MatchString(cause.Message) {
			return nil
		}
		for _, c := range refusedBy(cause, all) {
			if !slices.ContainsFunc(e.changes, func(named change) bool { return named.path == c.path }) {
				e.changes = append(e.changes, c)
			}
		}
	}
	if len(e.changes) == 0 {
		return nil
	}
	return e
}

// quoted are the fields that a message names, as it names those that may change.
var quoted = regexp.MustCompile("['`]([A-Za-z][A-Za-z.*\\[\\]]*)['`]")

// refusedBy are the changes that a cause is about: those within its field, without those that its
// message allows ("may not change fields other than …").
func refusedBy(cause metav1.StatusCause, all []change) []change {
	var allowed []string
	if _, names, ok := strings.Cut(cause.Message, "other than"); ok {
		names, _, _ = strings.Cut(names, "\n")
		for _, m := range quoted.FindAllStringSubmatch(names, -1) {
			allowed = append(allowed, m[1], cause.Field+"."+m[1])
		}
	}
	var out []change
	for _, c := range all {
		if c.within(cause.Field) && !slices.ContainsFunc(allowed, c.within) {
			out = append(out, c)
		}
	}
	return out
}

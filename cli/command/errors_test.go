package command

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"skiff/cli/client"
)

func TestExplain(t *testing.T) {
	pods := schema.GroupResource{Resource: "pods"}
	kind := schema.GroupKind{Kind: "Pod"}
	one, two := field.Required(field.NewPath("spec", "containers"), ""), field.Invalid(field.NewPath("metadata", "name"), "X", "lower case")
	refused := &url.Error{Op: "Get", URL: "https://127.0.0.1:7443/api", Err: errors.New("dial tcp 127.0.0.1:7443: connect: connection refused")}
	tests := []struct {
		name string
		err  error
		want string
		code int
	}{
		{"nothing", nil, "", 0},
		{"plain", errors.New("no"), "error: no\n", 1},
		{"plain with its prefix", errors.New("error: no"), "error: no\n", 1},
		{"silent", Exit{Code: 3}, "", 3},
		{"verbatim", Verbatim{Message: "command terminated with exit code 7", Code: 7}, "command terminated with exit code 7\n", 7},
		{"not found", apierrors.NewNotFound(pods, "x"), "Error from server (NotFound): pods \"x\" not found\n", 1},
		{"with its source", SourceError("creating", "f.yaml", apierrors.NewAlreadyExists(pods, "x")), "Error from server (AlreadyExists): error when creating \"f.yaml\": pods \"x\" already exists\n", 1},
		{"plain with its source", SourceError("creating", "f.yaml", errors.New("no")), "error: error when creating \"f.yaml\": no\n", 1},
		{"one field", apierrors.NewInvalid(kind, "x", field.ErrorList{one}), "The Pod \"x\" is invalid: spec.containers: Required value\n", 1},
		{"two fields", apierrors.NewInvalid(kind, "x", field.ErrorList{one, two, one}), "The Pod \"x\" is invalid: \n* spec.containers: Required value\n* metadata.name: Invalid value: \"X\": lower case\n", 1},
		{"fields, with its source", SourceError("creating", "f", apierrors.NewInvalid(kind, "x", field.ErrorList{one})), "The Pod \"x\" is invalid: spec.containers: Required value\n", 1},
		{"not logged in", apierrors.NewUnauthorized("no"), "error: You must be logged in to the server (no)\n", 1},
		{"no such type", &meta.NoResourceMatchError{PartialResource: schema.GroupVersionResource{Resource: "frobs", Group: "g"}}, "error: the server doesn't have a resource type \"frobs\" in group \"g\"\n", 1},
		{"refused", refused, "The connection to the server 127.0.0.1:7443 was refused - did you specify the right host or port?\n", 1},
		{"refused by skiff's own", &url.Error{Op: "Get", URL: refused.URL, Err: &client.OwnClusterError{Err: refused.Err}}, "error: no skiff daemon answers at 127.0.0.1:7443: start it with 'skiff daemon start' or 'skiff up'\n", 1},
		{"unreachable", &url.Error{Op: "Get", URL: "https://x", Err: errors.New("no such host")}, "Unable to connect to the server: no such host\n", 1},
		{"interrupted", fmt.Errorf("listing: %w", context.Canceled), "", 130},
		{"several", Join(errors.New("a"), nil, Join(apierrors.NewNotFound(pods, "x"), fmt.Errorf("b"))), "a\nError from server (NotFound): pods \"x\" not found\nb\n", 1},
		{"one of several", Join(nil, errors.New("a")), "error: a\n", 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, code := Explain(test.err)
			if got != test.want || code != test.code {
				t.Errorf("got %q, %d; want %q, %d", got, code, test.want, test.code)
			}
		})
	}
}

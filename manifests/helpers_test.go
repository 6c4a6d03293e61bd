package manifests

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
)

// parse reads a manifest as the API does: strictly, with defaults, as the
// stored version.
func parse(t testing.TB, text string) Object {
	t.Helper()
	obj, err := decode([]byte(strings.ReplaceAll(text, "\t", "  ")))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return obj
}

// kindOf is the kind of a stored object.
func kindOf(t testing.TB, obj runtime.Object) *Kind {
	t.Helper()
	gvks, _, err := Scheme().ObjectKinds(obj)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range allKinds() {
		if k.GVK == gvks[0] {
			return k
		}
	}
	t.Fatalf("%T is no kind", obj)
	return nil
}

// verdict is a review as text: its errors, without the differences that some of
// them show, or else its warnings.
func verdict(r Review) string {
	var lines []string
	for _, err := range r.Errors {
		text, _, _ := strings.Cut(err.Error(), "\n@@")
		lines = append(lines, text)
	}
	for _, text := range r.Warnings {
		lines = append(lines, "warning: "+text)
	}
	return strings.Join(lines, "\n")
}

func wantText(t testing.TB, got, want string) {
	t.Helper()
	if want = strings.TrimSpace(want); got != want {
		t.Errorf("\n got: %s\nwant: %s", strings.ReplaceAll(got, "\n", "\n      "), strings.ReplaceAll(want, "\n", "\n      "))
	}
}

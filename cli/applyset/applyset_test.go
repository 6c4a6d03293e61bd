package applyset

import (
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// TestID compares with the IDs that kubectl gives (its apply_test.go and applyset-cr.yaml).
func TestID(t *testing.T) {
	for _, test := range []struct {
		name, namespace string
		kind            schema.GroupKind
		want            string
	}{
		{"my-set", "test", schema.GroupKind{Kind: "Secret"}, "applyset-0eFHV8ySqp7XoShsGvyWFQD3s96yqwHmzc4e0HR1dsY-v1"},
		{"my-set", "", schema.GroupKind{Group: "company.com", Kind: "ApplySet"}, "applyset-rhp1a-HVAVT_dFgyEygyA1BEB82HPp2o10UiFTpqtAs-v1"},
	} {
		if got := ID(test.name, test.namespace, test.kind); got != test.want {
			t.Errorf("%+v: %s", test, got)
		}
	}
}

package applyset

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	testingclock "k8s.io/utils/clock/testing"

	"skiff/cli/client"
	"skiff/cli/clitest"
)

// TestTwoRuns: what one run records is not lost by what another does at the same time.
func TestTwoRuns(t *testing.T) {
	for _, exists := range []bool{false, true} {
		t.Setenv("KUBECONFIG", "/nonexistent")
		clk := testingclock.NewFakeClock(time.Now())
		c, err := client.New(client.Options{Server: clitest.New(t, clk).URL, Namespace: "default", Clock: clk})
		if err != nil {
			t.Fatal(err)
		}
		open := func() *Set {
			s, err := Open(t.Context(), c, "applyset-shop")
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		kind := func(name string) []client.Ref {
			return []client.Ref{{Mapping: &meta.RESTMapping{GroupVersionKind: schema.GroupVersionKind{Kind: name}, Scope: meta.RESTScopeRoot}}}
		}
		do := func(err error) {
			if err != nil {
				t.Error(err)
			}
		}
		expect := func(when, want string) {
			var got []string
			for _, k := range slices.SortedFunc(maps.Keys(open().kinds), compareKinds) {
				got = append(got, k.String())
			}
			if strings.Join(got, " ") != want {
				t.Errorf("parent before %t, %s: recorded %q, want %q", exists, when, got, want)
			}
		}
		if exists {
			do(open().Record(t.Context(), kind("Old"), "/shop"))
		}
		a, b := open(), open()
		do(a.Cover(t.Context(), kind("A"), "/shop"))
		do(b.Cover(t.Context(), kind("B"), "/shop"))
		want := "A B"
		if exists {
			want = "A B Old"
		}
		expect("both cover", want)
		do(a.Record(t.Context(), kind("A"), "/shop"))
		expect("the first is done", "A B")
		do(open().Remove(t.Context()))
		expect("nobody else writes", "")
		a, b = open(), open()
		do(a.Cover(t.Context(), kind("A"), "/shop"))
		do(b.Cover(t.Context(), kind("B"), "/shop"))
		do(a.Remove(t.Context()))
		expect("one has recorded while the other removes", "A B")
	}
}

package garbage

import (
	"fmt"
	"testing"
	"testing/synctest"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"skiff/manifests/registry"
	"skiff/orchestrator/internal/testbed"
)

// act makes object a owned by b, or deletes a by a policy.
type act struct {
	a, b   int
	blocks bool
	policy string // empty: own
}

func (a act) String() string {
	if a.policy != "" {
		return fmt.Sprintf("%s %d", a.policy, a.a)
	}
	return fmt.Sprintf("%d owned by %d (%v)", a.a, a.b, a.blocks)
}

// TestAnyGraphSettles holds that whatever owns whatever, in circles too, and
// whatever is deleted in whatever way, in the end nothing hangs half deleted, no
// reference leads nowhere, and what nobody deleted and nothing owned is there.
func TestAnyGraphSettles(t *testing.T) {
	policies := []string{"", "", "", "", string(metav1.DeletePropagationBackground), string(metav1.DeletePropagationForeground), string(metav1.DeletePropagationOrphan)}
	rapid.Check(t, func(r *rapid.T) {
		acts := rapid.SliceOfN(rapid.Custom(func(r *rapid.T) act {
			return act{
				rapid.IntRange(0, 5).Draw(r, "a"), rapid.IntRange(0, 5).Draw(r, "b"), rapid.Bool().Draw(r, "blocks"),
				rapid.SampledFrom(policies).Draw(r, "policy"),
			}
		}), 1, 25).Draw(r, "acts")
		settle := rapid.Bool().Draw(r, "settle")
		var failure string
		synctest.Test(t, func(t *testing.T) { failure = play(t, acts, settle) })
		if failure != "" {
			r.Fatalf("%v (settle %v): %s", acts, settle, failure)
		}
	})
}

func play(t *testing.T, acts []act, settle bool) string {
	b := newBed(t)
	untouched := map[string]bool{}
	for i := range 6 {
		b.create(fmt.Sprint("o", i))
		untouched[fmt.Sprint("o", i)] = true
	}
	client := registry.For[*corev1.ConfigMap](b.Registry)
	for _, a := range acts {
		name, owner := fmt.Sprint("o", a.a), fmt.Sprint("o", a.b)
		delete(untouched, name)
		// What is gone already can be neither owned nor deleted.
		if a.policy == "" {
			_, _ = client.Update(t.Context(), "default", name, func(m *corev1.ConfigMap) error {
				for _, ref := range m.OwnerReferences {
					if ref.Name == owner {
						return nil
					}
				}
				m.OwnerReferences = append(m.OwnerReferences, b.owner(owner, a.blocks))
				return nil
			})
		} else {
			policy := metav1.DeletionPropagation(a.policy)
			_ = client.Delete(t.Context(), "default", name, metav1.DeleteOptions{PropagationPolicy: &policy})
		}
		if settle {
			testbed.Settled()
		}
	}
	testbed.Settled()
	exists := map[types.UID]bool{}
	for _, m := range testbed.List[*corev1.ConfigMap](b.Bed, "default") {
		exists[m.UID] = true
		delete(untouched, m.Name)
	}
	for _, m := range testbed.List[*corev1.ConfigMap](b.Bed, "default") {
		if m.DeletionTimestamp != nil {
			return fmt.Sprintf("%s hangs with finalizers %v", m.Name, m.Finalizers)
		}
		for _, ref := range m.OwnerReferences {
			if !exists[ref.UID] {
				return fmt.Sprintf("%s refers to %s, which is gone", m.Name, ref.Name)
			}
		}
	}
	for name := range untouched {
		return name + " is gone, and nobody deleted it"
	}
	return ""
}

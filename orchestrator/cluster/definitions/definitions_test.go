package definitions

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiextensions-apiserver/pkg/apihelpers"
	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/ptr"

	"skiff/manifests"
	"skiff/manifests/registry"
	"skiff/orchestrator/cluster/garbage"
	"skiff/orchestrator/cluster/namespaces"
	"skiff/orchestrator/cluster/quota"
	"skiff/orchestrator/internal/testbed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// definition is one of the group example.com, whose plural, kind and short name are as given.
func definition(plural, kind string, short ...string) *extv1.CustomResourceDefinition {
	return &extv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: plural + ".example.com"},
		Spec: extv1.CustomResourceDefinitionSpec{
			Group: "example.com", Scope: extv1.NamespaceScoped,
			Names: extv1.CustomResourceDefinitionNames{Plural: plural, Singular: plural + "-one", Kind: kind, ShortNames: short},
			Versions: []extv1.CustomResourceDefinitionVersion{{Name: "v1", Served: true, Storage: true, Schema: &extv1.CustomResourceValidation{
				OpenAPIV3Schema: &extv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: ptr.To(true)},
			}}},
		},
	}
}

// conditions are the true and the false ones of a definition, with their messages.
func conditions(b *testbed.Bed, name string) string {
	crd, ok := testbed.Get[*extv1.CustomResourceDefinition](b, "", name)
	if !ok {
		return "none"
	}
	var all []string
	for _, c := range crd.Status.Conditions {
		all = append(all, fmt.Sprintf("%s=%s %s: %s", c.Type, c.Status, c.Reason, c.Message))
	}
	return strings.Join(all, "\n")
}

func same(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n%s\nwant\n%s", what, got, want)
	}
}

const accepted = `NamesAccepted=True NoConflicts: no conflicts found
Established=True InitialNamesAccepted: the initial names have been accepted`

func run(t *testing.T, steps func(t *testing.T, b *testbed.Bed)) {
	synctest.Test(t, func(t *testing.T) {
		b := testbed.New(t)
		b.Run(New(Options{Env: b.Env()}).Run)
		steps(t, b)
	})
}

func TestNames(t *testing.T) {
	run(t, func(t *testing.T, b *testbed.Bed) {
		testbed.Create(b, definition("widgets", "Widget", "w", "wd"))
		testbed.Settled()
		same(t, "first", conditions(b, "widgets.example.com"), accepted)
		for name, test := range map[string]struct {
			crd          *extv1.CustomResourceDefinition
			reason, text string
		}{
			"kind":        {definition("gadgets", "Widget"), "ListKindConflict", `"WidgetList" is already in use`},
			"short name":  {definition("gizmos", "Gizmo", "w"), "ShortNamesConflict", `"w" is already in use`},
			"short names": {definition("gears", "Gear", "w", "wd"), "ShortNamesConflict", `["w" is already in use, "wd" is already in use]`},
		} {
			testbed.Create(b, test.crd)
			testbed.Settled()
			same(t, name, conditions(b, test.crd.Name), "NamesAccepted=False "+test.reason+": "+test.text+"\nEstablished=False NotAccepted: not all names are accepted")
			if b.Registry.Definition(manifests.ResourceOf(test.crd.Name)) != nil {
				t.Errorf("%s: it is served", name)
			}
		}
		testbed.Delete[*extv1.CustomResourceDefinition](b, "", "widgets.example.com")
		testbed.Settled()
		same(t, "the first is gone", conditions(b, "widgets.example.com"), "none")
		same(t, "whose kind it had", conditions(b, "gadgets.example.com"), accepted)
		if got, _ := testbed.Get[*extv1.CustomResourceDefinition](b, "", "gadgets.example.com"); got.Status.AcceptedNames.Kind != "Widget" {
			t.Errorf("names %+v", got.Status.AcceptedNames)
		}
	})
}

func TestOwnResourcesAreTaken(t *testing.T) {
	crd := definition("ingresses", "Ingress")
	crd.Name, crd.Spec.Group = "ingresses.networking.k8s.io", "networking.k8s.io"
	settle(crd, takenNames(crd, nil), metav1.Time{})
	if c := apihelpers.FindCRDCondition(crd, extv1.NamesAccepted); c.Reason != "PluralConflict" || c.Status != extv1.ConditionFalse {
		t.Errorf("%+v", c)
	}
}

func TestApproval(t *testing.T) {
	for value, want := range map[string]string{
		"":                               "False MissingAnnotation",
		"unapproved, an experiment":      "False UnapprovedAnnotation",
		"https://example.com/approval/1": "True ApprovedAnnotation",
		"no":                             "False InvalidAnnotation",
	} {
		crd := definition("things", "Thing")
		crd.Spec.Group = "things.k8s.io"
		if value != "" {
			crd.Annotations = map[string]string{extv1.KubeAPIApprovedAnnotation: value}
		}
		c := approvalCondition(crd)
		same(t, value, fmt.Sprintf("%s %s", c.Status, c.Reason), want)
	}
	if c := approvalCondition(definition("things", "Thing")); c != nil {
		t.Errorf("%+v", c)
	}
}

func object(namespace, name string, owners ...metav1.OwnerReference) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetAPIVersion("example.com/v1")
	u.SetKind("Widget")
	u.SetNamespace(namespace)
	u.SetName(name)
	u.SetOwnerReferences(owners)
	return u
}

func create(t *testing.T, b *testbed.Bed, u *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	made, err := b.Registry.Custom(manifests.ResourceOf("widgets.example.com"), "v1").Create(t.Context(), u.GetNamespace(), u, registry.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return made.(*unstructured.Unstructured)
}

func TestDeletionWaitsForFinalizers(t *testing.T) {
	run(t, func(t *testing.T, b *testbed.Bed) {
		testbed.Create(b, definition("widgets", "Widget"))
		testbed.Settled()
		u := object("default", "a")
		u.SetFinalizers([]string{"example.com/held"})
		create(t, b, u)
		create(t, b, object("default", "b"))
		testbed.Delete[*extv1.CustomResourceDefinition](b, "", "widgets.example.com")
		testbed.Settled()
		same(t, "held back", conditions(b, "widgets.example.com"), accepted+"\nTerminating=True InstanceDeletionInProgress: CustomResource deletion is in progress")
		if n := b.Store.Snapshot("widgets.example.com").Len(); n != 1 {
			t.Errorf("%d objects are left", n)
		}
		_, _, err := b.Registry.Resource(manifests.ResourceOf("widgets.example.com")).Update(t.Context(), "default", "a", func(o manifests.Object) (manifests.Object, error) {
			u := o.(*unstructured.Unstructured).DeepCopy()
			u.SetFinalizers(nil)
			return u, nil
		}, registry.UpdateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		testbed.Settled()
		same(t, "let go", conditions(b, "widgets.example.com"), "none")
	})
}

// TestCustomKindsTakePart: garbage collection, the deletion of namespaces and quotas know custom kinds
// from when they are defined, and know no more of them when they are gone.
func TestCustomKindsTakePart(t *testing.T) {
	run(t, func(t *testing.T, b *testbed.Bed) {
		b.Run(garbage.New(garbage.Options{Env: b.Env(), Workers: 2}).Run)
		b.Run(namespaces.NewDeletion(namespaces.Options{Env: b.Env()}).Run)
		b.Run(quota.New(quota.Options{Env: b.Env(), Workers: 1}).Run)
		limit := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "q"}}
		limit.Spec.Hard = corev1.ResourceList{"count/widgets.example.com": resource.MustParse("3")}
		testbed.Create(b, limit)
		for range 2 { // once more after the definition was away
			testbed.Create(b, definition("widgets", "Widget"))
			testbed.Settled()
			owner := create(t, b, object("default", "owner"))
			reference := metav1.OwnerReference{APIVersion: "example.com/v1", Kind: "Widget", Name: "owner", UID: owner.GetUID()}
			create(t, b, object("default", "owned", reference))
			testbed.Create(b, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "owned", OwnerReferences: []metav1.OwnerReference{reference}}})
			testbed.Settled()
			q, _ := testbed.Get[*corev1.ResourceQuota](b, "default", "q")
			used := q.Status.Used["count/widgets.example.com"]
			same(t, "counted", used.String(), "2")

			if _, _, err := b.Registry.Resource(manifests.ResourceOf("widgets.example.com")).Delete(t.Context(), "default", "owner", nil, registry.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			testbed.Settled()
			if _, there := testbed.Get[*corev1.ConfigMap](b, "default", "owned"); there || b.Store.Snapshot("widgets.example.com").Len() > 0 {
				t.Error("what was owned is left")
			}

			testbed.Create(b, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "other"}, Spec: corev1.NamespaceSpec{Finalizers: []corev1.FinalizerName{"kubernetes"}}})
			create(t, b, object("other", "a"))
			testbed.Delete[*corev1.Namespace](b, "", "other")
			testbed.Settled()
			if _, there := testbed.Get[*corev1.Namespace](b, "", "other"); there {
				t.Error("the namespace is not emptied")
			}

			create(t, b, object("default", "last"))
			testbed.Delete[*extv1.CustomResourceDefinition](b, "", "widgets.example.com")
			testbed.Settled()
			same(t, "the definition", conditions(b, "widgets.example.com"), "none")
			if b.Registry.Resource(manifests.ResourceOf("widgets.example.com")) != nil {
				t.Error("the resource is still there")
			}
		}
	})
}

// TestFeedsEnd: what is defined and goes again leaves no watch behind.
func TestFeedsEnd(t *testing.T) {
	run(t, func(t *testing.T, b *testbed.Bed) {
		feed, giveBack := b.Feeds.Lease("widgets.example.com")
		testbed.Create(b, definition("widgets", "Widget"))
		testbed.Settled()
		testbed.Delete[*extv1.CustomResourceDefinition](b, "", "widgets.example.com")
		testbed.Settled()
		if again, back := b.Feeds.Lease("widgets.example.com"); again != feed {
			t.Error("the feed has ended while it is leased")
		} else {
			back()
		}
		giveBack()
		if again, back := b.Feeds.Lease("widgets.example.com"); again == feed {
			t.Error("the feed goes on that nobody has leased")
		} else {
			back()
		}
	})
}

// TestSchemasAreReleased: the controller lets go of schemas that nobody uses.
func TestSchemasAreReleased(t *testing.T) {
	run(t, func(t *testing.T, b *testbed.Bed) {
		testbed.Create(b, definition("widgets", "Widget"))
		testbed.Settled()
		v := b.Registry.Definition(manifests.ResourceOf("widgets.example.com")).Stored
		first, err := v.Schema()
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if kept, _ := v.Schema(); kept != first {
			t.Error("the schema is gone after two minutes")
		}
		time.Sleep(idle + 2*sweep)
		synctest.Wait()
		if kept, _ := v.Schema(); kept == first {
			t.Error("the schema is kept though nobody used it")
		}
	})
}

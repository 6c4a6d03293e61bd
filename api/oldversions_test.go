package api_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
)

// TestOldVersionsOfWorkloads: manifests from before apps/v1 make the same objects, with the defaults
// of their version, and a warning.
func TestOldVersionsOfWorkloads(t *testing.T) {
	h := start(t, options{})
	const template = `"template":{"metadata":{"labels":{"app":"kubia"}},"spec":{"containers":[{"name":"c","image":"i"}]}}`
	const selector = `"selector":{"matchLabels":{"app":"kubia"}},`
	for _, test := range []struct{ version, kind, spec, want string }{
		{"extensions/v1beta1", "Deployment", template, "app=kubia replicas=1 history=2147483647 deadline=2147483647 RollingUpdate surge=1 unavailable=1"},
		{"apps/v1beta1", "Deployment", template, "app=kubia replicas=1 history=2 deadline=600 RollingUpdate surge=25% unavailable=25%"},
		{"apps/v1beta2", "Deployment", selector + template, "app=kubia replicas=1 history=10 deadline=600 RollingUpdate surge=25% unavailable=25%"},
		{"extensions/v1beta1", "ReplicaSet", template, "app=kubia replicas=1"},
		{"apps/v1beta2", "ReplicaSet", selector + template, "app=kubia replicas=1"},
		{"extensions/v1beta1", "DaemonSet", `"templateGeneration":3,` + template, "app=kubia OnDelete history=10 generation=3"},
		{"apps/v1beta2", "DaemonSet", selector + template, "app=kubia RollingUpdate history=10 generation=1"},
		{"apps/v1beta1", "StatefulSet", `"serviceName":"s",` + template, "app=kubia replicas=1 OnDelete OrderedReady"},
		{"apps/v1beta2", "StatefulSet", `"serviceName":"s",` + selector + template, "app=kubia replicas=1 RollingUpdate OrderedReady"},
	} {
		t.Run(test.version+" "+test.kind, func(t *testing.T) {
			resource := strings.ToLower(test.kind) + "s"
			old := "/apis/" + test.version + "/namespaces/default/" + resource
			stored := "/apis/apps/v1/namespaces/default/" + resource + "/kubia"
			made := h.do("POST", old, `{"metadata":{"name":"kubia"},"spec":{`+test.spec+`}}`, asJSON)
			equal(t, "created", made.String(), "201 "+test.kind+" kubia")
			if w := made.header.Get("Warning"); !strings.Contains(w, test.version+" "+test.kind+" is deprecated") || !strings.Contains(w, "use apps/v1 "+test.kind) {
				t.Errorf("warning %s", w)
			}
			var meta metav1.PartialObjectMetadata
			made.decode(t, &meta)
			equal(t, "version of the answer", meta.APIVersion, test.version)
			equal(t, "managed by", managers(meta.ManagedFields), "Go-http-client Update "+test.version)
			equal(t, "stored", summary(t, test.kind, h.do("GET", stored, "").body), test.want)

			var table metav1.Table
			h.do("GET", old, "", "Accept: application/json;as=Table;v=v1;g=meta.k8s.io").decode(t, &table)
			if len(table.Rows) != 1 || len(table.ColumnDefinitions) < 4 || table.Rows[0].Cells[0] != "kubia" {
				t.Errorf("table %+v", table)
			}
			applied := h.do("PATCH", old+"/kubia?fieldManager=alice&force=true",
				`{"apiVersion":"`+test.version+`","kind":"`+test.kind+`","metadata":{"name":"kubia"},"spec":{"minReadySeconds":5,`+test.spec+`}}`,
				"Content-Type: application/apply-patch+yaml")
			equal(t, "applied", applied.String(), "200 "+test.kind+" kubia")
			patched := h.do("PATCH", old+"/kubia", `{"spec":{"template":{"spec":{"containers":[{"name":"d","image":"i"}]}}}}`,
				"Content-Type: application/strategic-merge-patch+json")
			var object struct {
				Spec struct {
					MinReadySeconds int
					Template        struct{ Spec struct{ Containers []any } }
				}
			}
			patched.decode(t, &object)
			equal(t, "minReadySeconds", object.Spec.MinReadySeconds, 5)
			equal(t, "containers, merged by name", len(object.Spec.Template.Spec.Containers), 2)
			equal(t, "deleted", h.do("DELETE", old+"/kubia", "").code, 200)
			equal(t, "gone", h.do("GET", stored, "").code, 404)
		})
	}
}

// summary is what the defaults have made of a workload in apps/v1.
func summary(t *testing.T, kind string, raw []byte) string {
	t.Helper()
	parse := func(v any) {
		if err := json.Unmarshal(raw, v); err != nil {
			t.Fatal(err)
		}
	}
	var d appsv1.Deployment
	var ds appsv1.DaemonSet
	var rs appsv1.ReplicaSet
	var sts appsv1.StatefulSet
	switch kind {
	case "Deployment":
		parse(&d)
		rolling := d.Spec.Strategy.RollingUpdate
		return words(metav1.FormatLabelSelector(d.Spec.Selector), "replicas=", *d.Spec.Replicas, "history=", *d.Spec.RevisionHistoryLimit,
			"deadline=", *d.Spec.ProgressDeadlineSeconds, d.Spec.Strategy.Type, "surge=", rolling.MaxSurge, "unavailable=", rolling.MaxUnavailable)
	case "ReplicaSet":
		parse(&rs)
		return words(metav1.FormatLabelSelector(rs.Spec.Selector), "replicas=", *rs.Spec.Replicas)
	case "DaemonSet":
		parse(&ds)
		return words(metav1.FormatLabelSelector(ds.Spec.Selector), ds.Spec.UpdateStrategy.Type, "history=", *ds.Spec.RevisionHistoryLimit,
			"generation=", ds.Annotations[appsv1.DeprecatedTemplateGeneration])
	}
	parse(&sts)
	return words(metav1.FormatLabelSelector(sts.Spec.Selector), "replicas=", *sts.Spec.Replicas, sts.Spec.UpdateStrategy.Type, sts.Spec.PodManagementPolicy)
}

// words joins values with spaces, except after a name that ends in "=".
func words(values ...any) string {
	var b strings.Builder
	for i, v := range values {
		if text := b.String(); i > 0 && !strings.HasSuffix(text, "=") {
			b.WriteString(" ")
		}
		raw, _ := json.Marshal(v)
		b.WriteString(strings.Trim(string(raw), `"`))
	}
	return b.String()
}

// TestOldVersionsHaveNoNicknames: kubectl get all and kubectl get deploy mean the present group.
func TestOldVersionsHaveNoNicknames(t *testing.T) {
	h := start(t, options{})
	lists, err := discovery.ServerPreferredResources(h.client.Discovery())
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		for _, r := range list.APIResources {
			if list.GroupVersion == "extensions/v1beta1" && (len(r.ShortNames) > 0 || len(r.Categories) > 0) {
				t.Errorf("%s: %v %v", r.Name, r.ShortNames, r.Categories)
			}
			if list.GroupVersion == "apps/v1" && r.Kind == "Deployment" && (!slices.Contains(r.ShortNames, "deploy") || !slices.Contains(r.Categories, "all")) {
				t.Errorf("%s: %v %v", r.Name, r.ShortNames, r.Categories)
			}
		}
	}
}

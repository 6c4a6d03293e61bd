package api_test

import (
	"slices"
	"strings"
	"testing"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

// TestDiscoveryAgreesWithItself compares the legacy documents with the aggregated ones.
func TestDiscoveryAgreesWithItself(t *testing.T) {
	h := start(t, options{pods: newFakePods()})
	fromLegacy, fromAggregated := map[string]string{}, map[string]string{}
	var groups metav1.APIGroupList
	h.do("GET", "/apis", "").decode(t, &groups)
	paths := []string{"/api/v1"}
	for _, g := range groups.Groups {
		var one metav1.APIGroup
		h.do("GET", "/apis/"+g.Name, "").decode(t, &one)
		equal(t, "group", one.Kind+" "+one.Name+" "+one.PreferredVersion.GroupVersion, "APIGroup "+g.Name+" "+g.PreferredVersion.GroupVersion)
		for _, v := range g.Versions {
			paths = append(paths, "/apis/"+v.GroupVersion)
		}
	}
	for _, path := range paths {
		var list metav1.APIResourceList
		h.do("GET", path, "").decode(t, &list)
		for _, r := range list.APIResources {
			kind := list.GroupVersion + " " + r.Kind
			if r.Version != "" {
				kind = metav1.GroupVersion{Group: r.Group, Version: r.Version}.String() + " " + r.Kind
			}
			fromLegacy[path+"/"+r.Name] = strings.Join(append([]string{kind}, r.Verbs...), " ")
		}
	}
	for _, path := range []string{"/api", "/apis"} {
		var list apidiscoveryv2.APIGroupDiscoveryList
		h.do("GET", path, "", "Accept: "+aggregated+",application/json").decode(t, &list)
		equal(t, "kind", list.Kind, "APIGroupDiscoveryList")
		for _, g := range list.Items {
			for _, v := range g.Versions {
				prefix := strings.ReplaceAll(path+"/"+g.Name+"/"+v.Version, "//", "/") + "/"
				for _, r := range v.Resources {
					fromAggregated[prefix+r.Resource] = strings.Join(append([]string{kindText(r.ResponseKind)}, r.Verbs...), " ")
					for _, s := range r.Subresources {
						fromAggregated[prefix+r.Resource+"/"+s.Subresource] = strings.Join(append([]string{kindText(s.ResponseKind)}, s.Verbs...), " ")
					}
				}
			}
		}
	}
	if len(fromLegacy) < 40 {
		t.Errorf("only %d resources", len(fromLegacy))
	}
	for name, want := range fromLegacy {
		equal(t, name, fromAggregated[name], want)
	}
	equal(t, "resources", len(fromAggregated), len(fromLegacy))
	for name, want := range map[string]string{
		"/api/v1/pods":                         "v1 Pod create delete deletecollection get list patch update watch",
		"/api/v1/pods/exec":                    "v1 PodExecOptions create get",
		"/api/v1/pods/portforward":             "v1 PodPortForwardOptions create get",
		"/api/v1/pods/log":                     "v1 Pod get",
		"/api/v1/pods/eviction":                "policy/v1 Eviction create",
		"/api/v1/namespaces":                   "v1 Namespace create delete get list patch update watch",
		"/api/v1/namespaces/finalize":          "v1 Namespace update",
		"/apis/apps/v1/replicasets/scale":      "autoscaling/v1 Scale get patch update",
		"/apis/events.k8s.io/v1/events":        "events.k8s.io/v1 Event create delete deletecollection get list patch update watch",
		"/api/v1/replicationcontrollers/scale": "autoscaling/v1 Scale get patch update",
	} {
		equal(t, name, fromLegacy[name], want)
	}
}

func kindText(k *metav1.GroupVersionKind) string {
	return metav1.GroupVersion{Group: k.Group, Version: k.Version}.String() + " " + k.Kind
}

func TestDiscoveryDocuments(t *testing.T) {
	h := start(t, options{})
	first := h.do("GET", "/apis", "", "Accept: "+aggregated)
	equal(t, "type", first.header.Get("Content-Type"), aggregated)
	etag := first.header.Get("Etag")
	if len(etag) < 10 || etag[0] != '"' {
		t.Errorf("etag %q", etag)
	}
	equal(t, "not modified", h.do("GET", "/apis", "", "Accept: "+aggregated, "If-None-Match: "+etag).code, 304)
	equal(t, "another etag", h.do("GET", "/apis", "", "Accept: "+aggregated, `If-None-Match: "x"`).code, 200)
	if got := h.do("GET", "/api", "", "Accept: "+aggregated).header.Get("Etag"); got == etag || got == "" {
		t.Errorf("etag of /api is %q", got)
	}
	for accept, begins := range map[string]string{
		"application/vnd.kubernetes.protobuf":                                                     "k8s\x00",
		"application/vnd.kubernetes.protobuf;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList": "k8s\x00",
		"application/yaml": "apiVersion: v1",
		"application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json": `{"kind":"APIGroupList"`,
	} {
		if got := h.do("GET", "/apis", "", "Accept: "+accept); !strings.HasPrefix(string(got.body), begins) || !slices.Contains(got.header.Values("Vary"), "Accept") && strings.Contains(accept, "v=v2;") {
			t.Errorf("%s: %.40q", accept, got.body)
		}
	}
	var versions metav1.APIVersions
	h.do("GET", "/api/", "").decode(t, &versions)
	equal(t, "versions", strings.Join(versions.Versions, " "), "v1")
	equal(t, "address", versions.ServerAddressByClientCIDRs[0].ServerAddress, h.address)
	equal(t, "unknown group", h.do("GET", "/apis/none.test", "").String(), "404 NotFound: the server could not find the requested resource")

	var groups metav1.APIGroupList
	h.do("GET", "/apis", "").decode(t, &groups)
	var names []string
	for _, g := range groups.Groups {
		names = append(names, g.Name)
	}
	equal(t, "groups", strings.Join(names, " "), "apps events.k8s.io authentication.k8s.io authorization.k8s.io autoscaling batch networking.k8s.io policy rbac.authorization.k8s.io storage.k8s.io admissionregistration.k8s.io apiextensions.k8s.io scheduling.k8s.io coordination.k8s.io node.k8s.io discovery.k8s.io certificates.k8s.io extensions flowcontrol.apiserver.k8s.io resource.k8s.io")
}

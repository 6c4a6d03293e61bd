package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// old answers as a server before Kubernetes 1.27, which knows no aggregated discovery.
var old = map[string]any{
	"/api": metav1.APIVersions{Versions: []string{"v1"}},
	"/api/v1": metav1.APIResourceList{GroupVersion: "v1", APIResources: []metav1.APIResource{
		{Name: "pods", SingularName: "pod", Namespaced: true, Kind: "Pod", ShortNames: []string{"po"}, Categories: []string{"all"}},
		{Name: "pods/log", Namespaced: true, Kind: "Pod"},
		{Name: "nodes", SingularName: "node", Kind: "Node", ShortNames: []string{"no"}},
	}},
	"/apis": metav1.APIGroupList{Groups: []metav1.APIGroup{{
		Name:             "batch",
		Versions:         []metav1.GroupVersionForDiscovery{{GroupVersion: "batch/v1beta1", Version: "v1beta1"}, {GroupVersion: "batch/v1", Version: "v1"}},
		PreferredVersion: metav1.GroupVersionForDiscovery{GroupVersion: "batch/v1", Version: "v1"},
	}}},
	"/apis/batch/v1":      metav1.APIResourceList{GroupVersion: "batch/v1", APIResources: []metav1.APIResource{{Name: "cronjobs", Namespaced: true, Kind: "CronJob"}}},
	"/apis/batch/v1beta1": metav1.APIResourceList{GroupVersion: "batch/v1beta1", APIResources: []metav1.APIResource{{Name: "cronjobs", Namespaced: true, Kind: "CronJob"}}},
}

func kind(group, version, name string) *metav1.GroupVersionKind {
	return &metav1.GroupVersionKind{Group: group, Version: version, Kind: name}
}

// today answers the same, aggregated.
var today = map[string]any{
	"/api": apidiscoveryv2.APIGroupDiscoveryList{Items: []apidiscoveryv2.APIGroupDiscovery{{Versions: []apidiscoveryv2.APIVersionDiscovery{{
		Version: "v1", Resources: []apidiscoveryv2.APIResourceDiscovery{
			{
				Resource: "pods", SingularResource: "pod", Scope: apidiscoveryv2.ScopeNamespace, ResponseKind: kind("", "v1", "Pod"), ShortNames: []string{"po"},
				Categories: []string{"all"}, Subresources: []apidiscoveryv2.APISubresourceDiscovery{{Subresource: "log", ResponseKind: kind("", "v1", "Pod")}},
			},
			{Resource: "nodes", SingularResource: "node", Scope: apidiscoveryv2.ScopeCluster, ResponseKind: kind("", "v1", "Node"), ShortNames: []string{"no"}},
		},
	}}}}},
	"/apis": apidiscoveryv2.APIGroupDiscoveryList{Items: []apidiscoveryv2.APIGroupDiscovery{{
		ObjectMeta: metav1.ObjectMeta{Name: "batch"}, Versions: []apidiscoveryv2.APIVersionDiscovery{
			{Version: "v1", Resources: []apidiscoveryv2.APIResourceDiscovery{{Resource: "cronjobs", Scope: apidiscoveryv2.ScopeNamespace, ResponseKind: kind("batch", "v1", "CronJob")}}},
			{Version: "v1beta1", Resources: []apidiscoveryv2.APIResourceDiscovery{{Resource: "cronjobs", Scope: apidiscoveryv2.ScopeNamespace, ResponseKind: kind("batch", "v1beta1", "CronJob")}}},
		},
	}}},
}

func catalogOf(t *testing.T, answers map[string]any, mediaType string) *Catalog {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, ok := answers[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", mediaType)
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	rc := &rest.Config{Host: server.URL}
	prepare(rc, Options{}, false)
	c, err := rest.UnversionedRESTClientFor(rc)
	if err != nil {
		t.Fatal(err)
	}
	catalog, err := discover(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	return catalog
}

func TestDiscovery(t *testing.T) {
	for name, catalog := range map[string]*Catalog{
		"old":   catalogOf(t, old, "application/json"),
		"today": catalogOf(t, today, "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"),
	} {
		t.Run(name, func(t *testing.T) {
			for arg, want := range map[string]string{
				"po": "/v1, Kind=Pod pods namespace", "pod": "/v1, Kind=Pod pods namespace", "Pod": "/v1, Kind=Pod pods namespace",
				"no": "/v1, Kind=Node nodes root", "cronjobs": "batch/v1, Kind=CronJob cronjobs namespace", "cronjob": "batch/v1, Kind=CronJob cronjobs namespace",
				"cronjobs.v1beta1.batch": "batch/v1beta1, Kind=CronJob cronjobs namespace", "fleet": "",
			} {
				got := ""
				if m, err := catalog.Resource(arg); err == nil {
					got = m.GroupVersionKind.String() + " " + m.Resource.Resource + " " + string(m.Scope.Name())
				}
				if got != want {
					t.Errorf("%s is %q, want %q", arg, got, want)
				}
			}
			if all := catalog.Category("all"); len(all) != 1 || all[0].Resource != "pods" {
				t.Errorf("category all: %v", all)
			}
		})
	}
}

package clitest

import (
	"net/http"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// discovery answers what there is, in the plain form that every client understands.
func (s *Server) discovery(w http.ResponseWriter, r *http.Request) bool {
	groups := []schema.GroupVersion{} // each in the version of its first kind
	seen := map[string]bool{"": true}
	for _, k := range s.kinds {
		if !seen[k.Group] {
			seen[k.Group] = true
			groups = append(groups, k.GroupVersion())
		}
	}
	switch path := strings.TrimSuffix(r.URL.Path, "/"); {
	case path == "/version":
		s.reply(w, 200, map[string]any{"major": "1", "minor": "37", "gitVersion": s.Version, "platform": "linux/amd64"})
	case path == "/api":
		s.reply(w, 200, metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}})
	case path == "/apis":
		list := metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}}
		for _, gv := range groups {
			v := metav1.GroupVersionForDiscovery{GroupVersion: gv.String(), Version: gv.Version}
			list.Groups = append(list.Groups, metav1.APIGroup{Name: gv.Group, Versions: []metav1.GroupVersionForDiscovery{v}, PreferredVersion: v})
		}
		s.reply(w, 200, list)
	case path == "/api/v1":
		s.reply(w, 200, s.resources(schema.GroupVersion{Version: "v1"}))
	case strings.HasPrefix(path, "/apis/") && strings.Count(path, "/") == 3:
		parts := strings.Split(path, "/")
		s.reply(w, 200, s.resources(schema.GroupVersion{Group: parts[2], Version: parts[3]}))
	default:
		return false
	}
	return true
}

func (s *Server) resources(gv schema.GroupVersion) metav1.APIResourceList {
	out := metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: gv.String()}
	for _, k := range s.kinds {
		if k.GroupVersion() != gv {
			continue
		}
		out.APIResources = append(out.APIResources, metav1.APIResource{Name: k.Resource, SingularName: strings.ToLower(k.Kind), Namespaced: !k.Cluster,
			Kind: k.Kind, ShortNames: k.Short, Categories: k.Categories, Verbs: metav1.Verbs{"create", "delete", "get", "list", "patch", "update", "watch"}})
		for name := range s.Subresources {
			if strings.HasPrefix(name, k.Resource+"/") {
				out.APIResources = append(out.APIResources, metav1.APIResource{Name: name, Namespaced: !k.Cluster, Kind: k.Kind, Verbs: metav1.Verbs{"get"}})
			}
		}
		if k.Scale {
			out.APIResources = append(out.APIResources, metav1.APIResource{Name: k.Resource + "/scale", Namespaced: true, Kind: "Scale", Verbs: metav1.Verbs{"get", "patch", "update"}})
		}
	}
	return out
}

package filters

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
)

// allowing allows what it lists, as USER VERB RESOURCE or USER VERB PATH.
type allowing []string

func (l allowing) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	asked := a.GetUser().GetName() + " " + a.GetVerb() + " " + a.GetPath()
	if a.IsResourceRequest() {
		asked = strings.TrimSuffix(a.GetUser().GetName()+" "+a.GetVerb()+" "+a.GetResource()+"/"+a.GetSubresource(), "/")
	}
	for _, allowed := range l {
		if allowed == asked || strings.HasPrefix(asked, allowed+":") {
			return authorizer.DecisionAllow, "", nil
		}
	}
	return authorizer.DecisionNoOpinion, "", nil
}

func TestAuthorize(t *testing.T) {
	rights := allowing{"eve get pods", "eve get /metrics", "eve get pods/exec", "bob get pods/exec", "bob create pods/exec", "system:anonymous get /public"}
	pods := "/api/v1/namespaces/n/pods"
	for _, c := range []struct {
		name, who, path string
		header          http.Header
		want            int
	}{
		{"what one may", "eve", pods + "/p", nil, 200},
		{"what one may not", "eve", pods, nil, 403},
		{"a path", "eve", "/metrics", nil, 200},
		{"another path", "eve", "/logs", nil, 403},
		{"open to all", "eve", "/healthz", nil, 200},
		{"open to strangers", user.Anonymous, "/healthz", nil, 200},
		{"what strangers were granted", user.Anonymous, "/public", nil, 200},
		{"what they were not", user.Anonymous, "/metrics", nil, 401},
		{"a command", "bob", pods + "/p/exec", http.Header{"Upgrade": {"websocket"}}, 200},
		{"a command of a reader", "eve", pods + "/p/exec", http.Header{"Upgrade": {"WebSocket"}}, 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := chain(c.path, func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					for key, values := range c.header {
						r.Header[key] = values
					}
					r = r.WithContext(request.WithUser(r.Context(), &user.DefaultInfo{Name: c.who}))
					Authorize(next, testErrors(), rights, func(r *http.Request) bool { return r.URL.Path == "/healthz" }).ServeHTTP(w, r)
				})
			}, func(http.ResponseWriter, *http.Request) {})
			if w.Code != c.want {
				t.Errorf("%d %s, want %d", w.Code, w.Body, c.want)
			}
		})
	}
}

// TestImpersonationIsARight: each part of whom one wants to be is asked about.
func TestImpersonationIsARight(t *testing.T) {
	rights := allowing{"eve impersonate users", "eve impersonate groups", "sa impersonate serviceaccounts", "all impersonate users", "all impersonate groups", "all impersonate uids", "all impersonate userextras/team"}
	for _, c := range []struct {
		who    string
		header http.Header
		want   string
	}{
		{"bob", http.Header{"Impersonate-User": {"root"}}, "403"},
		{"eve", http.Header{"Impersonate-User": {"root"}}, "200 root [system:authenticated]"},
		{"eve", http.Header{"Impersonate-User": {"root"}, "Impersonate-Group": {"a"}}, "200 root [a system:authenticated]"},
		{"eve", http.Header{"Impersonate-User": {"root"}, "Impersonate-Uid": {"1"}}, "403"},
		{"eve", http.Header{"Impersonate-User": {"root"}, "Impersonate-Extra-Team": {"x"}}, "403"},
		{"all", http.Header{"Impersonate-User": {"root"}, "Impersonate-Uid": {"1"}, "Impersonate-Extra-Team": {"x"}}, "200 root [system:authenticated]"},
		{"eve", http.Header{"Impersonate-User": {"system:serviceaccount:n:a"}}, "403"},
		{"sa", http.Header{"Impersonate-User": {"system:serviceaccount:n:a"}}, "200 system:serviceaccount:n:a [system:serviceaccounts system:serviceaccounts:n system:authenticated]"},
	} {
		got := ""
		w := chain("/api", func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.Header = c.header.Clone()
				Impersonate(next, testErrors(), rights).ServeHTTP(w, r.WithContext(request.WithUser(r.Context(), &user.DefaultInfo{Name: c.who})))
			})
		}, func(_ http.ResponseWriter, r *http.Request) {
			who, _ := request.UserFrom(r.Context())
			got = " " + who.GetName() + " [" + strings.Join(who.GetGroups(), " ") + "]"
		})
		if got = http.StatusText(w.Code) + got; strings.Replace(strings.Replace(got, "OK", "200", 1), "Forbidden", "403", 1) != c.want {
			t.Errorf("%s as %v: %s, want %s", c.who, c.header, got, c.want)
		}
	}
}

package filters

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
)

func TestImpersonate(t *testing.T) {
	for _, c := range []struct {
		name    string
		headers http.Header
		known   bool
		want    string
	}{
		{"nobody else", http.Header{}, true, "200 admin  [] map[]"},
		{"another", http.Header{"Impersonate-User": {"eve"}}, true, "200 eve  [system:authenticated] map[]"},
		{"all that can be said", http.Header{"Impersonate-User": {"eve"}, "Impersonate-Uid": {"7"}, "Impersonate-Group": {"a", "b"}, "Impersonate-Extra-Team%2fname": {"x"}}, true,
			"200 eve 7 [a b system:authenticated] map[team/name:[x]]"},
		{"the anonymous", http.Header{"Impersonate-User": {"system:anonymous"}}, true, "200 system:anonymous  [system:unauthenticated] map[]"},
		{"a group of nobody", http.Header{"Impersonate-Group": {"a"}}, true, "400"},
		{"by a stranger", http.Header{"Impersonate-User": {"eve"}}, false, "403"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ""
			w := chain("/api", func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					r.Header = c.headers
					if c.known {
						r = r.WithContext(request.WithUser(r.Context(), &user.DefaultInfo{Name: "admin"}))
					}
					Impersonate(next, testErrors(), permissive{}).ServeHTTP(w, r)
				})
			}, func(_ http.ResponseWriter, r *http.Request) {
				got = " unknown"
				if u, ok := request.UserFrom(r.Context()); ok {
					got = fmt.Sprintf(" %s %s %v %v", u.GetName(), u.GetUID(), u.GetGroups(), u.GetExtra())
				}
				if len(r.Header) != 0 {
					t.Errorf("headers left: %v", r.Header)
				}
			})
			if got = fmt.Sprint(w.Code) + got; got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// permissive allows everything to whoever is known.
type permissive struct{}

func (permissive) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if a.GetUser() == nil {
		return authorizer.DecisionNoOpinion, "", nil
	}
	return authorizer.DecisionAllow, "", nil
}

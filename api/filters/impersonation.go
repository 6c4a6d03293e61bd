package filters

import (
	"net/http"
	"net/url"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
)

// Impersonate makes a request that of the user named in its headers (kubectl --as). Whoever is
// known may do everything here, so may also be anybody.
// https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation
func Impersonate(next http.Handler, errs Errors) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, known := request.UserFrom(r.Context())
		who, asked := impersonated(r.Header)
		switch {
		case asked && who.Name == "":
			errs.Write(w, r, apierrors.NewBadRequest("requested group, uid or extra impersonation without impersonating a user"))
			return
		case asked && known:
			r = r.WithContext(request.WithUser(r.Context(), who))
		}
		next.ServeHTTP(w, r)
	})
}

// impersonated reads and removes the headers, and reports whether there are any. As upstream does,
// it counts whoever is impersonated among the authenticated, except for the anonymous.
func impersonated(h http.Header) (who *user.DefaultInfo, asked bool) {
	who = &user.DefaultInfo{
		Name: h.Get(authenticationv1.ImpersonateUserHeader), UID: h.Get(authenticationv1.ImpersonateUIDHeader),
		Groups: h.Values(authenticationv1.ImpersonateGroupHeader), Extra: map[string][]string{},
	}
	for key, values := range h {
		if !strings.HasPrefix(key, "Impersonate-") {
			continue
		}
		asked = true
		if name, ok := strings.CutPrefix(key, authenticationv1.ImpersonateUserExtraHeaderPrefix); ok {
			if plain, err := url.PathUnescape(name); err == nil {
				name = plain
			}
			who.Extra[strings.ToLower(name)] = values
		}
		h.Del(key)
	}
	group := user.AllAuthenticated
	if who.Name == user.Anonymous {
		group = user.AllUnauthenticated
	}
	who.Groups = append(who.Groups[:len(who.Groups):len(who.Groups)], group)
	return who, asked
}

package filters

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/request"
)

// Impersonate makes a request that of the user named in its headers (kubectl --as), if its own user
// may be that one, and a member of each group, and have each extra.
// https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation
func Impersonate(next http.Handler, errs Errors, auth authorizer.UnconditionalAuthorizer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		as, asked := impersonated(r.Header)
		if !asked {
			next.ServeHTTP(w, r)
			return
		}
		if as.Name == "" {
			errs.Write(w, r, apierrors.NewBadRequest("requested group, uid or extra impersonation without impersonating a user"))
			return
		}
		who, _ := request.UserFrom(r.Context())
		for _, wish := range wishes(who, as) {
			decision, reason, err := auth.Authorize(r.Context(), wish)
			if err != nil || decision != authorizer.DecisionAllow {
				responsewriters.Forbidden(wish, w, r, reason, errs.Codecs)
				return
			}
		}
		as.Groups = completeGroups(as)
		audit.LogImpersonatedUser(r.Context(), as, "")
		next.ServeHTTP(w, r.WithContext(request.WithUser(r.Context(), as)))
	})
}

// impersonated reads and removes the headers, and reports whether there are any.
func impersonated(h http.Header) (who *user.DefaultInfo, asked bool) {
	who = &user.DefaultInfo{
		Name: h.Get(authenticationv1.ImpersonateUserHeader), UID: h.Get(authenticationv1.ImpersonateUIDHeader),
		Groups: slices.Clone(h.Values(authenticationv1.ImpersonateGroupHeader)), Extra: map[string][]string{},
	}
	for key, values := range h {
		if !strings.HasPrefix(key, "Impersonate-") {
			continue
		}
		asked = true
		if name, ok := strings.CutPrefix(key, authenticationv1.ImpersonateUserExtraHeaderPrefix); ok {
			if plain, err := url.PathUnescape(strings.ToLower(name)); err == nil {
				name = plain
			}
			who.Extra[strings.ToLower(name)] = values
		}
		h.Del(key)
	}
	return who, asked
}

// wishes are all that who must be allowed to be.
func wishes(who user.Info, as *user.DefaultInfo) []*authorizer.AttributesRecord {
	var all []*authorizer.AttributesRecord
	add := func(group, namespace, resource, sub, name string) {
		all = append(all, &authorizer.AttributesRecord{
			User: who, Verb: "impersonate", APIGroup: group, APIVersion: "v1", Namespace: namespace, Resource: resource, Subresource: sub, Name: name, ResourceRequest: true,
		})
	}
	if namespace, name, err := serviceaccount.SplitUsername(as.Name); err == nil {
		add("", namespace, "serviceaccounts", "", name)
	} else {
		add("", "", "users", "", as.Name)
	}
	for _, group := range as.Groups {
		add("", "", "groups", "", group)
	}
	for key, values := range as.Extra {
		for _, value := range values {
			add(authenticationv1.GroupName, "", "userextras", key, value)
		}
	}
	if as.UID != "" {
		add(authenticationv1.GroupName, "", "uids", "", as.UID)
	}
	return all
}

// completeGroups adds the groups that one has for being who one is: a service account without others
// those of accounts, and everybody that of the authenticated, but the anonymous theirs.
func completeGroups(as *user.DefaultInfo) []string {
	groups := as.Groups
	if namespace, _, err := serviceaccount.SplitUsername(as.Name); err == nil && len(groups) == 0 {
		groups = serviceaccount.MakeGroupNames(namespace)
	}
	switch {
	case slices.Contains(groups, user.AllUnauthenticated):
	case as.Name == user.Anonymous:
		groups = append(groups, user.AllUnauthenticated)
	case !slices.Contains(groups, user.AllAuthenticated):
		groups = append(groups, user.AllAuthenticated)
	}
	return groups
}

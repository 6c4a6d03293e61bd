package filters

import (
	"log/slog"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
)

// Authenticate says who makes a request. Whoever shows nothing is system:anonymous; whoever shows
// what is wrong is refused, unless open says that anybody may make the request.
func Authenticate(next, refused http.Handler, auth authenticator.Request, open func(*http.Request) bool, logger *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, ok, err := auth.AuthenticateRequest(r)
		switch {
		case err == nil && ok:
			r = r.WithContext(request.WithUser(r.Context(), who.User))
			r.Header.Del("Authorization")
		case err == nil && r.Header.Get("Authorization") == "", open(r):
			r = r.WithContext(request.WithUser(r.Context(), anonymous()))
		default:
			logger.Debug("refused an unknown caller", "method", r.Method, "path", r.URL.Path, "remote", r.RemoteAddr, "error", err)
			refused.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func anonymous() *user.DefaultInfo {
	return &user.DefaultInfo{Name: user.Anonymous, Groups: []string{user.AllUnauthenticated}}
}

// Unauthorized answers with 401.
func Unauthorized(errs Errors) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// An HTTP/2 connection is dear; a stranger gets none to keep (CVE-2023-44487).
		w.Header().Set("Connection", "close")
		errs.Write(w, r, apierrors.NewUnauthorized("Unauthorized"))
	})
}

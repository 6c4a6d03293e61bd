package filters

import (
	"log/slog"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/endpoints/request"
)

// Authenticate lets a request pass when its caller is known, or when open says that anybody may
// make it; otherwise it answers 401.
func Authenticate(next http.Handler, errs Errors, auth authenticator.Request, open func(*http.Request) bool, logger *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, ok, err := auth.AuthenticateRequest(r)
		switch {
		case err == nil && ok:
			r = r.WithContext(request.WithUser(r.Context(), who.User))
			r.Header.Del("Authorization")
		case open(r):
		default:
			logger.Debug("refused an unknown caller", "method", r.Method, "path", r.URL.Path, "remote", r.RemoteAddr, "error", err)
			// An HTTP/2 connection is dear; a stranger gets none to keep (CVE-2023-44487).
			w.Header().Set("Connection", "close")
			errs.Write(w, r, apierrors.NewUnauthorized("Unauthorized"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

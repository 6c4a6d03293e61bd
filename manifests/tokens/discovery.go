package tokens

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
)

// Paths of the documents by which others check tokens.
// https://openid.net/specs/openid-connect-discovery-1_0.html
const (
	ConfigurationPath = "/.well-known/openid-configuration"
	KeysPath          = "/openid/v1/jwks"
)

// Configuration serves the description of the issuer. Its keys are where the issuer is, which pods
// reach by the Service of the API.
func (i *Issuer) Configuration() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		write(w, "application/json", map[string]any{
			"issuer": i.options.Issuer, "jwks_uri": i.options.Issuer + KeysPath, "response_types_supported": []string{"id_token"},
			"subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{algorithm},
		})
	})
}

// KeySet serves the public keys.
func (i *Issuer) KeySet() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		set := []map[string]string{}
		for _, k := range i.options.Keys.all {
			point, err := k.private.PublicKey.Bytes() // 4, then x and y
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			set = append(set, map[string]string{
				"use": "sig", "kty": "EC", "kid": k.id, "crv": "P-256", "alg": algorithm,
				"x": base64.RawURLEncoding.EncodeToString(point[1:33]), "y": base64.RawURLEncoding.EncodeToString(point[33:]),
			})
		}
		write(w, "application/jwk-set+json", map[string]any{"keys": set})
	})
}

func write(w http.ResponseWriter, mediaType string, v any) {
	raw, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Cache-Control", "public, max-age=3600")
	w.Write(raw)
}

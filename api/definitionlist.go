package api

import (
	"net/http"

	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metainternalversionscheme "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/handlers/negotiation"
	"k8s.io/apiserver/pkg/endpoints/request"

	"skiff/api/storage"
	"skiff/manifests"
)

// definitionsPath is where definitions are listed.
const definitionsPath = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

// definitionList serves lists of definitions so that they are never all in memory as Go values. What
// is out of the ordinary is next's.
func (s *Server) definitionList(next http.Handler) http.Handler {
	writer := storage.NewDefinitionWriter(s.options.Registry)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, ok := request.RequestInfoFrom(r.Context())
		media, known := negotiation.NegotiateMediaTypeOptions(r.Header.Get("Accept"), manifests.Codecs().SupportedMediaTypes(), metadataToo{})
		switch {
		case !ok || info.Verb != "list" || !known:
		case media.Convert != nil && r.URL.Query().Get("includeObject") != string(metav1.IncludeObject):
			r = r.WithContext(storage.WithMetadataOnly(r.Context()))
		case media.Convert == nil && !media.Pretty && media.Accepted.MediaType == "application/json":
			if writeDefinitions(writer, w, r) {
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// writeDefinitions answers with a list, and reports whether it has.
func writeDefinitions(writer storage.DefinitionWriter, w http.ResponseWriter, r *http.Request) bool {
	var options metainternalversion.ListOptions
	if err := metainternalversionscheme.ParameterCodec.DecodeParameters(r.URL.Query(), metav1.SchemeGroupVersion, &options); err != nil {
		return false
	}
	write, ok, err := writer.List(r.Context(), &options)
	if err != nil {
		statusErrors().Write(w, r, err)
		return true
	}
	if !ok {
		return false
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-cache, private")
	if write(w) != nil {
		panic(http.ErrAbortHandler) // a list that ends in its midst must not look whole
	}
	return true
}

// metadataToo lets content negotiation offer what is made of metadata alone.
type metadataToo struct{}

// AllowsMediaTypeTransform implements negotiation.EndpointRestrictions.
func (metadataToo) AllowsMediaTypeTransform(_, _ string, target *schema.GroupVersionKind) bool {
	if target == nil {
		return true
	}
	switch target.Kind {
	case "Table", "PartialObjectMetadata", "PartialObjectMetadataList":
		return target.Group == metav1.GroupName
	}
	return false
}

// AllowsServerVersion implements negotiation.EndpointRestrictions.
func (metadataToo) AllowsServerVersion(version string) bool {
	return version == extv1.SchemeGroupVersion.Version
}

// AllowsStreamSchema implements negotiation.EndpointRestrictions.
func (metadataToo) AllowsStreamSchema(string) bool { return false }

package openapi

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/manifests"
	"skiff/manifests/custom"
)

func documents(t testing.TB) *Documents {
	d, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func get(t *testing.T, d *Documents, path string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	d.Handler(func() []*custom.Definition { return nil }).ServeHTTP(w, r)
	return w
}

// TestEveryServedKindIsDescribed fails when a kind was added without running the generator.
func TestEveryServedKindIsDescribed(t *testing.T) {
	d := documents(t)
	for _, k := range manifests.Kinds() {
		for _, gvk := range k.Served {
			gv := gvk.GroupVersion()
			prefix := "/apis/" + gv.String()
			if gv.Group == "" {
				prefix = "/api/" + gv.Version
			}
			doc := get(t, d, "/openapi/v3"+prefix).Body.String()
			path := prefix + "/" + k.Resource
			if k.Namespaced {
				path = prefix + "/namespaces/{namespace}/" + k.Resource
			}
			if !strings.Contains(doc, `"`+path+`":`) {
				t.Errorf("%s: no path %s in its document; run `go generate ./api/openapi`", gvk, path)
			}
		}
	}
}

func TestDocumentsHoldNothingUnserved(t *testing.T) {
	served := map[string]bool{}
	for _, k := range manifests.Kinds() {
		served[k.Resource] = true
	}
	for _, v := range Virtual {
		served[v.Resource] = true
	}
	var doc struct{ Paths map[string]any }
	if err := json.Unmarshal(get(t, documents(t), "/openapi/v3/apis/apps/v1").Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Paths) < 5 {
		t.Fatalf("only %d paths", len(doc.Paths))
	}
	for p := range doc.Paths {
		parts := strings.Split(strings.Replace(p, "/namespaces/{namespace}", "", 1), "/")
		if len(parts) > 4 && parts[4] != "" && !served[parts[4]] {
			t.Errorf("%s is described but not served", p)
		}
	}
}

func TestV3Caching(t *testing.T) {
	d := documents(t)
	var index struct {
		Paths map[string]struct{ ServerRelativeURL string }
	}
	if err := json.Unmarshal(get(t, d, "/openapi/v3").Body.Bytes(), &index); err != nil {
		t.Fatal(err)
	}
	url := index.Paths["api/v1"].ServerRelativeURL
	w := get(t, d, url)
	if w.Code != http.StatusOK || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
		t.Errorf("%s: %d %v", url, w.Code, w.Header())
	}
	if again := get(t, d, url, "If-None-Match", w.Header().Get("Etag")); again.Code != http.StatusNotModified {
		t.Errorf("asked again: %d", again.Code)
	}
	if old := get(t, d, "/openapi/v3/api/v1?hash=OLD"); old.Code != http.StatusMovedPermanently || old.Header().Get("Location") != url {
		t.Errorf("with an old hash: %d %s", old.Code, old.Header().Get("Location"))
	}
	if z := get(t, d, url, "Accept-Encoding", "gzip"); z.Header().Get("Content-Encoding") != "gzip" || z.Body.Len() >= w.Body.Len() {
		t.Errorf("compressed: %v, %d bytes against %d", z.Header(), z.Body.Len(), w.Body.Len())
	}
	if none := get(t, d, "/openapi/v3/apis/none/v1"); none.Code != http.StatusNotFound {
		t.Errorf("an unknown group version: %d", none.Code)
	}
}

func TestV2InBothEncodings(t *testing.T) {
	d := documents(t)
	if w := get(t, d, "/openapi/v2", "Accept", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"); w.Code != http.StatusOK || w.Body.Bytes()[0] == '{' || w.Header().Get("Content-Type") != v2ProtoType {
		t.Errorf("protobuf: %d %v %q", w.Code, w.Header(), w.Body.String()[:20])
	}
	if w := get(t, d, "/openapi/v2"); w.Code != http.StatusOK || w.Body.Bytes()[0] != '{' {
		t.Errorf("JSON: %d", w.Code)
	}
	if w := get(t, d, "/openapi/v2", "Accept", "text/html"); w.Code != http.StatusNotAcceptable {
		t.Errorf("text/html: %d", w.Code)
	}
}

func TestTypeConverterKnowsFields(t *testing.T) {
	began := time.Now()
	c := documents(t).TypeConverter()
	pod := &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{Name: "x"},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a"}, {Name: "b"}}}}
	typed, err := c.ObjectToTyped(pod)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("first use took %s", time.Since(began))
	set, err := typed.ToFieldSet()
	if err != nil {
		t.Fatal(err)
	}
	if got := set.String(); !strings.Contains(got, `.spec.containers[name="b"].name`) {
		t.Errorf("containers are not merged by name:\n%s", got)
	}
}

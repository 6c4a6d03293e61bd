package harness

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Registry is an image registry on the loopback, which every engine trusts without TLS. It has one
// image, the given files, under every name and tag.
type Registry struct {
	// Host is its address, as image references begin.
	Host string
	// User and Password are wanted unless User is empty.
	User, Password string
	// PerSecond is how many bytes of a layer it sends in a second; 0 for as many as it can.
	PerSecond int

	blobs    map[string][]byte
	manifest []byte
}

const manifestType = "application/vnd.docker.distribution.manifest.v2+json"

// NewRegistry serves an image whose command is the given one until the test ends. Change the fields
// before the first pull.
func NewRegistry(t testing.TB, command []string, files map[string][]byte) *Registry {
	t.Helper()
	r := &Registry{blobs: map[string][]byte{}}
	layer := tarOf(t, files)
	config := r.add(marshal(t, map[string]any{
		"architecture": "amd64", "os": "linux", "config": map[string]any{"Entrypoint": command},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{digest(layer)}},
	}))
	r.manifest = marshal(t, map[string]any{
		"schemaVersion": 2, "mediaType": manifestType,
		"config": map[string]any{"mediaType": "application/vnd.docker.container.image.v1+json", "size": len(r.blobs[config]), "digest": config},
		"layers": []any{map[string]any{"mediaType": "application/vnd.docker.image.rootfs.diff.tar", "size": len(layer), "digest": r.add(layer)}},
	})
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.Host = strings.TrimPrefix(server.URL, "http://")
	return r
}

func (r *Registry) add(blob []byte) string {
	d := digest(blob)
	r.blobs[d] = blob
	return d
}

func digest(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func tarOf(t testing.TB, files map[string][]byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for name, content := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// ServeHTTP speaks as much of the registry's protocol as a pull needs.
func (r *Registry) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if user, password, _ := q.BasicAuth(); r.User != "" && (user != r.User || password != r.Password) {
		w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
		http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`, http.StatusUnauthorized)
		return
	}
	rest, what := q.URL.Path, ""
	if i := strings.LastIndexByte(rest, '/'); i >= 0 {
		rest, what = rest[:i], rest[i+1:]
	}
	switch {
	case q.URL.Path == "/v2/":
	case strings.HasSuffix(rest, "/manifests"):
		w.Header().Set("Content-Type", manifestType)
		w.Header().Set("Docker-Content-Digest", digest(r.manifest))
		r.send(w, q, r.manifest)
	case strings.HasSuffix(rest, "/blobs") && r.blobs[what] != nil:
		r.send(w, q, r.blobs[what])
	default:
		http.NotFound(w, q)
	}
}

// send sends a blob no faster than it should.
func (r *Registry) send(w http.ResponseWriter, q *http.Request, blob []byte) {
	w.Header().Set("Content-Length", fmt.Sprint(len(blob)))
	if q.Method == http.MethodHead {
		return
	}
	const step = 100 * time.Millisecond
	chunk := len(blob)
	if r.PerSecond > 0 {
		chunk = max(r.PerSecond/int(time.Second/step), 1)
	}
	for len(blob) > 0 {
		n := min(chunk, len(blob))
		if _, err := w.Write(blob[:n]); err != nil {
			return
		}
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
		if blob = blob[n:]; len(blob) > 0 {
			select {
			case <-time.After(step):
			case <-q.Context().Done():
				return
			}
		}
	}
}

package docker

import (
	"net/netip"
	"strings"
	"testing"
)

// TestEnsureRouter: what is asked of the engine, by what router there is.
func TestEnsureRouter(t *testing.T) {
	layout, err := Divide(netip.MustParsePrefix("10.9.0.0/18"))
	check(t, err)
	spec := RouterSpec{Program: func() ([]byte, error) { return []byte("router"), nil }, Digest: digest([]byte("router")), Layout: layout}
	want, err := spec.digest()
	check(t, err)
	router := func(state, label, network string) map[string]any {
		return map[string]any{
			"Id": "r", "Name": "/skiff-i-router", "State": map[string]any{"Status": state},
			"Config": map[string]any{"Image": routerRef(spec.Digest), "Labels": map[string]string{InstanceLabel: "i", routerLabel: label}},
			"NetworkSettings": map[string]any{"Networks": map[string]any{
				network: map[string]any{"IPAMConfig": map[string]string{"IPv4Address": layout.Router.String()}},
			}},
		}
	}
	const build, remove, start = "GET /images/IMAGE/json, POST /containers/create", "DELETE /containers/r", "POST /containers/r/start"
	for _, test := range []struct {
		name string
		has  map[string]any
		want string
	}{
		{"none", nil, build + ", " + start},
		{"it runs", router("running", want, "skiff-i"), ""},
		{"it was stopped", router("exited", want, "skiff-i"), start},
		{"it is of another program", router("exited", "another", "skiff-i"), remove + ", " + build + ", " + start},
		{"it was taken off the network", router("running", want, "another"), "POST /containers/r/kill, POST /containers/r/wait, " + remove + ", " + build + ", " + start},
	} {
		t.Run(test.name, func(t *testing.T) {
			fake := newFake(t).start()
			if fake.onError("GET /containers/skiff-i-router/json", 404, "No such container"); test.has != nil {
				fake.onJSON("GET /containers/skiff-i-router/json", test.has)
			}
			image := routerRef(spec.Digest)
			fake.onJSON("GET /images/"+image+"/json", map[string]any{
				"Id": "i", "Config": map[string]any{"Labels": map[string]string{routerLabel: spec.Digest}},
			})
			fake.onJSON("POST /containers/create", map[string]any{"Id": "r"})
			fake.onJSON("POST /containers/r/wait", map[string]int{"StatusCode": 137})
			for _, what := range []string{remove, start, "POST /containers/r/kill"} {
				fake.onJSON(what, nil)
			}
			id, err := fake.connect(Options{}).EnsureRouter(t.Context(), spec)
			check(t, err)
			got := strings.ReplaceAll(strings.ReplaceAll(fake.requests(), image, "IMAGE"), "\n", ", ")
			got = strings.TrimPrefix(strings.TrimPrefix(got, "GET /containers/skiff-i-router/json"), ", ")
			if id != "r" || got != test.want {
				t.Errorf("asked %s, want %s; it is %s", got, test.want, id)
			}
		})
	}
	t.Run("another's", func(t *testing.T) {
		fake := newFake(t).start()
		fake.onJSON("GET /containers/skiff-i-router/json", map[string]any{"Id": "x", "State": map[string]any{"Status": "running"}})
		_, err := fake.connect(Options{}).EnsureRouter(t.Context(), spec)
		wantKind(t, err, ErrConflict)
	})
}

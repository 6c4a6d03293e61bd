package docker

import (
	"net/netip"
	"strings"
	"testing"
)

// TestEnsurePublisher: what is asked of the engine, by what container there is.
func TestEnsurePublisher(t *testing.T) {
	spec := PublisherSpec{
		Program: func() ([]byte, error) { return []byte("router"), nil }, Digest: digest([]byte("router")),
		Protocol: "tcp", At: netip.MustParseAddrPort("127.0.0.1:80"), To: netip.MustParseAddrPort("10.9.48.1:8080"),
	}
	want, err := spec.digest()
	check(t, err)
	has := func(instance, label, state string) map[string]any {
		return map[string]any{
			"Id": "p", "State": map[string]any{"Status": state},
			"Config": map[string]any{"Labels": map[string]string{InstanceLabel: instance, publisherLabel: label}},
		}
	}
	const inspect, remove = "GET /containers/skiff-i-port-tcp-127.0.0.1-80/json", "DELETE /containers/p"
	const create = "GET /images/IMAGE/json, POST /containers/create, POST /containers/p/start"
	for _, test := range []struct {
		name string
		has  map[string]any
		want string
	}{
		{"none", nil, create},
		{"it runs", has("i", want, "running"), ""},
		{"it has ended", has("i", want, "exited"), remove + ", " + create},
		{"it leads elsewhere", has("i", "other", "running"), remove + ", " + create},
	} {
		t.Run(test.name, func(t *testing.T) {
			fake := newFake(t).start()
			if fake.onError(inspect, 404, "No such container"); test.has != nil {
				fake.onJSON(inspect, test.has)
			}
			image := routerRef(spec.Digest)
			fake.onJSON("GET /images/"+image+"/json", map[string]any{
				"Id": "i", "Config": map[string]any{"Labels": map[string]string{routerLabel: spec.Digest}},
			})
			fake.onJSON("POST /containers/create", map[string]any{"Id": "p"})
			fake.onJSON("POST /containers/p/start", nil)
			fake.onJSON(remove, nil)
			check(t, fake.connect(Options{}).EnsurePublisher(t.Context(), spec))
			got := strings.ReplaceAll(strings.ReplaceAll(fake.requests(), image, "IMAGE"), "\n", ", ")
			if got = strings.TrimPrefix(strings.TrimPrefix(got, inspect), ", "); got != test.want {
				t.Errorf("asked %s, want %s", got, test.want)
			}
		})
	}
	t.Run("another's", func(t *testing.T) {
		fake := newFake(t).start()
		fake.onJSON(inspect, has("x", want, "running"))
		wantKind(t, fake.connect(Options{}).EnsurePublisher(t.Context(), spec), ErrConflict)
	})
	t.Run("the port is taken", func(t *testing.T) {
		fake := newFake(t).start()
		fake.onError(inspect, 404, "No such container")
		fake.onJSON("GET /images/"+routerRef(spec.Digest)+"/json", map[string]any{
			"Id": "i", "Config": map[string]any{"Labels": map[string]string{routerLabel: spec.Digest}},
		})
		fake.onJSON("POST /containers/create", map[string]any{"Id": "p"})
		fake.onError("POST /containers/p/start", 500, "driver failed: Bind for 127.0.0.1:80 failed: port is already allocated")
		fake.onJSON(remove, nil)
		wantKind(t, fake.connect(Options{}).EnsurePublisher(t.Context(), spec), ErrPortInUse)
		if !strings.Contains(fake.requests(), remove) {
			t.Errorf("the container stays: %s", fake.requests())
		}
	})
}

package docker

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
)

func TestRemoveVolumeOfSomebodyElse(t *testing.T) {
	f := newFake(t).start()
	f.onJSON("GET /volumes/diary", map[string]any{"Name": "diary", "Labels": map[string]string{InstanceLabel: "another"}})
	e := f.connect(Options{Instance: "i"})
	wantKind(t, e.RemoveVolume(t.Context(), "diary"), ErrConflict)
	f.onError("GET /volumes/gone", 404, "get gone: no such volume")
	check(t, e.RemoveVolume(t.Context(), "gone"))
}

// The container from which a volume was being filled goes with it.
func TestRemoveVolumeThatWasBeingFilled(t *testing.T) {
	f := newFake(t).start()
	mine := map[string]string{InstanceLabel: "i", sourceLabel: "v_source"}
	f.onJSON("GET /volumes/v", map[string]any{"Name": "v", "Labels": mine})
	f.onJSON("GET /containers/v_open/json", map[string]any{"Id": "c1", "Name": "/v_open", "Config": map[string]any{"Labels": mine}, "State": map[string]any{"Status": "created"}})
	f.onJSON("DELETE /containers/c1", nil)
	f.onJSON("DELETE /containers/v_source", nil)
	f.onJSON("DELETE /volumes/v", nil)
	check(t, f.connect(Options{Instance: "i"}).RemoveVolume(t.Context(), "v"))
	if got, want := f.requests(), "GET /volumes/v\nGET /containers/v_open/json\nDELETE /containers/v_source\nDELETE /containers/c1\nDELETE /volumes/v"; got != want {
		t.Errorf("asked\n%s\nwant\n%s", got, want)
	}
}

func TestEnsureTmpfs(t *testing.T) {
	f := newFake(t).start()
	var asked struct {
		Name, Driver string
		DriverOpts   map[string]string
	}
	answer := map[string]any{"Name": "v", "Mountpoint": "/m", "Labels": map[string]string{InstanceLabel: "i"}}
	f.on("POST /volumes/create", func(w http.ResponseWriter, r *http.Request) {
		check(t, json.NewDecoder(r.Body).Decode(&asked))
		writeJSON(w, http.StatusCreated, answer)
	})
	e := f.connect(Options{Instance: "i"})
	path, err := e.EnsureTmpfs(t.Context(), "v", nil, Tmpfs{SizeBytes: 1 << 20, Mode: 0o2777, Group: 5})
	check(t, err)
	if got, want := fmt.Sprint(path, asked), "/m{v local map[device:tmpfs o:size=1048576,mode=2777,gid=5 type:tmpfs]}"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	answer["Labels"] = map[string]string{InstanceLabel: "another"}
	_, err = e.EnsureTmpfs(t.Context(), "v", nil, Tmpfs{})
	wantKind(t, err, ErrConflict)
}

func TestRemoveVolumeThatWasBeingMade(t *testing.T) {
	f := newFake(t).start()
	mine := map[string]string{InstanceLabel: "i"}
	f.onJSON("GET /volumes/diary", map[string]any{"Name": "diary", "Labels": mine})
	f.onJSON("GET /containers/diary_open/json", map[string]any{"Id": "c1", "Name": "/diary_open", "Config": map[string]any{"Labels": mine}, "State": map[string]any{"Status": "created"}})
	f.onJSON("DELETE /containers/c1", nil)
	f.onJSON("DELETE /volumes/diary", nil)
	check(t, f.connect(Options{Instance: "i"}).RemoveVolume(t.Context(), "diary"))
	if got, want := f.requests(), "GET /volumes/diary\nGET /containers/diary_open/json\nDELETE /containers/c1\nDELETE /volumes/diary"; got != want {
		t.Errorf("asked\n%s\nwant\n%s", got, want)
	}
}

package docker

import "testing"

func TestRemoveVolumeOfSomebodyElse(t *testing.T) {
	f := newFake(t).start()
	f.onJSON("GET /volumes/diary", map[string]any{"Name": "diary", "Labels": map[string]string{InstanceLabel: "another"}})
	e := f.connect(Options{Instance: "i"})
	wantKind(t, e.RemoveVolume(t.Context(), "diary"), ErrConflict)
	f.onError("GET /volumes/gone", 404, "get gone: no such volume")
	check(t, e.RemoveVolume(t.Context(), "gone"))
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

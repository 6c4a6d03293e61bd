package docker

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/registry"
)

func TestPull(t *testing.T) {
	fake := newFake(t).start()
	fake.on("POST /images/create", func(w http.ResponseWriter, r *http.Request) {
		if got := r.URL.Query().Encode(); got != "fromImage=reg.example%3A5000%2Fkubia&tag=v1" {
			t.Errorf("asked for %s", got)
		}
		auth, err := registry.DecodeAuthConfig(r.Header.Get(registry.AuthHeader))
		check(t, err)
		if auth.Username != "me" || auth.Password != "se:cret" {
			t.Errorf("credentials %+v", auth)
		}
		_, _ = w.Write([]byte(`{"status":"Pulling from kubia","id":"v1"}
			{"status":"Downloading","id":"a","progressDetail":{"current":10,"total":100}}
			{"status":"Downloading","id":"b","progressDetail":{"current":5,"total":50}}
			{"status":"Download complete","id":"a","progressDetail":{}}
			{"status":"Extracting","id":"a","progressDetail":{"current":1,"total":100}}
			{"status":"Status: Downloaded newer image"}`))
	})
	// base64 of me:se:cret
	writeFile(t, filepath.Join(filepath.Dir(fake.socket), "config.json"), `{"auths":{"reg.example:5000":{"auth":"bWU6c2U6Y3JldA=="}}}`)
	var told []string
	check(t, fake.connect(Options{}).Pull(t.Context(), "reg.example:5000/kubia:v1", PullOptions{Progress: func(status string, current, total int64) {
		told = append(told, fmt.Sprintf("%s %d/%d", status, current, total))
	}}))
	want := []string{
		"Pulling from kubia 0/0", "Downloading 10/100", "Downloading 15/150", "Download complete 105/150",
		"Extracting 105/150", "Status: Downloaded newer image 105/150",
	}
	if !slices.Equal(told, want) {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(told, "\n"), strings.Join(want, "\n"))
	}
}

func TestPullFails(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		kind   error
		says   string
	}{
		{"refused", func(w http.ResponseWriter, _ *http.Request) {
			writeJSON(w, http.StatusNotFound, map[string]string{"message": "pull access denied for kubia"})
		}, ErrPull, "pull kubia: pull access denied for kubia"},
		{"fails midway", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"status":"Downloading","id":"a"}{"errorDetail":{"message":"no space left"},"error":"no space left"}`))
		}, ErrPull, "pull kubia: no space left"},
		{"engine goes away", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"status":"Downl`))
		}, ErrUnavailable, "cannot reach the Docker Engine"},
	} {
		t.Run(test.name, func(t *testing.T) {
			fake := newFake(t).start()
			fake.on("POST /images/create", test.answer)
			err := fake.connect(Options{}).Pull(t.Context(), "kubia", PullOptions{})
			wantKind(t, err, test.kind)
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %q, want %q in it", err, test.says)
			}
		})
	}
	wantKind(t, newFake(t).connect(Options{}).Pull(t.Context(), "No Such Ref", PullOptions{}), ErrInvalid)
}

func TestCredentials(t *testing.T) {
	bin := t.TempDir()
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	script := func(name, body string) {
		check(t, os.WriteFile(filepath.Join(bin, "docker-credential-"+name), []byte("#!/bin/sh\nread -r server\n"+body), 0o755))
	}
	script("password", `echo "{\"ServerURL\":\"$server\",\"Username\":\"helped\",\"Secret\":\"for $server\"}"`)
	script("token", `echo '{"Username":"<token>","Secret":"tok"}'`)
	script("empty", "echo 'credentials not found in native keychain'; exit 1")
	script("broken", "echo 'locked' >&2; exit 2")

	const stored = `"auths":{"https://index.docker.io/v1/":{"auth":"aHViOnB3"},"http://old.example/v1/":{"auth":"b2xkOnB3"},"kept.example":{}}`
	for _, test := range []struct {
		name, config, ref string
		want              string
		err               string
	}{
		{"none", `{}`, "kubia", "", ""},
		{"docker hub", `{` + stored + `}`, "kubia", "hub pw https://index.docker.io/v1/", ""},
		{"kept as a URL", `{` + stored + `}`, "old.example/kubia", "old pw old.example", ""},
		{"another registry", `{` + stored + `}`, "other.example/kubia", "", ""},
		{"kept by a helper that is gone", `{` + stored + `}`, "kept.example/kubia", "", ""},
		{"store", `{"credsStore":"password"}`, "kubia", "helped for https://index.docker.io/v1/ https://index.docker.io/v1/", ""},
		{"helper before store", `{"credsStore":"broken","credHelpers":{"reg.example":"password"}}`, "reg.example/kubia", "helped for reg.example reg.example", ""},
		{"token", `{"credsStore":"token"}`, "kubia", "token tok https://index.docker.io/v1/", ""},
		{"store without", `{"credsStore":"empty",` + stored + `}`, "kubia", "hub pw https://index.docker.io/v1/", ""},
		{"store fails", `{"credsStore":"broken"}`, "kubia", "", "locked"},
		{"store not installed", `{"credsStore":"nowhere"}`, "kubia", "", "docker-credential-nowhere"},
		{"not base64", `{"auths":{"reg.example":{"auth":"%"}}}`, "reg.example/kubia", "", "credentials of reg.example"},
	} {
		t.Run(test.name, func(t *testing.T) {
			fake := newFake(t)
			e := fake.connect(Options{})
			writeFile(t, filepath.Join(e.configDir, "config.json"), test.config)
			header, err := e.registryAuth(t.Context(), test.ref, nil)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("error %v, want %q in it", err, test.err)
				}
				return
			}
			check(t, err)
			if got := describeAuth(t, header); got != test.want {
				t.Errorf("credentials %q, want %q", got, test.want)
			}
		})
	}
}

func TestGivenCredentialsGoFirst(t *testing.T) {
	e := newFake(t).connect(Options{})
	entry := func(server, auth string) string { return `{"auths":{"` + server + `":{"auth":"` + auth + `"}}}` }
	writeFile(t, filepath.Join(e.configDir, "config.json"), entry("reg.example", "b2xkOnB3")) // old:pw
	for _, test := range []struct {
		name  string
		given []string
		want  string
	}{
		{"none", nil, "old pw reg.example"},
		{"of another registry", []string{entry("other.example", "bmV3OnB3")}, "old pw reg.example"},
		{"the first that knows it", []string{entry("other.example", "eDpw"), entry("reg.example", "bmV3OnB3"), entry("reg.example", "eDpw")}, "new pw reg.example"},
		{"one that can't be read", []string{"{", entry("reg.example", "bmV3OnB3")}, "new pw reg.example"},
		{"an entry that can't be read", []string{entry("reg.example", "%"), entry("reg.example", "bmV3OnB3")}, "new pw reg.example"},
		{"none that can be read", []string{"{"}, "old pw reg.example"},
	} {
		var given [][]byte
		for _, g := range test.given {
			given = append(given, []byte(g))
		}
		header, err := e.registryAuth(t.Context(), "reg.example/kubia", given)
		check(t, err)
		if got := describeAuth(t, header); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func describeAuth(t *testing.T, header string) string {
	t.Helper()
	if header == "" {
		return ""
	}
	auth, err := registry.DecodeAuthConfig(header)
	check(t, err)
	if auth.IdentityToken != "" {
		return "token " + auth.IdentityToken + " " + auth.ServerAddress
	}
	return auth.Username + " " + auth.Password + " " + auth.ServerAddress
}

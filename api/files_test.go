package api_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

const filesOf = "/api/v1/namespaces/default/pods/p/files?container=c&path="

// The files of a container are told of, downloaded and unpacked; what goes wrong before the first byte is
// a status, what goes wrong after it breaks the answer off.
func TestPodFiles(t *testing.T) {
	fake := newFakePods()
	h := start(t, options{pods: fake})
	h.runningPod("p", "c", "d")
	for _, test := range []struct{ method, path, body, want string }{
		{"GET", filesOf + "/nope&stat=true", "", `404 NotFound: files "/nope" not found`},
		{"GET", filesOf + "/etc", "", "200 archive of /etc"},
		{"GET", filesOf + "relative", "", "200 archive of relative"},
		{"GET", filesOf + "/missing", "", `404 NotFound: files "/missing" not found`},
		{"GET", filesOf, "", "400 BadRequest: the parameter path is missing"},
		{"GET", strings.Replace(filesOf, "container=c&", "", 1) + "/etc", "", "400 BadRequest: a container name must be specified for pod p, choose one of: [c d]"},
		{"GET", strings.Replace(filesOf, "container=c", "container=x", 1) + "/etc", "", "400 BadRequest: container x is not valid for pod p"},
		{"GET", strings.Replace(filesOf, "/p/", "/q/", 1) + "/etc", "", `404 NotFound: pods "q" not found`},
		{"PUT", filesOf + "/etc", "files", "200 : "},
		{"POST", filesOf + "/etc", "files", "405 MethodNotAllowed: the server does not allow this method on the requested resource"},
	} {
		got := h.do(test.method, test.path, test.body)
		if text := got.String(); !strings.HasPrefix(text, test.want) {
			t.Errorf("%s %s: %s, want %s", test.method, test.path, text, test.want)
		}
	}
	got := string(h.do("GET", filesOf+"/etc/hosts&stat=true", "").body)
	equal(t, "what is at a path", got, `{"Name":"hosts","Size":7,"Mode":420,"ModTime":"0001-01-01T00:00:00Z","LinkTarget":""}`)
	if calls := strings.Join(fake.calls, "; "); !strings.Contains(calls, "copy files to p/c /etc") {
		t.Errorf("calls: %s", calls)
	}
}

// Part of an archive must not pass for the whole.
func TestPodFilesThatBreakOff(t *testing.T) {
	h := start(t, options{pods: newFakePods()})
	h.runningPod("p", "c")
	answer, err := h.http().Get(h.config.Host + filesOf + "/broken")
	if err != nil {
		return // not even the beginning has come
	}
	defer answer.Body.Close()
	if text, err := io.ReadAll(answer.Body); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("the answer ends well: %d %q", answer.StatusCode, text)
	}
}

// A pod that has no node has no files.
func TestPodFilesWithoutNode(t *testing.T) {
	h := start(t, options{pods: newFakePods()})
	h.do("POST", "/api/v1/namespaces/default/pods", `{"metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i"}]}}`, "Content-Type: application/json")
	if got := h.do("GET", filesOf+"/etc", "").String(); got != "400 BadRequest: pod p does not have a host assigned" {
		t.Error(got)
	}
}

func TestPodKill(t *testing.T) {
	fake := newFakePods()
	h := start(t, options{pods: fake})
	h.runningPod("p", "c")
	const at = "/api/v1/namespaces/default/pods/p/kill"
	for path, want := range map[string]string{
		at + "?container=c&signal=SIGHUP": "200 : ",
		at + "?signal=SIGNONE":            "400 BadRequest: invalid signal: SIGNONE",
		at:                                "400 BadRequest: the parameter signal is missing",
		at + "?signal=SIGHUP&container=x": "400 BadRequest: container x is not valid for pod p",
	} {
		if got := h.do(http.MethodPost, path, "").String(); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	if calls := strings.Join(fake.calls, "; "); !strings.Contains(calls, "kill -SIGHUP p/c") {
		t.Errorf("calls: %s", calls)
	}
}

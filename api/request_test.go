package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// reply is what came back of a request.
type reply struct {
	code   int
	header http.Header
	body   []byte
}

// do makes a request. Headers are "Name: value".
func (h *harness) do(method, path, body string, headers ...string) reply {
	h.t.Helper()
	return h.doWith(h.http(), method, path, strings.NewReader(body), headers...)
}

func (h *harness) doWith(c *http.Client, method, path string, body io.Reader, headers ...string) reply {
	h.t.Helper()
	r, err := http.NewRequest(method, h.config.Host+path, body)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Add(name, value)
	}
	answer, err := c.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return reply{code: answer.StatusCode, header: answer.Header, body: raw}
}

// String is an answer in one line: the code, and of a Status the reason and message, of an object
// its kind and name.
func (r reply) String() string {
	var object metav1.PartialObjectMetadata
	if err := json.Unmarshal(r.body, &object); err != nil {
		return strings.TrimSpace(fmt.Sprintf("%d %s", r.code, bytes.TrimSpace(r.body)))
	}
	var status metav1.Status
	if object.Kind == "Status" && json.Unmarshal(r.body, &status) == nil {
		return fmt.Sprintf("%d %s: %s", r.code, status.Reason, status.Message)
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s %s", r.code, object.Kind, object.Name))
}

// decode reads the body into v.
func (r reply) decode(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal(r.body, v); err != nil {
		t.Fatalf("%v in %s", err, r.body)
	}
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n got %v\nwant %v", what, got, want)
	}
}

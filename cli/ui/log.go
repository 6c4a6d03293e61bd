package ui

import (
	"io"
	"net/http"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"skiff/cli/command"
	"skiff/cli/logs"
)

// tail is how many lines of a log are sent before it is followed.
const tail int64 = 1000

// log follows the log of a container until it ends or the browser turns to something else. A browser that
// reads slowly has its own log wait, and nothing else.
func (s *server) log(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	lines := tail
	o := corev1.PodLogOptions{Follow: true, TailLines: &lines}
	if q.Get("previous") == "true" {
		o.Follow, o.Previous = false, true
	}
	body, err := logs.Open(r.Context(), s.client, logs.Source{Namespace: q.Get("namespace"), Pod: q.Get("pod"), Container: q.Get("container")}, o)
	if err != nil {
		message, _ := command.Explain(err)
		http.Error(w, strings.TrimSpace(message), http.StatusBadGateway)
		return
	}
	defer body.Close()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	out := newPatient(w)
	if out.Flush() != nil { // the page shows that it is followed, also while nothing is written
		return
	}
	_, _ = io.CopyBuffer(out, struct{ io.Reader }{body}, make([]byte, 32<<10)) // whoever has ended it knows
	_ = out.renew()                                                            // for the end that the server writes
}

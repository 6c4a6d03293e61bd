package ui

import (
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"html"
	"net/http"
	"strings"
	"sync"
)

// session lets one browser in. The key in the address can be read by others, in a terminal's history or in a
// list of processes, so it is good for one exchange; the cookie that it is exchanged for never leaves the browser.
type session struct {
	mu     sync.Mutex
	key    string // "" once it is exchanged
	cookie string
	// token is told to the page alone, and comes back with each change that it asks for.
	token string
	// name is the cookie's. Cookies are a host's and not a port's: each skiff ui has one of its own.
	name string
}

func newSession(port string) *session {
	return &session{key: rand.Text() + rand.Text(), cookie: rand.Text() + rand.Text(), token: rand.Text(), name: "skiff-ui-" + port}
}

// same compares secrets in a time that does not depend on them.
func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// exchange takes the key, once, and reports whether it was right.
func (s *session) exchange(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.key == "" || !same(key, s.key) {
		return false
	}
	s.key = ""
	return true
}

// open reports whether a request comes from the browser that has exchanged the key.
func (s *session) open(r *http.Request) bool {
	c, err := r.Cookie(s.name)
	s.mu.Lock()
	defer s.mu.Unlock()
	return err == nil && s.key == "" && same(c.Value, s.cookie)
}

// entered sends the browser on to the page by itself: after a redirect from a link on another site it would not
// send the cookie along.
const entered = `<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=/"><title>skiff</title><p><a href="/">skiff</a></p>`

func (s *session) enter(w http.ResponseWriter, r *http.Request) {
	if !s.exchange(r.URL.Query().Get("key")) {
		s.refuse(w, r)
		return
	}
	http.SetCookie(w, &http.Cookie{Name: s.name, Value: s.cookie, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Write([]byte(entered))
}

const refused = `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>skiff ui</title>
<link rel="stylesheet" href="/style.css"><main><h1>Not this way</h1><p>%s</p><p>Run <code>skiff ui</code> again for an address that opens.</p></main>`

// refuse says why somebody is not let in: a page to people, a line to programs.
func (s *session) refuse(w http.ResponseWriter, r *http.Request) {
	why := "This page opens by the address that skiff ui has printed, in the browser that has opened it first."
	if r.URL.Query().Has("key") {
		why = "This address has been used: its key opens the page once, in one browser. If that was not you, end skiff ui with Ctrl-C."
	}
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		http.Error(w, why, http.StatusForbidden)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(http.StatusForbidden)
	fmt.Fprintf(w, refused, html.EscapeString(why))
}

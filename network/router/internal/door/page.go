package door

import (
	"encoding/json"
	"html"
	"net/http"
	"strconv"
	"strings"

	"skiff/network/protocol"
)

// The page is built by hand: html/template would keep the linker from dropping methods that nobody
// calls, all over the binary.
const (
	pageHead = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>`
	pageBody = `</title><style>
:root{--ink:#1b1f24;--dim:#59636e;--line:#d8dee4;--link:#0b57d0;--back:#fff}
@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--dim:#9198a1;--line:#3d444d;--link:#8ab4f8;--back:#0d1117}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--back);max-width:48rem;margin:3rem auto;padding:0 1rem}
h1{font-size:1.25rem}ul{list-style:none;padding:0}li{padding:.5rem 0;border-top:1px solid var(--line)}
a{color:var(--link)}small{display:block;color:var(--dim);font-size:.875rem}
</style></head><body>
`
	pageEnd = "</body></html>\n"
)

// answer says something to a person, or to a program, in its own words.
func answer(w http.ResponseWriter, r *http.Request, status int, text string) {
	switch {
	case accepts(r, "text/html"):
		title := strconv.Itoa(status) + " " + http.StatusText(status)
		send(w, status, "text/html", pageHead+title+pageBody+"<h1>"+title+"</h1>\n<p>"+html.EscapeString(text)+"</p>\n"+pageEnd)
	case accepts(r, "application/json"):
		sendJSON(w, status, map[string]any{"status": status, "message": text})
	default:
		send(w, status, "text/plain", text+"\n")
	}
}

// send sends a text that nobody keeps and nothing may be loaded by.
func send(w http.ResponseWriter, status int, kind, text string) {
	h := w.Header()
	h.Set("Content-Type", kind+"; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) // the client may be gone
}

func sendJSON(w http.ResponseWriter, status int, of any) {
	text, err := json.Marshal(of)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{}`)
	}
	send(w, status, "application/json", string(text)+"\n")
}

// listed is a site as the list has it.
type listed struct {
	Host  string `json:"host"`
	Title string `json:"title"`
	// URLs are where it is to be seen, empty for one whose name is a pattern.
	URLs    []string `json:"urls,omitempty"`
	Problem string   `json:"problem,omitempty"`
}

// list answers with all sites. That is what plain localhost is for, and what other local names get
// that no site has.
func (d *door) list(w http.ResponseWriter, r *http.Request, t *table, name, port string) {
	status, title := http.StatusNotFound, "There is no site of the name "+name
	if name == "localhost" && r.URL.Path == "/" {
		status, title = http.StatusOK, "Sites"
	}
	sites := make([]listed, 0, len(t.sites))
	for _, s := range t.sites {
		sites = append(sites, listing(s, callerOf(r.Context()).scheme(), port))
	}
	switch {
	case accepts(r, "text/html"):
		send(w, status, "text/html", listPage(title, sites))
	case accepts(r, "application/json"):
		sendJSON(w, status, map[string]any{"sites": sites})
	default:
		send(w, status, "text/plain", listText(title, sites))
	}
}

// listing is a site with links by the scheme and the port that the caller has used.
func listing(s protocol.Site, scheme, port string) listed {
	l := listed{Host: s.Host, Title: s.Title}
	if port != "" {
		port = ":" + port
	}
	for _, p := range s.Paths {
		if !strings.HasPrefix(s.Host, "*.") {
			l.URLs = append(l.URLs, scheme+"://"+s.Host+port+p.Path)
		}
		if l.Problem == "" && p.Backend.Problem != "" {
			l.Problem = "service " + p.Backend.Service.String() + ": " + p.Backend.Problem
		}
	}
	return l
}

func listPage(title string, sites []listed) string {
	var b strings.Builder
	b.WriteString(pageHead + html.EscapeString(title) + pageBody + "<h1>" + html.EscapeString(title) + "</h1>\n<ul>\n")
	for _, s := range sites {
		b.WriteString("<li>")
		for _, u := range s.URLs {
			u = html.EscapeString(u)
			b.WriteString(`<a href="` + u + `">` + u + "</a> ")
		}
		if len(s.URLs) == 0 {
			b.WriteString(html.EscapeString(s.Host))
		}
		b.WriteString("<small>" + html.EscapeString(s.about()) + "</small></li>\n")
	}
	b.WriteString("</ul>\n")
	if len(sites) == 0 {
		b.WriteString("<p>There are no sites yet.</p>\n")
	}
	b.WriteString(pageEnd)
	return b.String()
}

func listText(title string, sites []listed) string {
	var b strings.Builder
	b.WriteString(title + "\n")
	for _, s := range sites {
		where := strings.Join(s.URLs, " ")
		if where == "" {
			where = s.Host
		}
		b.WriteString("\n" + where + "\n  " + s.about() + "\n")
	}
	if len(sites) == 0 {
		b.WriteString("\nThere are no sites yet.\n")
	}
	return b.String()
}

// about is a line about a site.
func (l listed) about() string {
	if l.Problem == "" {
		return l.Title
	}
	return l.Title + " (" + l.Problem + ")"
}

package main

import (
	"bytes"
	"encoding/json"
	"html/template"
	"net/http"
)

// web is the page.
type web struct {
	host string
	api  client
}

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"euros": func(cents int) float64 { return float64(cents) / 100 },
}).Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Shop</title>
<h1>Shop</h1>
<ul>
{{- range .Products}}
  <li>{{.Name}}: € {{printf "%.2f" (euros .Price)}}</li>
{{- end}}
</ul>
<p>This page is by {{.Web}}, its list by {{.ServedBy}}.</p>
</html>
`))

func (s web) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", well)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		raw, err := s.api.do(r.Context(), http.MethodGet, "/products", "")
		var got struct {
			answer
			Web string
		}
		if err == nil {
			err = json.Unmarshal(raw, &got.answer)
		}
		got.Web = s.host
		var out bytes.Buffer
		if err == nil {
			err = page.Execute(&out, got)
		}
		if err != nil {
			http.Error(w, "the list of products can't be had: "+err.Error(), http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write(out.Bytes())
	})
	return mux
}

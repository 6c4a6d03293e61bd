package report

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"strings"

	"skiff/cli/report/page"
)

// shell is the page without what it shows; it holds placeholders for the title, the style and the script.
//
//go:embed report.html
var shell string

// script draws the report, with what page.Script defines; it holds a placeholder for the data.
//
//go:embed report.js
var script string

// mostPage is how long the page may be. Logs are cut for it, the same for all containers.
const mostPage = 1_900_000

// mostPlain is how long data may be that stands in the page as it is; more of it is compressed, of which logs
// shrink to a fraction.
const mostPlain = 1_000_000

// leastLog is how much of a log stays, however long the page may be.
const leastLog = 1 << 10

// page is the report as one page.
func (r *Report) page() ([]byte, error) {
	data, err := json.Marshal(r) // with <, > and & escaped, so that it cannot end the page's script
	if err != nil {
		return nil, err
	}
	if len(data) <= mostPlain {
		return r.assemble(string(data))
	}
	for most := mostLog; ; {
		packed, err := r.cut(most).pack()
		if err != nil {
			return nil, err
		}
		html, err := r.assemble(packed)
		if err != nil || len(html) <= mostPage || most <= leastLog {
			return html, err
		}
		// What is compressed shrinks less than what is cut.
		most = max(leastLog, int(float64(most)*0.8*mostPage/float64(len(html))))
	}
}

// assemble puts the page together around its data, an expression of JavaScript.
func (r *Report) assemble(data string) ([]byte, error) {
	var title bytes.Buffer
	if err := xml.EscapeText(&title, []byte(r.Title)); err != nil {
		return nil, err
	}
	code := page.Script + strings.Replace(script, "DATA", data, 1)
	return []byte(strings.NewReplacer("TITLE", title.String(), "STYLE", page.Style, "SCRIPT", code).Replace(shell)), nil
}

// pack is the report as a string of JavaScript: compressed JSON, in base64.
func (r *Report) pack() (string, error) {
	var out bytes.Buffer
	text := base64.NewEncoder(base64.StdEncoding, &out)
	packed := gzip.NewWriter(text)
	if err := json.NewEncoder(packed).Encode(r); err != nil {
		return "", err
	}
	if err := packed.Close(); err != nil {
		return "", err
	}
	if err := text.Close(); err != nil {
		return "", err
	}
	return "'" + out.String() + "'", nil
}

// cut is the report with no more than the last bytes of each log, from the beginning of a line on.
func (r *Report) cut(most int) *Report {
	out := *r
	out.Pods = nil
	for _, p := range r.Pods {
		pod := *p
		pod.Containers = nil
		for _, c := range p.Containers {
			container := *c
			if n := len(c.Log) - most; n > 0 {
				_, rest, whole := strings.Cut(c.Log[n-1:], "\n")
				if !whole {
					rest = strings.ToValidUTF8(c.Log[n:], "")
				}
				container.Log, container.Cut = rest, true
			}
			pod.Containers = append(pod.Containers, &container)
		}
		out.Pods = append(out.Pods, &pod)
	}
	return &out
}

// Package chromium drives a headless Chromium by the DevTools protocol, for tests of pages: it opens them,
// presses keys, asks what is there and takes pictures. No production code imports it.
package chromium

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/websocket"
)

// patience bounds every wait for the browser.
const patience = 30 * time.Second

// Page is a tab of a browser of its own.
type Page struct {
	testing.TB
	conn    *websocket.Conn
	session string
	last    int
	// Errors are the exceptions of the page's scripts, and what its policies have refused.
	Errors []string
}

// Open starts a browser with a fresh profile that ends with the test, which is skipped where there is none. The
// browser's sandbox needs rights that a container has not.
func Open(t testing.TB) *Page {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skipf("no browser (the package chromium has one): %v", err)
	}
	profile, err := os.MkdirTemp("", "chromium-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remove(t, profile) })
	cmd := exec.Command(path, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server", "--hide-scrollbars",
		"--remote-debugging-port=0", "--remote-allow-origins=*", "--user-data-dir="+profile, "about:blank")
	errs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	p := &Page{TB: t, conn: dial(t, errs)}
	t.Cleanup(func() { _ = p.conn.Close() })
	p.attach()
	return p
}

// remove removes a profile. The browser's helpers end a moment after it, and write until then.
func remove(t testing.TB, profile string) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 250 {
		if os.RemoveAll(profile) == nil {
			return
		}
		<-tick.C
	}
	t.Errorf("the browser's profile %s could not be removed", profile)
}

// dial connects to the address that the browser prints.
func dial(t testing.TB, printed io.Reader) *websocket.Conn {
	t.Helper()
	lines := bufio.NewScanner(printed)
	for lines.Scan() {
		_, url, found := strings.Cut(lines.Text(), "DevTools listening on ")
		if !found {
			continue
		}
		go func() { _, _ = io.Copy(io.Discard, printed) }() // until the browser ends
		conn, err := websocket.Dial(url, "", "http://localhost")
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	t.Fatal("the browser has ended before it could be driven")
	return nil
}

func (p *Page) attach() {
	p.Helper()
	var target struct{ TargetID string }
	p.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var session struct{ SessionID string }
	p.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &session)
	p.session = session.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log"} {
		p.call(domain+".enable", nil, nil)
	}
}

type message struct {
	ID     int
	Method string
	Params json.RawMessage
	Result json.RawMessage
	Error  *struct{ Message string }
}

// call runs a command of the protocol. What the page says meanwhile is kept in Errors.
func (p *Page) call(method string, params map[string]any, result any) {
	p.Helper()
	p.last++
	if params == nil {
		params = map[string]any{}
	}
	request := map[string]any{"id": p.last, "method": method, "params": params}
	if p.session != "" {
		request["sessionId"] = p.session
	}
	if err := p.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		p.Fatal(err)
	}
	if err := websocket.JSON.Send(p.conn, request); err != nil {
		p.Fatalf("%s: %v", method, err)
	}
	for {
		var m message
		if err := websocket.JSON.Receive(p.conn, &m); err != nil {
			p.Fatalf("%s: %v", method, err)
		}
		p.note(m)
		if m.ID != p.last {
			continue
		}
		if m.Error != nil {
			p.Fatalf("%s: %s", method, m.Error.Message)
		}
		if result != nil {
			if err := json.Unmarshal(m.Result, result); err != nil {
				p.Fatalf("%s: %v", method, err)
			}
		}
		return
	}
}

func (p *Page) note(m message) {
	switch m.Method {
	case "Runtime.exceptionThrown":
		p.Errors = append(p.Errors, string(m.Params))
	case "Log.entryAdded":
		var said struct {
			Entry struct{ Level, Text, URL string }
		}
		if err := json.Unmarshal(m.Params, &said); err == nil && said.Entry.Level == "error" {
			p.Errors = append(p.Errors, said.Entry.Text+" "+said.Entry.URL)
		}
	}
}

// Go leads to a URL.
func (p *Page) Go(url string) {
	p.Helper()
	var r struct{ ErrorText string }
	p.call("Page.navigate", map[string]any{"url": url}, &r)
	if r.ErrorText != "" {
		p.Fatalf("opening %s: %s", url, r.ErrorText)
	}
}

// Eval is the value of an expression, which may be a promise, as JSON has it.
func (p *Page) Eval(expression string) any {
	p.Helper()
	v, err := p.eval(expression)
	if err != nil {
		p.Fatalf("%s: %v", expression, err)
	}
	return v
}

func (p *Page) eval(expression string) (any, error) {
	p.Helper()
	var r struct {
		Result           struct{ Value any }
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	p.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &r)
	if e := r.ExceptionDetails; e != nil {
		return nil, errors.New(e.Text + " " + e.Exception.Description)
	}
	return r.Result.Value, nil
}

// Until waits until an expression is true. One that fails, as while the page is loaded, is not yet.
func (p *Page) Until(expression string) {
	p.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	end := time.After(patience)
	for {
		v, err := p.eval(expression)
		if v == true {
			return
		}
		select {
		case <-tick.C:
		case <-end:
			text, _ := p.eval("document.body.innerText.slice(0, 2000)")
			p.Fatalf("it never came to %s (%v, %v); the page says:\n%v\nerrors: %v", expression, v, err, text, p.Errors)
		}
	}
}

// keys are those that have no character.
var keys = map[string]int{"Enter": 13, "Escape": 27, "Tab": 9, "ArrowDown": 40, "ArrowUp": 38, "ArrowRight": 39, "ArrowLeft": 37, "Home": 36, "End": 35, "Backspace": 8}

// Press presses keys one after the other: names as in KeyboardEvent.key, or characters.
func (p *Page) Press(names ...string) {
	p.Helper()
	for _, name := range names {
		down := map[string]any{"type": "keyDown", "key": name}
		if code, named := keys[name]; named {
			down["windowsVirtualKeyCode"], down["code"] = code, name
		} else {
			down["text"] = name
		}
		if name == "Enter" {
			down["text"] = "\r"
		}
		p.call("Input.dispatchKeyEvent", down, nil)
		p.call("Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": name, "windowsVirtualKeyCode": keys[name]}, nil)
	}
}

// Type types a text.
func (p *Page) Type(text string) {
	p.Helper()
	p.Press(strings.Split(text, "")...)
}

// Look sets how wide and high the page is in CSS pixels, and whether the desktop is dark.
func (p *Page) Look(width, height int, dark bool) {
	p.Helper()
	p.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}, nil)
	scheme := map[bool]string{true: "dark", false: "light"}[dark]
	p.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// Photograph keeps a picture of what is to be seen among the test's artifacts (go test -artifacts).
func (p *Page) Photograph(dir, name string) {
	p.Helper()
	var shot struct{ Data string }
	p.call("Page.captureScreenshot", map[string]any{"format": "png"}, &shot)
	raw, err := base64.StdEncoding.DecodeString(shot.Data)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name), raw, 0o644)
	}
	if err != nil {
		p.Fatalf("keeping %s: %v", name, err)
	}
}

// Overflows reports what is wider than the page, which then scrolls to the side: "" for nothing.
func (p *Page) Overflows() string {
	p.Helper()
	return fmt.Sprint(p.Eval(`(() => {
		const wide = document.documentElement.clientWidth;
		if (document.documentElement.scrollWidth <= wide) return '';
		return [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > wide + 1).slice(0, 5)
			.map(e => e.tagName + '.' + e.className + ' ' + e.textContent.slice(0, 40)).join('; ') || 'something';
	})()`))
}

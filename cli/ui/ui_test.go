package ui

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"k8s.io/utils/clock"

	"skiff/cli/client"
	"skiff/cli/clitest"
	"skiff/cli/report"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// served is a page that is served, and the cluster that it is about.
type served struct {
	*testing.T
	world *clitest.Server
	s     *server
	http  *http.Client
}

func start(t *testing.T, namespace string) *served {
	t.Helper()
	world := clitest.New(t, clock.RealClock{})
	c, err := client.New(client.Options{Server: world.URL, Namespace: namespace, NamespaceGiven: namespace != "", Clock: clock.RealClock{}})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(listener.Addr().String(), c, report.NewLive(c, clock.RealClock{}, namespace), clock.RealClock{}, "default")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, s, listener, func(context.Context) {}) }()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	h := &http.Client{Jar: jar, Transport: &http.Transport{}}
	t.Cleanup(func() {
		stop()
		h.CloseIdleConnections()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return &served{t, world, s, h}
}

// ask sends a request; change may make another one of it.
func (w *served) ask(method, path, body string, change func(*http.Request)) (int, string) {
	w.Helper()
	r, err := http.NewRequestWithContext(w.Context(), method, "http://"+w.s.address+path, strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	if change != nil {
		change(r)
	}
	answer, err := w.http.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		w.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// enter exchanges the key.
func (w *served) enter() {
	w.Helper()
	if code, text := w.ask("GET", "/?key="+w.s.session.key, "", nil); code != 200 || !strings.Contains(text, `url=/"`) {
		w.Fatalf("the key does not open: %d %s", code, text)
	}
}

// TestKey: the key opens the page once and to nobody else; without it there is nothing to see or to do.
func TestKey(t *testing.T) {
	w := start(t, "default")
	for _, path := range []string{"/", "/changes", "/log?pod=x", "/?key=", "/?key=wrong", "/favicon.ico"} {
		if code, text := w.ask("GET", path, "", nil); code != 403 || strings.Contains(text, w.s.session.token) {
			t.Errorf("%s without the key: %d %s", path, code, text)
		}
	}
	if code, _ := w.ask("POST", "/do", `{}`, nil); code != 403 {
		t.Errorf("an order without the key: %d", code)
	}
	url := "/?key=" + w.s.session.key
	w.enter()
	code, text := w.ask("GET", "/", "", nil)
	if code != 200 || !strings.Contains(text, w.s.session.token) || strings.Contains(text, "<script>") {
		t.Errorf("the page: %d %s", code, text)
	}
	w.http.Jar = nil
	if code, text := w.ask("GET", url, "", func(r *http.Request) { r.Header.Set("Accept", "text/html") }); code != 403 || !strings.Contains(text, "This address has been used") {
		t.Errorf("the key a second time: %d %s", code, text)
	}
}

func TestCookieAndHeaders(t *testing.T) {
	w := start(t, "default")
	answer, err := w.http.Get(w.s.URL())
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	cookie := answer.Header.Get("Set-Cookie")
	for _, part := range []string{"HttpOnly", "SameSite=Strict", "Path=/"} {
		if !strings.Contains(cookie, part) {
			t.Errorf("the cookie lacks %s: %s", part, cookie)
		}
	}
	if p := answer.Header.Get("Content-Security-Policy"); !strings.HasPrefix(p, "default-src 'none'; script-src 'self';") || strings.Contains(p, "unsafe") {
		t.Errorf("the policy is %s", p)
	}
	if host, _, _ := net.SplitHostPort(w.s.address); host != "127.0.0.1" {
		t.Errorf("it listens at %s", w.s.address)
	}
}

// TestStrangers: other names than this machine's, and orders of other pages, are refused.
func TestStrangers(t *testing.T) {
	w := start(t, "default")
	if code, _ := w.ask("GET", "/?key="+w.s.session.key, "", func(r *http.Request) { r.Host = "evil.example:80" }); code != http.StatusMisdirectedRequest {
		t.Errorf("under another name: %d", code)
	}
	w.enter()
	w.world.Put(deployment("web", 2, 2))
	order := `{"verb":"scale","kind":"Deployment","namespace":"default","name":"web","replicas":3}`
	for name, change := range map[string]func(*http.Request){
		"no token":      func(r *http.Request) {},
		"another token": func(r *http.Request) { r.Header.Set(tokenHeader, "x") },
		"another origin": func(r *http.Request) {
			w.own(r)
			r.Header.Del("Sec-Fetch-Site")
			r.Header.Set("Origin", "http://evil.example")
		},
		"another site":    func(r *http.Request) { w.own(r); r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"another port":    func(r *http.Request) { w.own(r); r.Header.Set("Sec-Fetch-Site", "same-site") },
		"another machine": func(r *http.Request) { w.own(r); r.Host = "evil.example" },
	} {
		if code, text := w.ask("POST", "/do", order, change); code != 403 && code != http.StatusMisdirectedRequest {
			t.Errorf("%s: %d %s", name, code, text)
		}
	}
	if code, _ := w.ask("GET", "/do", "", w.own); code != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", code)
	}
	if calls := w.world.Calls(); len(calls) > 0 {
		t.Errorf("something was done: %v", calls)
	}
}

// own makes a request one of the page's.
func (w *served) own(r *http.Request) {
	r.Header.Set(tokenHeader, w.s.session.token)
	r.Header.Set("Origin", "http://"+w.s.address)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
}

func TestOrders(t *testing.T) {
	w := start(t, "default")
	w.enter()
	uid := w.world.Put(deployment("web", 2, 2)).GetUID()
	w.world.Put(deployment("api", 1, 1))
	for _, test := range []struct {
		order, want string
		code        int
	}{
		{`{"verb":"scale","kind":"Deployment","namespace":"default","name":"web","replicas":5}`, "deployment.apps/web scaled to 5", 200},
		{`{"verb":"restart","kind":"Deployment","namespace":"default","name":"web"}`, "deployment.apps/web restarted", 200},
		{`{"verb":"delete","kind":"Deployment","namespace":"default","name":"web","uid":"` + string(uid) + `"}`, "deployment.apps/web deleted", 200},
		{`{"verb":"scale","kind":"Deployment","namespace":"default","name":"web","replicas":5}`, "Error from server (NotFound): deployments.apps \"web\" not found\n", 502},
		{`{"verb":"scale","kind":"Deployment","namespace":"default","name":"api"}`, "error: the number of replicas must be 0 or more\n", 502},
		{`{"verb":"scale","kind":"Deployment","namespace":"default","name":"api","replicas":-1}`, "error: the number of replicas must be 0 or more\n", 502},
		{`{"verb":"restart","kind":"Job","namespace":"default","name":"api"}`, "\"restart\" is nothing that can be done to a \"Job\"\n", 400},
		{`{"verb":"delete","kind":"Node","namespace":"default","name":"vm"}`, "\"delete\" is nothing that can be done to a \"Node\"\n", 400},
		{`{"verb":"delete","kind":"Pod","namespace":"default","name":""}`, "the order to delete a Pod names none\n", 400},
		{`{"verb":"delete","force":true}`, "reading the order: json: unknown field \"force\"\n", 400},
	} {
		if code, text := w.ask("POST", "/do", test.order, w.own); code != test.code || text != test.want {
			t.Errorf("%s: %d %q, want %d %q", test.order, code, text, test.code, test.want)
		}
	}
	calls := w.world.Calls()
	if len(calls) < 3 || !strings.Contains(calls[0], `deployments/web/scale {"spec":{"replicas":5}}`) || !strings.Contains(calls[1], "kubectl.kubernetes.io/restartedAt") ||
		!strings.Contains(calls[2], `"preconditions":{"uid":"`+string(uid)+`"}`) || !strings.Contains(calls[2], `"propagationPolicy":"Background"`) {
		t.Errorf("the server was asked for\n%s", strings.Join(calls, "\n"))
	}
}

// told is a message of the stream.
type told struct {
	Whole     bool
	Loading   bool
	Troubles  []string
	Workloads []report.Workload
	Pods      []report.Pod
	Events    []report.Event
}

// listen opens the stream, and returns a function that reads one message.
func (w *served) listen() func() told {
	w.Helper()
	r, err := http.NewRequestWithContext(w.Context(), "GET", "http://"+w.s.address+"/changes", nil)
	if err != nil {
		w.Fatal(err)
	}
	answer, err := w.http.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { answer.Body.Close() })
	lines := bufio.NewReader(answer.Body)
	return func() (out told) {
		w.Helper()
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				w.Fatal(err)
			}
			if data, found := strings.CutPrefix(line, "data: "); found {
				if err := json.Unmarshal([]byte(data), &out); err != nil {
					w.Fatal(err)
				}
				return out
			}
		}
	}
}

// TestChanges: all there is comes first, then what changes and nothing else, several changes in one message.
func TestChanges(t *testing.T) {
	w := start(t, "default")
	w.world.Put(deployment("web", 1, 1))
	w.world.Put(deployment("api", 1, 1))
	w.enter()
	next := w.listen()
	seen := map[string]string{}
	for len(seen) < 2 {
		for _, d := range next().Workloads {
			seen[d.Name] = d.State
		}
	}
	began := time.Now()
	for i := range 50 {
		w.world.Change("Deployment", "web", func(o map[string]any) { o["status"] = map[string]any{"readyReplicas": int64(i), "replicas": int64(i)} })
	}
	messages := 0
	for seen["web"] != "49/1 ready" {
		m := next()
		messages++
		if m.Whole {
			t.Error("everything comes again")
		}
		for _, d := range m.Workloads {
			if seen[d.Name] = d.State; d.Name == "api" {
				t.Error("what has not changed comes again")
			}
		}
	}
	if most := int(time.Since(began)/pace) + 2; messages > most {
		t.Errorf("%d messages in %s", messages, time.Since(began))
	}
}

// TestSlowBrowser: one that does not read holds up nobody, and its messages do not pile up.
func TestSlowBrowser(t *testing.T) {
	w := start(t, "default")
	w.enter()
	w.listen() // and never reads
	next := w.listen()
	for i := range 20 {
		w.world.Put(deployment(fmt.Sprint("web-", i), 1, 1))
	}
	seen := map[string]bool{}
	for len(seen) < 20 {
		for _, d := range next().Workloads {
			seen[d.Name] = true
		}
	}
}

func TestTroubles(t *testing.T) {
	w := start(t, "default")
	w.world.Hidden = []string{"jobs"}
	w.enter()
	next := w.listen()
	for {
		if m := next(); len(m.Troubles) == 1 {
			if !strings.HasPrefix(m.Troubles[0], "jobs: ") || !strings.Contains(m.Troubles[0], "forbidden") {
				t.Errorf("%q", m.Troubles)
			}
			return
		}
	}
}

func TestLog(t *testing.T) {
	w := start(t, "default")
	w.world.Logs["web-1/web"] = "one\ntwo\n"
	w.enter()
	if code, text := w.ask("GET", "/log?namespace=default&pod=web-1&container=web", "", nil); code != 200 || text != "one\ntwo\n" {
		t.Errorf("%d %q", code, text)
	}
	w.world.Waiting = map[string]int{"web-1/web": 1}
	if code, text := w.ask("GET", "/log?namespace=default&pod=web-1&container=web", "", nil); code != 502 || !strings.Contains(text, "is waiting to start") {
		t.Errorf("%d %q", code, text)
	}
}

func deployment(name string, replicas, ready int64) map[string]any {
	return map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": name, "uid": "uid-" + name},
		"spec": map[string]any{"replicas": replicas, "selector": map[string]any{"matchLabels": map[string]any{"app": name}},
			"template": map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"name": "web", "image": "shop-web:1"}}}}},
		"status": map[string]any{"replicas": replicas, "readyReplicas": ready, "updatedReplicas": replicas}}
}

package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

func serving(t *testing.T, h http.Handler) client {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return client{s.URL}
}

func open(t *testing.T, dir string) client {
	s, err := openStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	return serving(t, s.handler())
}

// TestShop: the api is not ready before the migration; after it the page shows what the store holds,
// and so does a store that has been opened again.
func TestShop(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	store := open(t, dir)
	list := serving(t, api{"api-1", store}.handler())
	front := serving(t, web{"web-1", list}.handler())
	if _, err := list.do(ctx, http.MethodGet, "/readyz", ""); err == nil || !strings.Contains(err.Error(), "no such key") {
		t.Errorf("before the migration: %v", err)
	}
	for range 2 {
		var out bytes.Buffer
		if err := migrate(ctx, &out, store); err != nil || out.String() != "stored 4 products\n" {
			t.Fatalf("migrate: %q, %v", out.String(), err)
		}
	}
	if _, err := list.do(ctx, http.MethodGet, "/readyz", ""); err != nil {
		t.Errorf("after the migration: %v", err)
	}
	got, err := front.do(ctx, http.MethodGet, "/", "")
	if err != nil || !strings.Contains(string(got), "<li>Socks, a pair that stays one: € 7.90</li>") || !strings.Contains(string(got), "by web-1, its list by api-1.") {
		t.Errorf("page: %v\n%s", err, got)
	}
	again := serving(t, api{"api-2", open(t, dir)}.handler())
	if got, err := again.do(ctx, http.MethodGet, "/products", ""); err != nil || !strings.Contains(string(got), `"servedBy":"api-2"`) || strings.Count(string(got), `"id"`) != 4 {
		t.Errorf("after a restart: %v\n%s", err, got)
	}
}

func TestStoreRefuses(t *testing.T) {
	dir := t.TempDir()
	store := open(t, dir)
	for _, c := range []struct{ method, path, body, want string }{
		{http.MethodPut, "/keys/.hidden", "x", "400"},
		{http.MethodPut, "/keys/a%2fb", "x", "400"},
		{http.MethodGet, "/keys/%2e%2e%2fa", "", "404"},
		{http.MethodGet, "/keys/none", "", "404"},
		{http.MethodPut, "/keys/big", strings.Repeat("x", longest+1), "413"},
	} {
		if _, err := store.do(t.Context(), c.method, c.path, c.body); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: %v, want %s", c.method, c.path, err, c.want)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("in the store: %v, %v", left, err)
	}
}

// TestWithoutTheApi: a page that can't be made is a bad answer, and says why.
func TestWithoutTheApi(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	front := serving(t, web{"web-1", client{gone.URL}}.handler())
	if _, err := front.do(t.Context(), http.MethodGet, "/", ""); err == nil || !strings.Contains(err.Error(), "502") || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v", err)
	}
	if _, err := front.do(t.Context(), http.MethodGet, "/healthz", ""); err != nil {
		t.Error(err)
	}
}

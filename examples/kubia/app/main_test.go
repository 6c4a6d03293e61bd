package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestKubiaFallsSickAfterItsLimit(t *testing.T) {
	var log strings.Builder
	h := handler(&log, "kubia-abcde", 5)
	for i := 1; i <= 7; i++ {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		want, text := http.StatusOK, "You've hit kubia-abcde\n"
		if i > 5 {
			want, text = http.StatusInternalServerError, "I'm not well. Please restart me!"
		}
		if w.Code != want || w.Body.String() != text {
			t.Errorf("request %d: %d %q, want %d %q", i, w.Code, w.Body, want, text)
		}
	}
	if got := strings.Count(log.String(), "Received request from 192.0.2.1\n"); got != 7 {
		t.Errorf("logged %d requests, want 7:\n%s", got, &log)
	}
}

func TestKubiaStaysWellWithoutALimit(t *testing.T) {
	h := handler(&strings.Builder{}, "h", 0)
	for range 50 {
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil)); w.Code != http.StatusOK {
			t.Fatalf("got %d", w.Code)
		}
	}
}

func TestBatchSaysWhenItStartsAndEnds(t *testing.T) {
	var out strings.Builder
	if err := runBatch(&out, time.Millisecond); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 || !strings.HasSuffix(lines[0], "Batch job starting") || !strings.HasSuffix(lines[1], "Finished succesfully") {
		t.Errorf("printed %q", lines)
	}
}

func TestDiary(t *testing.T) {
	path := filepath.Join(t.TempDir(), "diary")
	var out bytes.Buffer
	for range 2 {
		if err := writeDown(&out, path); err != nil {
			t.Fatal(err)
		}
	}
	host, _ := os.Hostname()
	if got, want := out.String(), "start 1 of "+host+"\nstart 2 of "+host+"\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

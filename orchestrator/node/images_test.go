package node

import (
	"testing"
)

func TestWithTag(t *testing.T) {
	for in, want := range map[string]string{
		"kubia": "kubia:latest", "kubia:v1": "kubia:v1", "localhost:5000/kubia": "localhost:5000/kubia:latest",
		"localhost:5000/kubia:v1": "localhost:5000/kubia:v1", "kubia@sha256:00": "kubia@sha256:00",
	} {
		if got := withTag(in); got != want {
			t.Errorf("withTag(%s) = %s, want %s", in, got, want)
		}
	}
}

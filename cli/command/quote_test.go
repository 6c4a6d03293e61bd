package command

import "testing"

func TestQuoted(t *testing.T) {
	for word, want := range map[string]string{"k8s/app.yaml": "k8s/app.yaml", "": "''", "/a/b-c.d": "/a/b-c.d", "/a b": "'/a b'", "a b": "'a b'", "it's": `'it'\''s'`, "$HOME": "'$HOME'"} {
		if got := Quoted(word); got != want {
			t.Errorf("%q: %s, want %s", word, got, want)
		}
	}
}

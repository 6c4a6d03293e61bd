package daemon

import (
	"path/filepath"
	"testing"
)

func TestMemoryDir(t *testing.T) {
	root := t.TempDir()
	for _, test := range []struct{ name, root, engine, want string }{
		{"the engine of this machine", root, "unix:///var/run/docker.sock", filepath.Join(root, "skiff-abc")},
		{"a rootless one", root, "unix:///run/user/1000/docker.sock", filepath.Join(root, "skiff-abc")},
		{"one in a virtual machine", root, "unix:///home/me/.docker/desktop/docker.sock", ""},
		{"one on another machine", root, "tcp://192.0.2.1:2376", ""},
		{"no tmpfs", filepath.Join(root, "none"), "unix:///var/run/docker.sock", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := memoryDir(test.root, "abc", test.engine); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

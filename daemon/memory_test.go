package daemon

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// trap is a tmpfs in which the instance's directory has been made by somebody else.
func trap(t *testing.T, set func(dir string) error) string {
	root := t.TempDir()
	if err := set(memoryPath(root, "abc")); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestMemoryDir(t *testing.T) {
	root := t.TempDir()
	for _, test := range []struct{ name, root, engine, want string }{
		{"the engine of this machine", root, "unix:///var/run/docker.sock", filepath.Join(root, "skiff-abc")},
		{"a rootless one", root, "unix:///run/user/1000/docker.sock", filepath.Join(root, "skiff-abc")},
		{"one in a virtual machine", root, "unix:///home/me/.docker/desktop/docker.sock", ""},
		{"one on another machine", root, "tcp://192.0.2.1:2376", ""},
		{"somebody else's link", trap(t, func(dir string) error { return os.Symlink(t.TempDir(), dir) }), "unix:///var/run/docker.sock", ""},
		{"open to others", trap(t, func(dir string) error { return errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o777)) }), "unix:///var/run/docker.sock", ""},
		{"no tmpfs", filepath.Join(root, "none"), "unix:///var/run/docker.sock", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := memoryDir(test.root, "abc", test.engine); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

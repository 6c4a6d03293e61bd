package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// kitchen is where images are made: a workplace on disk, the programs built so far, and what is
// needed of this machine.
type kitchen struct {
	*suite
	dir       string
	webserver string // sources of the stand-in for httpd and nginx
	tags      map[string]string
}

// recipe makes the image of one entry of upstream's list (test/utils/image/manifest.go).
type recipe struct {
	id, name string
	make     func(ctx context.Context, k *kitchen, image string) error
}

const (
	registry = "registry.k8s.io/"
	e2e      = registry + "e2e-test-images/"
)

// recipes are all images that the conformance specs name, each after what it is made from.
func recipes() []recipe {
	return []recipe{
		{"BusyBox", e2e + "busybox", makeBusybox},
		{"Pause", registry + "pause", makePause},
		{"Agnhost", e2e + "agnhost", makeAgnhost},
		{"JessieDnsutils", e2e + "jessie-dnsutils", onAgnhost("LABEL stand-in=jessie-dnsutils")},
		{"Nautilus", e2e + "nautilus", onAgnhost("COPY nautilus.jpg data.json /", `CMD ["test-webserver"]`)},
		{"Kitten", e2e + "kitten", onAgnhost("COPY kitten.jpg data.json /", `CMD ["test-webserver"]`)},
		{"Httpd", e2e + "httpd", makeHTTPD},
		{"HttpdNew", e2e + "httpd", makeHTTPD},
		{"Nginx", e2e + "nginx", makeNginx},
		{"NginxNew", e2e + "nginx", makeNginx},
		{"Nonewprivs", e2e + "nonewprivs", makeNoNewPrivs},
		{"NonRoot", e2e + "nonroot", makeNonRoot},
	}
}

// makeImages makes the images that the engine lacks and returns their names, which are to be
// removed in the end. It returns what it has made also when it fails.
func makeImages(ctx context.Context, s *suite, webserver string) (made []string, err error) {
	k := &kitchen{suite: s, webserver: webserver}
	if k.tags, err = imageTags(s.sources); err != nil {
		return nil, err
	}
	var missing []recipe
	for _, r := range recipes() {
		if k.tags[r.id] == "" {
			return nil, fmt.Errorf("upstream's list of images has no %s", r.id)
		}
		if exec.CommandContext(ctx, "docker", "image", "inspect", k.image(r)).Run() != nil {
			missing = append(missing, r)
		}
	}
	if len(missing) == 0 {
		say("the images are on the engine")
		return nil, nil
	}
	if err := checkTools(); err != nil {
		return nil, err
	}
	if k.dir, err = os.MkdirTemp(s.cache, "images-"); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(k.dir)) }()
	for _, r := range missing {
		say("making %s", k.image(r))
		if err := r.make(ctx, k, k.image(r)); err != nil {
			return made, fmt.Errorf("making the image %s: %w", k.image(r), err)
		}
		made = append(made, k.image(r))
	}
	return made, nil
}

func (k *kitchen) image(r recipe) string { return r.name + ":" + k.tags[r.id] }

// removeImages takes images away again, those made of others first.
func removeImages(ctx context.Context, names []string) error {
	slices.Reverse(names)
	for _, name := range names {
		if _, err := output(exec.CommandContext(ctx, "docker", "image", "rm", name)); err != nil {
			return err
		}
	}
	return nil
}

var imageEntry = regexp.MustCompile(`configs\[(\w+)\] = Config\{list\.\w+, "[^"]+", "([^"]+)"\}`)

// imageTags reads the tags that this version of the suite asks for.
func imageTags(sources string) (map[string]string, error) {
	raw, err := os.ReadFile(filepath.Join(sources, "test", "utils", "image", "manifest.go"))
	if err != nil {
		return nil, err
	}
	tags := map[string]string{}
	for _, m := range imageEntry.FindAllStringSubmatch(string(raw), -1) {
		tags[m[1]] = m[2]
	}
	return tags, nil
}

const searchPath = "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// load gives the engine a file system as an image.
func load(ctx context.Context, r rootFS, image string, changes ...string) error {
	args := []string{"import"}
	for _, c := range changes {
		args = append(args, "--change", c)
	}
	return feed(exec.CommandContext(ctx, "docker", append(args, "-", image)...), r)
}

// feed runs a command with a file system as a tar archive on its input.
func feed(cmd *exec.Cmd, r rootFS) error {
	in, out := io.Pipe()
	cmd.Stdin = in
	go func() { out.CloseWithError(r.write(out)) }() // ends with the command: closing in fails the next write
	defer in.Close()                                 //nolint:errcheck // closing a pipe does not fail
	_, err := output(cmd)
	return err
}

// goProgram builds a program of upstream's, keeps it in the cache and returns its file.
func (k *kitchen) goProgram(ctx context.Context, pkg string) (string, error) {
	file := k.bin(filepath.Base(pkg) + "-" + k.version)
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	if _, err := os.Stat(filepath.Join(k.module(), "go.sum")); err != nil {
		if err := k.prepareModule(ctx); err != nil {
			return "", err
		}
	}
	return file, k.goTool(ctx, "build", "-ldflags", "-s -w", "-o", file, pkg)
}

// tools are the programs that images are made of and with, and the Debian packages that hold them.
var tools = map[string]string{
	"busybox": "busybox-static", "getent": "libc-bin", "bash": "bash", "dig": "bind9-dnsutils", "nc": "netcat-openbsd", "ip": "iproute2", "ss": "iproute2",
	"iperf": "iperf", "curl": "curl", "gcc": "gcc libc6-dev", "ldd": "libc-bin", "docker": "docker-cli",
}

// checkTools says which Debian packages are missing.
func checkTools() error {
	var missing []string
	for tool, pkg := range tools {
		if _, err := exec.LookPath(tool); err != nil && !slices.Contains(missing, pkg) {
			missing = append(missing, pkg)
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return fmt.Errorf("programs to make images of are missing; run: apt-get install -y %s", strings.Join(missing, " "))
	}
	return nil
}

package main

import (
	"context"
	"fmt"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// busyboxRoot is a file system of busybox alone, plain or, as the specs need it, with bash for a
// shell: Debian's busybox drops environment variables whose names are no names of shell variables,
// and prefers its own applets to programs of the same name.
func (k *kitchen) busyboxRoot(ctx context.Context, bash bool) (rootFS, error) {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return nil, err
	}
	applets, err := output(exec.CommandContext(ctx, busybox, "--list"))
	if err != nil {
		return nil, err
	}
	r := rootFS{}
	r.dir(0o755, "etc", "root", "home", "var/run", "var/log", "dev", "proc", "sys", "lib", "usr/bin", "usr/sbin", "usr/local/bin")
	r.dir(0o1777, "tmp")
	for _, a := range strings.Fields(applets) {
		r.link("bin/"+a, "/bin/busybox")
	}
	r.file("bin/busybox", busybox, 0o755)
	r.text("etc/passwd", "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\nnobody:x:65534:65534:nobody:/home:/bin/false\n")
	r.text("etc/group", "root:x:0:\ndaemon:x:1:\ntty:x:5:\nnogroup:x:65534:\n")
	r.text("etc/nsswitch.conf", "hosts: files dns\n")
	if bash {
		if err := r.program(ctx, "/usr/bin/bash"); err != nil {
			return nil, err
		}
		r.link("bin/sh", "/usr/bin/bash")
		r.link("bin/bash", "/usr/bin/bash")
	}
	return r, nil
}

func makeBusybox(ctx context.Context, k *kitchen, image string) error {
	r, err := k.busyboxRoot(ctx, true)
	if err != nil {
		return err
	}
	return load(ctx, r, image, searchPath, `CMD ["sh"]`)
}

func makeNonRoot(ctx context.Context, k *kitchen, image string) error {
	r, err := k.busyboxRoot(ctx, false)
	if err != nil {
		return err
	}
	return load(ctx, r, image, searchPath, "USER 1234", `CMD ["sh"]`)
}

func makePause(ctx context.Context, k *kitchen, image string) error {
	program := filepath.Join(k.dir, "pause")
	source := filepath.Join(k.sources, "build", "pause", "linux", "pause.c")
	if _, err := output(exec.CommandContext(ctx, "gcc", "-Os", "-static", "-s", "-DVERSION=v"+k.tags["Pause"], "-o", program, source)); err != nil {
		return err
	}
	r := rootFS{}
	r.file("pause", program, 0o755)
	return load(ctx, r, image, "USER 65535:65535", `ENTRYPOINT ["/pause"]`)
}

// makeAgnhost makes the image most specs use: one program that plays many parts, and the tools that
// specs call beside it.
func makeAgnhost(ctx context.Context, k *kitchen, image string) error {
	r, err := k.busyboxRoot(ctx, true)
	if err != nil {
		return err
	}
	for _, tool := range []string{"dig", "curl", "ss", "iperf", "nc", "ip", "getent"} {
		file, err := exec.LookPath(tool)
		if err != nil {
			return err
		}
		if err := r.program(ctx, file); err != nil {
			return err
		}
	}
	agnhost, err := k.goProgram(ctx, kubernetes+"/test/images/agnhost")
	if err != nil {
		return err
	}
	r.file("agnhost", agnhost, 0o755)
	r.link("agnhost-2", "agnhost")
	for _, f := range []string{"localhost.crt", "localhost.key"} {
		r.file(f, filepath.Join(k.sources, "test", "images", "agnhost", "porter", f), 0o644)
	}
	r.dir(0o755, "uploads", "home/user-defined-in-image", "etc/ssl/certs")
	r.text("etc/passwd", r["etc/passwd"].data+"user-defined-in-image:x:1000:1000::/home/user-defined-in-image:/bin/sh\n")
	r.text("etc/group", r["etc/group"].data+"user-defined-in-image:x:1000:\ngroup-defined-in-image:x:50000:user-defined-in-image\n")
	return load(ctx, r, image, searchPath, `ENTRYPOINT ["/agnhost"]`, `CMD ["pause"]`, "EXPOSE 80 8080 8081 9376 5000")
}

// onAgnhost makes an image that shares agnhost's layer. Its folder of upstream's, if there is one,
// is the build's context.
func onAgnhost(lines ...string) func(context.Context, *kitchen, string) error {
	return func(ctx context.Context, k *kitchen, image string) error {
		r := rootFS{}
		r.text("Dockerfile", fmt.Sprintf("FROM %sagnhost:%s\n%s\n", e2e, k.tags["Agnhost"], strings.Join(lines, "\n")))
		name, _, _ := strings.Cut(path.Base(image), ":")
		files, err := filepath.Glob(filepath.Join(k.sources, "test", "images", name, "html", "*"))
		if err != nil {
			return err
		}
		for _, f := range files {
			r.file(filepath.Base(f), f, 0o644)
		}
		cmd := exec.CommandContext(ctx, "docker", "build", "-q", "-t", image, "-")
		cmd.Env = append(cmd.Environ(), "DOCKER_BUILDKIT=0") // the builder every engine has
		return feed(cmd, r)
	}
}

// webRoot is a file system with the web server that stands in for httpd and nginx.
func (k *kitchen) webRoot(ctx context.Context) (rootFS, error) {
	r, err := k.busyboxRoot(ctx, false)
	if err != nil {
		return nil, err
	}
	server := filepath.Join(k.dir, "webserver")
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags", "-s -w", "-o", server, ".")
	cmd.Dir = k.webserver
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
	if _, err := output(cmd); err != nil {
		return nil, err
	}
	r.file("usr/local/bin/webserver", server, 0o755)
	return r, nil
}

func makeHTTPD(ctx context.Context, k *kitchen, image string) error {
	r, err := k.webRoot(ctx)
	if err != nil {
		return err
	}
	r.text("usr/local/apache2/htdocs/index.html", "<html><body><h1>It works!</h1></body></html>\n")
	r.link("usr/local/bin/httpd-foreground", "webserver")
	return load(ctx, r, image, searchPath, `CMD ["webserver"]`, "WORKDIR /usr/local/apache2", "EXPOSE 80")
}

func makeNginx(ctx context.Context, k *kitchen, image string) error {
	r, err := k.webRoot(ctx)
	if err != nil {
		return err
	}
	r.text("usr/share/nginx/html/index.html", "<html><head><title>Welcome to nginx!</title></head><body><h1>Welcome to nginx!</h1></body></html>\n")
	return load(ctx, r, image, searchPath, `CMD ["webserver","-root","/usr/share/nginx/html","-server","nginx/1.14"]`, "EXPOSE 80")
}

// makeNoNewPrivs makes an image with a program that runs as its owner, whoever calls it.
func makeNoNewPrivs(ctx context.Context, k *kitchen, image string) error {
	r, err := k.busyboxRoot(ctx, false)
	if err != nil {
		return err
	}
	program, err := k.goProgram(ctx, kubernetes+"/test/images/nonewprivs")
	if err != nil {
		return err
	}
	r.file("usr/local/bin/nnp", program, 0o6755)
	return load(ctx, r, image, searchPath, `CMD ["nnp"]`)
}

package integration

import (
	"bytes"
	"context"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"skiff/examples/kubia/images"
	shop "skiff/examples/shop/images"
	"skiff/integration/harness"
)

// browser is a headless Chromium, which looks names below localhost up as every browser does.
type browser struct {
	*testing.T
	path string
}

// findBrowser skips the test where there is none.
func findBrowser(t *testing.T) browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skipf("no browser (the package chromium has one): %v", err)
	}
	return browser{t, path}
}

// run opens a page with a fresh profile. The sandbox needs rights that a container has not.
func (b browser) run(url string, args ...string) string {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 2*time.Minute)
	defer cancel()
	args = append(args, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server", "--hide-scrollbars",
		"--user-data-dir="+b.TempDir(), url)
	cmd := exec.CommandContext(ctx, b.path, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		b.Fatalf("the browser at %s: %v\n%s", url, err, errs.String())
	}
	return out.String()
}

// dom is the page as the browser has understood it.
func (b browser) dom(url string) string { b.Helper(); return b.run(url, "--dump-dom") }

// photograph keeps a picture of the page among the test's artifacts (go test -artifacts) and checks that there is
// something on it.
func (b browser) photograph(url, name string) {
	b.Helper()
	path := filepath.Join(b.ArtifactDir(), name)
	b.run(url, "--window-size=900,600", "--screenshot="+path)
	raw, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	picture, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		b.Fatalf("%s: %v", path, err)
	}
	colors := map[color.Color]bool{}
	for y := range picture.Bounds().Dy() {
		for x := range picture.Bounds().Dx() {
			colors[picture.At(x, y)] = true
		}
	}
	if len(colors) < 10 {
		b.Errorf("%s: the page is empty: %d colors", path, len(colors))
	}
}

// TestShopInABrowser brings the example of three tiers, a Job and an Ingress up with one command and looks at it
// as people do; and at the page that says what there is, where they have mistyped its name.
func TestShopInABrowser(t *testing.T) {
	t.Parallel()
	b := findBrowser(t)
	engine := harness.Engine(t)
	missing := shopImages(t)
	if err := shop.Program.Build(t.Context(), engine, shop.Shop); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := images.Remove(context.WithoutCancel(t.Context()), engine, missing); err != nil {
			t.Error(err)
		}
	})
	d := harness.Start(t)
	p := peers{T: t, d: d, cli: d.SkiffCLI()}
	p.cli.Do("up", "-d", "-f", filepath.Join(harness.Root(), "examples", "shop", "manifests"))
	url := strings.TrimSpace(p.cli.Do("open", "--print", "ingress/shop"))
	door := p.theDoor()
	harness.Until(t, soon, "the shop is open", func() bool { return strings.HasPrefix(door.get(url, nil), "200 ") })

	page := b.dom(url)
	if !regexp.MustCompile(`(?s)<h1>Shop</h1>.*<li>.+: € \d+\.\d\d</li>.*This page is by web-.+, its list by api-`).MatchString(page) {
		t.Errorf("the shop's page is\n%s", page)
	}
	b.photograph(url, "shop.png")

	wrong := strings.Replace(url, "shop.localhost", "shpo.localhost", 1)
	list := b.dom(wrong)
	for _, address := range []string{url, strings.Replace(url, "shop.localhost", "web.localhost", 1)} {
		if !strings.Contains(list, `href="`+address) {
			t.Errorf("the page of what there is lacks %s:\n%s", address, list)
		}
	}
	b.photograph(wrong, "what-there-is.png")
}

// shopImages are the names of those of the shop's images that the engine does not have.
func shopImages(t *testing.T) []string {
	t.Helper()
	var missing []string
	for _, i := range shop.Shop {
		if _, err := harness.Engine(t).ImageInspect(t.Context(), i.Name); err != nil {
			missing = append(missing, i.Name)
		}
	}
	return missing
}

package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func same(t *testing.T, got, want string) {
	t.Helper()
	if strings.TrimSpace(got) != strings.TrimSpace(want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestSuiteModule(t *testing.T) {
	same(t, suiteModule(`
// comment
module k8s.io/kubernetes

go 1.24.0

godebug default=go1.24

require (
	github.com/x/y v1.2.3
	k8s.io/api v0.0.0
	k8s.io/utils v0.0.0-20250604170112-4c0f3b243397
)

require (
	k8s.io/kms v0.0.0 // indirect
)

replace (
	k8s.io/api => ./staging/src/k8s.io/api
	k8s.io/kms => ./staging/src/k8s.io/kms
)
`, "v1.34.4"), `
module conformance

go 1.24.0

require k8s.io/kubernetes v1.34.4

require (
	github.com/x/y v1.2.3
	k8s.io/api v0.34.4
	k8s.io/utils v0.0.0-20250604170112-4c0f3b243397
)

require (
	k8s.io/kms v0.34.4 // indirect
)

replace (
	k8s.io/api => k8s.io/api v0.34.4
	k8s.io/kms => k8s.io/kms v0.34.4
)`)
}

func TestImageTags(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "test", "utils", "image"), 0o755); err != nil {
		t.Fatal(err)
	}
	source := "\tconfigs[Agnhost] = Config{list.PromoterE2eRegistry, \"agnhost\", \"2.56\"}\n\tconfigs[Pause] = Config{list.GcRegistry, \"pause\", \"3.10.1\"}\n"
	if err := os.WriteFile(filepath.Join(dir, "test", "utils", "image", "manifest.go"), []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	tags, err := imageTags(dir)
	if err != nil {
		t.Fatal(err)
	}
	same(t, fmt.Sprint(tags), "map[Agnhost:2.56 Pause:3.10.1]")
}

func TestRootFS(t *testing.T) {
	r := rootFS{}
	r.text("etc/deep/file", "text")
	r.dir(0o1777, "tmp")
	r.link("bin/sh", "/bin/busybox")
	from := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(from, []byte("program"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.file("bin/busybox", from, 0o4755)
	var archive, got bytes.Buffer
	if err := r.write(&archive); err != nil {
		t.Fatal(err)
	}
	for in := tar.NewReader(&archive); ; {
		h, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&got, strings.TrimSpace(fmt.Sprintf("%o %s %s%s", h.Mode, h.Name, h.Linkname, content)))
	}
	same(t, got.String(), `
755 bin/
4755 bin/busybox program
777 bin/sh /bin/busybox
755 etc/
755 etc/deep/
644 etc/deep/file text
1777 tmp/`)
}

const sampleReport = `[{"SpecReports": [
	{"LeafNodeType": "SynchronizedBeforeSuite", "State": "passed"},
	{"ContainerHierarchyTexts": ["[sig-apps] ReplicaSet", "when"], "LeafNodeType": "It", "LeafNodeText": "works [Conformance]",
		"LeafNodeLocation": {"FileName": "k8s.io/kubernetes/test/e2e/apps/rs.go"}, "State": "passed", "RunTime": 2500000000},
	{"ContainerHierarchyTexts": ["[sig-node] Pods"], "LeafNodeType": "It", "LeafNodeText": "fails", "State": "failed", "RunTime": 1000000000,
		"Failure": {"Message": "first line\nsecond line"}},
	{"ContainerHierarchyTexts": ["[sig-node] Pods"], "LeafNodeType": "It", "LeafNodeText": "hangs", "State": "timedout"},
	{"ContainerHierarchyTexts": ["[sig-node] Pods"], "LeafNodeType": "It", "LeafNodeText": "is left out", "State": "skipped"}]}]`

func sample(t *testing.T) ([]spec, results) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "report.json")
	if err := os.WriteFile(file, []byte(sampleReport), 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := readReport(file)
	if err != nil {
		t.Fatal(err)
	}
	return append(r.specs(), spec{name: "[sig-node] Pods is left out"}, spec{name: "[sig-node] Pods passed before"}), r.results()
}

func TestTable(t *testing.T) {
	specs, r := sample(t)
	var out bytes.Buffer
	printTable(&out, specs, r)
	same(t, out.String(), `
     group  passed  failed  not tried  of
  sig-apps       1       0          0   1
  sig-node       0       2          2   4
       all       1       2          2   5`)
}

func TestResults(t *testing.T) {
	specs, r := sample(t)
	dir := t.TempDir()
	if err := writeResults(dir, specs, r); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "results.txt"))
	if err != nil {
		t.Fatal(err)
	}
	same(t, string(raw), "passed\t2.5s\t[sig-apps] ReplicaSet when works [Conformance]\n"+
		"FAILED\t1.0s\t[sig-node] Pods fails\tfirst line\n"+
		"FAILED\t0.0s\t[sig-node] Pods hangs\t\n"+
		"not tried\t\t[sig-node] Pods is left out\n"+
		"not tried\t\t[sig-node] Pods passed before")
}

// TestMerge: what was not run stays where it was, and reasons stay with what fails.
func TestMerge(t *testing.T) {
	specs, r := sample(t)
	passing := parseList("## sig-node\n[sig-node] Pods passed before\n[sig-node] Pods hangs\n")
	failing := parseList("# comment\n\n## No clock\n[sig-node] Pods fails\n## Unknown\n[sig-apps] ReplicaSet when works [Conformance]\n[sig-gone] Gone\n")
	passing, failing = merge(specs, r, passing, failing)
	same(t, formatList("Passing.", passing)+formatList("Failing.", failing), `
# Passing.

## sig-apps
[sig-apps] ReplicaSet when works [Conformance]

## sig-node
[sig-node] Pods passed before
# Failing.

## No clock
[sig-node] Pods fails

## Not looked into yet
[sig-node] Pods hangs
`)
	same(t, fmt.Sprint(r.fallen(parseList("[sig-node] Pods hangs\n[sig-node] Pods passed before\n[sig-apps] ReplicaSet when works [Conformance]"))),
		"[[sig-node] Pods hangs]")
}

func TestChoose(t *testing.T) {
	specs, _ := sample(t)
	list := filepath.Join(t.TempDir(), "list.txt")
	if err := os.WriteFile(list, []byte("[sig-node] Pods fails\n[sig-node] Pods hangs\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	unknown := filepath.Join(t.TempDir(), "unknown.txt")
	if err := os.WriteFile(unknown, []byte("[sig-node] Pods fly\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		o    options
		want string
	}{
		{options{group: "sig-apps"}, "[sig-apps] ReplicaSet when works [Conformance]"},
		{options{focus: "hangs|works", skip: "sig-apps"}, "[sig-node] Pods hangs"},
		{options{list: list, skip: "hangs"}, "[sig-node] Pods fails"},
		{options{group: "sig-none"}, "error: none of the 5 specs is chosen"},
		{options{list: unknown, version: "v1"}, `error: unknown.txt: v1 has no conformance spec "[sig-node] Pods fly"`},
	} {
		chosen, err := choose(specs, test.o)
		var got []string
		for _, s := range chosen {
			got = append(got, s.name)
		}
		if err != nil {
			got = []string{"error: " + err.Error()}
		}
		same(t, strings.Join(got, "\n"), test.want)
	}
}

func TestUnlisted(t *testing.T) {
	dir := t.TempDir()
	for file, text := range map[string]string{passingFile: "[sig-node] Pods passed before\n", failingFile: "## why\n[sig-node] Pods fails\n"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	specs, _ := sample(t)
	left, err := unlisted(dir, specs)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range left {
		names = append(names, s.name)
	}
	same(t, strings.Join(names, "\n"), "[sig-apps] ReplicaSet when works [Conformance]\n[sig-node] Pods hangs\n[sig-node] Pods is left out")
}

func TestProgress(t *testing.T) {
	p := &progress{of: 3}
	for _, b := range []string{"SS•S", "\n• [FAILED] [1.0 seconds]\n", "S"} {
		if _, err := io.WriteString(p, b); err != nil {
			t.Fatal(err)
		}
	}
	if p.done != 2 || p.failed != 1 {
		t.Errorf("%d done, %d failed", p.done, p.failed)
	}
}

// TestLists: no spec is both passing and failing, the quick subset passes, and each failure has its
// reason.
func TestLists(t *testing.T) {
	read := func(file string) map[string]string {
		list, err := readList(file)
		if err != nil || len(list) == 0 {
			t.Fatalf("%s: %d specs, %v", file, len(list), err)
		}
		out := map[string]string{}
		for _, l := range list {
			if out[l.name] != "" {
				t.Errorf("%s: %s is there twice", file, l.name)
			}
			out[l.name] = l.heading
		}
		return out
	}
	passing, failing := read(passingFile), read(failingFile)
	for name := range failing {
		if passing[name] != "" {
			t.Errorf("both passing and failing: %s", name)
		}
	}
	for name := range read("fast.txt") {
		if passing[name] == "" {
			t.Errorf("in fast.txt but not passing: %s", name)
		}
	}
}

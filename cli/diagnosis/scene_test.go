package diagnosis

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"skiff/cli/client"
	"skiff/cli/terminal"
)

var update = flag.Bool("update", false, "write the expectations anew")

func TestMain(m *testing.M) {
	flag.Parse()
	time.Local = time.UTC // times are printed as they are where one is
	os.Exit(m.Run())
}

// noon is the time of all fixtures.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// TestReports reads testdata/*.txt: each case is a line "== NAME: OBJECT", the objects of the scene, a
// line "-- says", and what is said of OBJECT, or of all that is wrong when it is "everything". Objects are
// written short: metadata.owner is KIND/NAME, and an event's "about" is KIND/NAME or KIND/NAME/CONTAINER.
func TestReports(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var anew strings.Builder
		for _, text := range strings.Split("\n"+string(raw), "\n== ")[1:] {
			head, rest, _ := strings.Cut(text, "\n")
			objects, want, _ := strings.Cut(rest, "-- says\n")
			i := strings.LastIndex(head, ": ")
			what, got := head[i+2:], ""
			t.Run(head[:i], func(t *testing.T) { got = say(t, sceneOf(t, objects), what) })
			fmt.Fprintf(&anew, "== %s\n%s-- says\n%s\n", head, objects, got)
			if strings.TrimSpace(want) != strings.TrimSpace(got) && !*update {
				t.Errorf("%s: %s\ngot:\n%s\nwant:\n%s", file, head, got, want)
			}
		}
		if *update {
			if err := os.WriteFile(file, []byte(strings.TrimSuffix(anew.String(), "\n")), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// say prints what a scene says.
func say(t *testing.T, s *fixture, what string) string {
	var out bytes.Buffer
	p := Printer{Out: &out, Style: terminal.Terminal{}.Style(&out)}
	if what == "everything" {
		for _, r := range s.Wrong() {
			p.Print(&r)
		}
		return out.String()
	}
	u, ok := s.all[what]
	if !ok {
		t.Fatalf("no object %s", what)
	}
	r, err := s.Of(u, strings.ToLower(u.GetKind())+"s")
	if err != nil {
		t.Fatal(err)
	}
	p.Print(&r)
	return out.String()
}

// fixture is a scene and its objects by kind/name.
type fixture struct {
	*Scene
	all map[string]*unstructured.Unstructured
}

func sceneOf(t *testing.T, text string) *fixture {
	s := &fixture{Scene: &Scene{Now: noon, NodeGrace: nodeGrace}, all: map[string]*unstructured.Unstructured{}}
	for i, doc := range strings.Split(text, "---\n") {
		u := &unstructured.Unstructured{}
		if err := yaml.UnmarshalStrict([]byte(doc), &u.Object); err != nil {
			t.Fatalf("%v in\n%s", err, doc)
		}
		if u.Object == nil {
			continue
		}
		complete(u, i)
		s.all[who(u.GetKind(), u)] = u
		s.add(t, u)
	}
	return s
}

// complete writes out what fixtures leave out.
func complete(u *unstructured.Unstructured, i int) {
	if u.GetName() == "" {
		u.SetName(fmt.Sprintf("e%d", i))
	}
	if u.GetUID() == "" {
		u.SetUID(uidOf(u.GetKind() + "/" + u.GetName()))
	}
	if at := u.GetCreationTimestamp(); at.IsZero() {
		_ = unstructured.SetNestedField(u.Object, "2026-11-23T11:50:00Z", "metadata", "creationTimestamp")
	}
	if u.GetKind() != "Node" && u.GetNamespace() == "" {
		u.SetNamespace("default")
	}
	if owner, ok, _ := unstructured.NestedString(u.Object, "metadata", "owner"); ok {
		kind, name, _ := strings.Cut(owner, "/")
		unstructured.RemoveNestedField(u.Object, "metadata", "owner")
		_ = unstructured.SetNestedSlice(u.Object, []any{map[string]any{"apiVersion": "v1", "kind": kind, "name": name, "uid": string(uidOf(owner)), "controller": true}}, "metadata", "ownerReferences")
	}
	if about, ok := u.Object["about"].(string); ok {
		parts := append(strings.Split(about, "/"), "")
		involved := map[string]any{"kind": parts[0], "name": parts[1]}
		if parts[2] != "" {
			involved["fieldPath"] = "spec.containers{" + parts[2] + "}"
		}
		u.Object["involvedObject"] = involved
		delete(u.Object, "about")
		if at, ok := u.Object["at"].(string); ok {
			u.Object["lastTimestamp"] = "2026-11-23T" + at + "Z"
			delete(u.Object, "at")
		}
	}
}

func (s *fixture) add(t *testing.T, u *unstructured.Unstructured) {
	switch u.GetKind() {
	case "Pod":
		put(t, u, &s.Pods)
	case "ReplicaSet":
		put(t, u, &s.ReplicaSets)
	case "ReplicationController":
		put(t, u, &s.Controllers)
	case "Deployment":
		put(t, u, &s.Deployments)
	case "StatefulSet":
		put(t, u, &s.StatefulSets)
	case "DaemonSet":
		put(t, u, &s.DaemonSets)
	case "Job":
		put(t, u, &s.Jobs)
	case "CronJob":
		put(t, u, &s.CronJobs)
	case "Service":
		put(t, u, &s.Services)
	case "EndpointSlice":
		put(t, u, &s.Slices)
	case "PersistentVolumeClaim":
		put(t, u, &s.Claims)
	case "Ingress":
		put(t, u, &s.Ingresses)
	case "IngressClass":
		put(t, u, &s.Classes)
	case "Event":
		put(t, u, &s.Events)
	case "Lease":
		put(t, u, &s.Leases)
	case "Node":
		put(t, u, &s.Nodes)
	}
}

func put[T any](t *testing.T, u *unstructured.Unstructured, all *[]T) {
	t.Helper()
	o := new(T)
	if err := client.Into(u, o); err != nil {
		t.Fatalf("%s %s: %v", u.GetKind(), u.GetName(), err)
	}
	*all = append(*all, *o)
}

func uidOf(name string) types.UID { return types.UID(name) }

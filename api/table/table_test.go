package table

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/client-go/kubernetes/scheme"
)

var update = flag.Bool("update", false, "write what is printed to testdata")

// now is when the objects of testdata are looked at.
var now = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// TestPrinted prints the objects of each file of testdata, named after their resource, as kubectl
// get does.
func TestPrinted(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		resource := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(resource, func(t *testing.T) {
			gr := schema.ParseGroupResource(resource)
			objects := read(t, file)
			got := "$ kubectl get " + resource + "\n" + printed(t, gr, objects, printers.PrintOptions{}) +
				"\n$ kubectl get -o wide " + resource + "\n" + printed(t, gr, objects, printers.PrintOptions{Wide: true})
			golden := strings.TrimSuffix(file, ".yaml") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// read returns the objects of a file.
func read(t *testing.T, file string) []runtime.Object {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var objects []runtime.Object
	for _, document := range bytes.Split(data, []byte("\n---\n")) {
		obj, _, err := scheme.Codecs.UniversalDeserializer().Decode(document, nil, nil)
		if err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		objects = append(objects, obj)
	}
	return objects
}

// printed is what kubectl prints of objects.
func printed(t *testing.T, gr schema.GroupResource, objects []runtime.Object, o printers.PrintOptions) string {
	t.Helper()
	table := &metav1.Table{ColumnDefinitions: Columns(gr)}
	for _, obj := range objects {
		rows, err := Rows(gr, obj, now)
		if err != nil {
			t.Fatal(err)
		}
		table.Rows = append(table.Rows, rows...)
	}
	var b bytes.Buffer
	if err := printers.NewTablePrinter(o).PrintObj(table, &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestColumns reports whether each column says what it is, and each row has a cell of the column's
// type for it.
func TestColumns(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.yaml")
	for _, file := range files {
		gr := schema.ParseGroupResource(strings.TrimSuffix(filepath.Base(file), ".yaml"))
		columns := Columns(gr)
		for _, c := range columns {
			if c.Name == "" || c.Type == "" || c.Description == "" {
				t.Errorf("%s: column %+v", gr, c)
			}
		}
		for _, obj := range read(t, file) {
			rows, err := Rows(gr, obj, now)
			if err != nil || len(rows) != 1 || len(rows[0].Cells) != len(columns) {
				t.Fatalf("%s: %d columns, rows %+v, %v", gr, len(columns), rows, err)
			}
			for i, cell := range rows[0].Cells {
				switch _, isInt := cell.(int64); {
				case columns[i].Type == "integer" && !isInt:
					t.Errorf("%s: column %s has a %T", gr, columns[i].Name, cell)
				case columns[i].Format == "name" && strings.TrimSuffix(cell.(string), " (default)") != rows[0].Object.Object.(metav1.Object).GetName():
					t.Errorf("%s: column %s has %v", gr, columns[i].Name, cell)
				}
			}
		}
	}
}

// TestConditions tells which pods a client may leave out as completed.
func TestConditions(t *testing.T) {
	for phase, want := range map[corev1.PodPhase]string{
		corev1.PodRunning:   "",
		corev1.PodSucceeded: "Completed=True Succeeded: The pod has completed successfully.",
		corev1.PodFailed:    "Completed=True Failed: The pod failed.",
	} {
		rows, err := Rows(schema.GroupResource{Resource: "pods"}, &corev1.Pod{Status: corev1.PodStatus{Phase: phase}}, now)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, c := range rows[0].Conditions {
			got += string(c.Type) + "=" + string(c.Status) + " " + c.Reason + ": " + c.Message
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", phase, got, want)
		}
	}
}

// TestList reports whether a list has a row for each item, with the item itself.
func TestList(t *testing.T) {
	list := &corev1.SecretList{Items: make([]corev1.Secret, 3)}
	rows, err := Rows(schema.GroupResource{Resource: "secrets"}, list, now)
	if err != nil || len(rows) != 3 || rows[2].Object.Object != runtime.Object(&list.Items[2]) {
		t.Errorf("%+v, %v", rows, err)
	}
	rows, err = Rows(schema.GroupResource{Resource: "secrets"}, &corev1.SecretList{}, now)
	if err != nil || rows == nil || len(rows) != 0 {
		t.Errorf("of an empty list: %+v, %v; want no rows, but not nil", rows, err)
	}
}

func TestUnexpectedType(t *testing.T) {
	for resource, obj := range map[string]runtime.Object{
		"pods": &corev1.Node{}, "events": &corev1.Node{}, "cronjobs.batch": &corev1.Node{}, "x": &metav1.Status{},
		"secrets": &corev1.PodList{Items: make([]corev1.Pod, 1)},
	} {
		rows, err := Rows(schema.ParseGroupResource(resource), obj, now)
		if err == nil || !strings.Contains(err.Error(), "laying out a row of "+resource+": unexpected type *v1.") {
			t.Errorf("%s of %T: %v, %v", resource, obj, rows, err)
		}
	}
}

// BenchmarkRows1000Pods lays out a list of 1,000 pods.
func BenchmarkRows1000Pods(b *testing.B) {
	list := &corev1.PodList{Items: make([]corev1.Pod, 1000)}
	for i := range list.Items {
		p := &list.Items[i]
		p.Name, p.CreationTimestamp = "kubia", metav1.NewTime(now.Add(-time.Hour))
		p.Spec.Containers = make([]corev1.Container, 1)
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Rows(schema.GroupResource{Resource: "pods"}, list, now); err != nil {
			b.Fatal(err)
		}
	}
}

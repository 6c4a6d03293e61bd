package table

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
)

// What upstream prints for a value that isn't there.
const (
	none    = "<none>"
	unset   = "<unset>"
	unknown = "<unknown>"
)

// text is a column of strings.
func text(name, description string) metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{Name: name, Type: "string", Description: description}
}

// number is a column of integers, which are int64 in the cells.
func number(name, description string) metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{Name: name, Type: "integer", Description: description}
}

// truth is a column of booleans.
func truth(name, description string) metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{Name: name, Type: "boolean", Description: description}
}

// wide moves a column to wide output.
func wide(c metav1.TableColumnDefinition) metav1.TableColumnDefinition {
	c.Priority = 1
	return c
}

func nameColumn() metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{Name: "Name", Type: "string", Format: "name",
		Description: "The object's name, unique among those of its resource in its namespace."}
}

func ageColumn() metav1.TableColumnDefinition {
	return text("Age", "The time since the object was created.")
}

// templateColumns are the wide columns of objects that make pods.
func templateColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		wide(text("Containers", "The names of the template's containers.")),
		wide(text("Images", "The images of the template's containers.")),
	}
}

func selectorColumn() metav1.TableColumnDefinition {
	return wide(text("Selector", "The labels of the pods that belong to the object."))
}

// age is the time since t in one or two units.
func age(t metav1.Time, now time.Time) string {
	if t.IsZero() {
		return unknown
	}
	return duration.HumanDuration(now.Sub(t.Time))
}

// orOf is what p points to, or else what stands for its absence.
func orOf[T ~string](p *T, absent string) string {
	if p == nil {
		return absent
	}
	return string(*p)
}

// names and images are those of containers, one after the other.
func namesAndImages(containers []corev1.Container) (names, images string) {
	var n, i []string
	for _, c := range containers {
		n, i = append(n, c.Name), append(i, c.Image)
	}
	return strings.Join(n, ","), strings.Join(i, ",")
}

// maxShown is how many of many values a cell shows.
const maxShown = 3

// some shows the first values, and how many more there are.
func some(values []string, absent string) string {
	if len(values) > maxShown {
		return fmt.Sprintf("%s + %d more...", strings.Join(values[:maxShown], ","), len(values)-maxShown)
	}
	return cmp.Or(strings.Join(values, ","), absent)
}

package describe

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/liggitt/tabwriter"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/cli-runtime/pkg/printers"
)

const (
	none  = "<none>"
	unset = "<unset>"
)

// sheet is a description in the making: names on the left, values in a column beside them, nested
// parts indented.
type sheet struct {
	buf   bytes.Buffer
	tab   *tabwriter.Writer
	out   io.Writer // tab, or buf where tabs stay as they are
	depth int
	now   func() time.Time
}

func newSheet(now func() time.Time) *sheet {
	s := &sheet{now: now}
	s.tab = tabwriter.NewWriter(&s.buf, 0, 8, 2, ' ', 0)
	s.out = s.tab
	return s
}

// String is the finished text.
func (s *sheet) String() string {
	s.columns()
	return s.buf.String()
}

// columns ends the current columns; those that follow are aligned on their own.
func (s *sheet) columns() { _ = s.tab.Flush() }

// line writes one line at the current depth; a tab in it begins the next column.
func (s *sheet) line(format string, a ...any) {
	text := strings.Repeat("  ", s.depth) + fmt.Sprintf(format, a...)
	_ = printers.WriteEscaped(s.out, text+"\n") // the buffer behind it takes everything
}

// text writes lines at the left margin.
func (s *sheet) text(t string) { _ = printers.WriteEscaped(s.out, t) }

// field writes a name and its value.
func (s *sheet) field(name string, value any) { s.line("%s:\t%v", name, value) }

// title begins a part; what belongs to it is written by in.
func (s *sheet) title(name string) { s.line("%s:", name) }

// in writes what body writes one step deeper.
func (s *sheet) in(body func()) { s.at(1, body) }

func (s *sheet) at(steps int, body func()) {
	s.depth += steps
	body()
	s.depth -= steps
}

// list writes a name and its values, one a line below each other.
func (s *sheet) list(name string, values []string) {
	if len(values) == 0 {
		s.field(name, none)
		return
	}
	s.field(name, values[0])
	for _, v := range values[1:] {
		s.text("\t" + v + "\n")
	}
}

// labels writes a set of labels in order.
func (s *sheet) labels(name string, set map[string]string) { s.list(name, pairs(set)) }

func pairs(set map[string]string) []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(set)) {
		out = append(out, k+"="+set[k])
	}
	return out
}

// longAnnotation is how many characters of an annotation are shown.
const longAnnotation = 140

// hiddenAnnotation holds a copy of the object itself, which only apply needs.
const hiddenAnnotation = "kubectl.kubernetes.io/last-applied-configuration"

// annotations writes annotations in order; long ones stand below their key, truncated.
func (s *sheet) annotations(name string, set map[string]string) {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(set)) {
		if k == hiddenAnnotation {
			continue
		}
		v := strings.TrimSuffix(set[k], "\n")
		if len(k)+len(v)+2 <= longAnnotation && !strings.Contains(v, "\n") {
			out = append(out, k+": "+v)
			continue
		}
		out = append(out, k+":")
		for _, l := range strings.Split(v, "\n") {
			out = append(out, "  "+cut(l, longAnnotation-2))
		}
	}
	s.list(name, out)
}

func cut(s string, n int) string {
	if len(s) > n {
		return s[:n] + "..."
	}
	return s
}

// meta writes what every namespaced object begins with.
func (s *sheet) meta(o metav1.Object) {
	s.field("Name", o.GetName())
	s.field("Namespace", o.GetNamespace())
	s.labelled(o)
}

func (s *sheet) labelled(o metav1.Object) {
	s.labels("Labels", o.GetLabels())
	s.annotations("Annotations", o.GetAnnotations())
}

// optional writes a field whose value may be missing.
func optional[T any](s *sheet, name string, v *T, format string) {
	if v == nil {
		s.field(name, unset)
		return
	}
	s.field(name, fmt.Sprintf(format, *v))
}

// whenSet writes a field unless its value is missing.
func whenSet[T any](s *sheet, name string, v *T) {
	if v != nil {
		s.field(name, *v)
	}
}

// nonEmpty writes a field unless its value is "".
func nonEmpty[T ~string](s *sheet, name string, v T) {
	if v != "" {
		s.field(name, v)
	}
}

// controlledBy writes the controller that owns an object, if one does.
func (s *sheet) controlledBy(o metav1.Object) {
	if ref := metav1.GetControllerOf(o); ref != nil {
		s.field("Controlled By", ref.Kind+"/"+ref.Name)
	}
}

func stamp(t time.Time) string { return t.Format(time.RFC1123Z) }

// since is how long ago t was, in two units at most.
func (s *sheet) since(t time.Time) string {
	if t.IsZero() {
		return "<unknown>"
	}
	return duration.HumanDuration(s.now().Sub(t))
}

func orNone(s string) string {
	if s == "" {
		return none
	}
	return s
}

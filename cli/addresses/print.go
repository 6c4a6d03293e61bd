package addresses

import (
	"fmt"
	"io"

	"k8s.io/cli-runtime/pkg/printers"
)

// Table says what a table of addresses has beside them: their namespaces, and a line of headers.
type Table struct{ Namespaces, Headers bool }

// Print prints the table.
func (t Table) Print(out io.Writer, all []Address) error {
	w := printers.GetNewTabWriter(out)
	head := "NAME\tADDRESS\n"
	if t.Namespaces {
		head = "NAMESPACE\t" + head
	}
	if t.Headers {
		fmt.Fprint(w, head)
	}
	for _, a := range all {
		if t.Namespaces {
			fmt.Fprintf(w, "%s\t", a.Namespace)
		}
		fmt.Fprintf(w, "%s\t%s\n", a.Of, a.URL)
	}
	return w.Flush()
}

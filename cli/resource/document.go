package resource

import (
	"bytes"
	"errors"
	"iter"
	"regexp"
	"strconv"
	"sync"

	yamlnode "go.yaml.in/yaml/v3"
)

// document is one YAML document, or one JSON value, of a file.
type document struct {
	// line is the line of the file on which text begins, from 1.
	line int
	text []byte
	tree func() *yamlnode.Node
}

func newDocument(line int, text []byte) *document {
	return &document{line: line, text: text, tree: sync.OnceValue(func() *yamlnode.Node { return parseTree(text) })}
}

// parseTree parses a document together with its positions; nil when that fails.
func parseTree(text []byte) *yamlnode.Node {
	var root yamlnode.Node
	if yamlnode.Unmarshal(text, &root) != nil || len(root.Content) == 0 {
		return nil
	}
	return root.Content[0]
}

// documents cuts a file at YAML's document markers. A marker that stands alone, or with a comment,
// belongs to no document.
func documents(file []byte) iter.Seq[*document] {
	return func(yield func(*document) bool) {
		begin, beginLine, line := 0, 1, 1
		for at := 0; at < len(file); line++ {
			next := len(file)
			if i := bytes.IndexByte(file[at:], '\n'); i >= 0 {
				next = at + i + 1
			}
			if marker, alone := documentMarker(file[at:next]); marker {
				if at > begin && !yield(newDocument(beginLine, file[begin:at])) {
					return
				}
				begin, beginLine = at, line
				if alone {
					begin, beginLine = next, line+1
				}
			}
			at = next
		}
		if begin < len(file) {
			yield(newDocument(beginLine, file[begin:]))
		}
	}
}

// documentMarker reports whether a line begins a document ("---") or ends one ("..."), and whether
// nothing but a comment follows.
func documentMarker(line []byte) (marker, alone bool) {
	rest, begins := bytes.CutPrefix(line, []byte("---"))
	if !begins {
		var ends bool
		if rest, ends = bytes.CutPrefix(line, []byte("...")); !ends {
			return false, false
		}
	}
	content := bytes.TrimSpace(rest)
	if len(content) > 0 && rest[0] != ' ' && rest[0] != '\t' {
		return false, false
	}
	return true, len(content) == 0 || content[0] == '#'
}

// first is the line of the file on which the document's content begins.
func (d *document) first() int {
	line := d.line
	for l := range bytes.Lines(d.text) {
		if l = bytes.TrimSpace(l); len(l) > 0 && l[0] != '#' {
			return line
		}
		line++
	}
	return d.line
}

// last is the line of the file on which the document ends.
func (d *document) last() int {
	return d.line + bytes.Count(bytes.TrimRight(d.text, " \t\r\n"), []byte("\n"))
}

// position is where an object stands: a document, or an item of the List in it.
type position struct {
	document *document
	// items are the indexes to follow, one for each List within another.
	items []int
}

func (p position) item(i int) position {
	return position{document: p.document, items: append(p.items[:len(p.items):len(p.items)], i)}
}

// line is the line of the file on which the object begins; that of the List when the item's own
// cannot be found.
func (p position) line() int {
	if len(p.items) == 0 {
		return p.document.first()
	}
	n := p.document.tree()
	for _, i := range p.items {
		if n = listItem(n, i); n == nil {
			return p.document.first()
		}
	}
	return p.document.line + n.Line - 1
}

// listItem is an item of a List; nil when n is none or has no such item.
func listItem(n *yamlnode.Node, index int) *yamlnode.Node {
	if n == nil || n.Kind != yamlnode.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if items := resolved(n.Content[i+1]); n.Content[i].Value == "items" && items.Kind == yamlnode.SequenceNode && index < len(items.Content) {
			return resolved(items.Content[index])
		}
	}
	return nil
}

func resolved(n *yamlnode.Node) *yamlnode.Node {
	if n.Kind == yamlnode.AliasNode {
		return n.Alias
	}
	return n
}

// yamlLine is how the YAML library names a line. Faults that its parser finds, unlike those of its
// scanner and its decoder, are counted from 0; they are known by their wording
// (go.yaml.in/yaml/v2: decode.go's fail and parserc.go).
var yamlLine = regexp.MustCompile(`(?m)^(yaml: |  )line (\d+): (did not find expected (?:<document start>|node content|key|'-' indicator|',' or ).*)?`)

// locate makes the lines in a YAML error those of the file. The error must be of the document's text
// after one empty line: the library names no line for a fault on the first.
func (d *document) locate(err error) error {
	return errors.New(yamlLine.ReplaceAllStringFunc(err.Error(), func(found string) string {
		m := yamlLine.FindStringSubmatch(found)
		n, aerr := strconv.Atoi(m[2])
		if aerr != nil {
			return found
		}
		line := d.line + n - 2
		if m[3] != "" {
			line++
		}
		return m[1] + "line " + strconv.Itoa(min(line, d.last())) + ": " + m[3]
	}))
}

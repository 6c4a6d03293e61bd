package explain

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// object is a JSON object of an OpenAPI document. Its methods read a nil one as empty.
type object map[string]any

func (o object) at(key string) object {
	m, _ := o[key].(map[string]any)
	return m
}

func (o object) text(key string) string {
	s, _ := o[key].(string)
	return s
}

func (o object) list(key string) []object {
	var out []object
	items, _ := o[key].([]any)
	for _, i := range items {
		if m, ok := i.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

// printer writes the documentation of one kind, or one field of it.
type printer struct {
	buf       bytes.Buffer
	doc       object
	recursive bool
	depth     int
}

// width is how long lines may be.
const width = 80

func (p *printer) kind(gvk schema.GroupVersionKind, path []string) error {
	s := p.schemaOf(gvk)
	if s == nil {
		return fmt.Errorf("GVK %v not found in OpenAPI schema", gvk)
	}
	if gvk.Group != "" {
		fmt.Fprintf(&p.buf, "GROUP:      %s\n", gvk.Group)
	}
	fmt.Fprintf(&p.buf, "KIND:       %s\nVERSION:    %s\n\n", gvk.Kind, gvk.Version)
	if !p.walk(s, path, map[string]bool{}) {
		return fmt.Errorf("field %q does not exist", path[len(path)-1])
	}
	p.buf.WriteString("\n")
	return nil
}

// schemaOf finds the schema of a kind.
func (p *printer) schemaOf(gvk schema.GroupVersionKind) object {
	schemas := p.doc.at("components").at("schemas")
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		for _, k := range schemas.at(name).list("x-kubernetes-group-version-kind") {
			if k.text("group") == gvk.Group && k.text("version") == gvk.Version && k.text("kind") == gvk.Kind {
				return schemas.at(name)
			}
		}
	}
	return nil
}

// resolve follows a reference to its schema.
func (p *printer) resolve(s object) object {
	name, ok := strings.CutPrefix(s.text("$ref"), "#/components/schemas/")
	if !ok {
		return s
	}
	return p.doc.at("components").at("schemas").at(name)
}

// walk follows the path and describes where it leads; it returns false when it leads nowhere. seen
// are the references on the way.
func (p *printer) walk(s object, path []string, seen map[string]bool) bool {
	ref := s.text("$ref")
	if len(path) == 0 {
		p.describe(s)
		return true
	}
	if ref != "" && seen[ref] {
		return false
	}
	seen = maps.Clone(seen)
	seen[ref] = true
	r := p.resolve(s)
	if field := r.at("properties").at(path[0]); field != nil {
		if len(path) == 1 {
			fmt.Fprintf(&p.buf, "FIELD: %s <%s>\n", path[0], p.typeOf(field))
			p.enum(field, true, 0)
			p.buf.WriteString("\n\n")
		}
		return p.walk(field, path[1:], map[string]bool{})
	}
	if items := r.at("items"); items != nil {
		return p.walk(items, path, seen)
	}
	if values := r.at("additionalProperties"); values != nil {
		return p.walk(values, path, seen)
	}
	for _, alternative := range r.list("allOf") {
		if p.walk(alternative, path, seen) {
			return true
		}
	}
	return false
}

func (p *printer) describe(s object) {
	text := p.description(s)
	if text == "" {
		text = "<empty>"
	}
	p.buf.WriteString("DESCRIPTION:\n" + indent(wrap(text, width-4), 4) + "\n")
	var fields bytes.Buffer
	fields, p.buf = p.buf, fields
	p.fields(s, 1, map[string]bool{})
	fields, p.buf = p.buf, fields
	if fields.Len() > 0 {
		p.buf.WriteString("FIELDS:\n")
		p.buf.Write(fields.Bytes())
	}
}

// description is a schema's, and that of what it is made of.
func (p *printer) description(s object) string {
	r := p.resolve(s)
	out := r.text("description")
	if out != "" {
		out += "\n"
	}
	for _, part := range r.list("allOf") {
		out += p.description(part)
	}
	if items := r.at("items"); items != nil {
		out += p.description(items)
	}
	if values := r.at("additionalProperties"); values != nil {
		out += p.description(values)
	}
	return out
}

func (p *printer) fields(s object, level int, seen map[string]bool) {
	ref := s.text("$ref")
	if ref != "" && seen[ref] {
		return
	}
	seen = maps.Clone(seen)
	seen[ref] = true
	r := p.resolve(s)
	properties := r.at("properties")
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		p.field(r, name, level)
		if p.recursive && (p.depth == 0 || level < p.depth) {
			p.fields(properties.at(name), level+1, seen)
		}
	}
	for _, part := range r.list("allOf") {
		p.fields(part, level, seen)
	}
	if items := r.at("items"); items != nil {
		p.fields(items, level, seen)
	}
	if values := r.at("additionalProperties"); values != nil {
		p.fields(values, level, seen)
	}
}

func (p *printer) field(parent object, name string, level int) {
	s := parent.at("properties").at(name)
	in := 2 * level
	fmt.Fprintf(&p.buf, "%s%s\t<%s>", strings.Repeat(" ", in), name, p.typeOf(s))
	if required, ok := parent["required"].([]any); ok && slices.Contains(required, any(name)) {
		p.buf.WriteString(" -required-")
	}
	p.enum(s, false, in)
	p.buf.WriteString("\n")
	if p.recursive {
		return
	}
	text := s.text("description")
	if text == "" {
		text = "<no description>"
	}
	p.buf.WriteString(indent(wrap(text, width-2-in), in+2) + "\n\n")
}

// typeOf says what a field holds: string, []Container, map[string]string, Object.
func (p *printer) typeOf(s object) string {
	switch {
	case s.at("items") != nil:
		return "[]" + p.typeOf(s.at("items"))
	case s.at("additionalProperties") != nil:
		return "map[string]" + p.typeOf(s.at("additionalProperties"))
	case len(s.list("allOf")) == 1 && s.at("properties") == nil:
		return p.typeOf(s.list("allOf")[0])
	case s.text("$ref") != "":
		if t := p.resolve(s).text("type"); t != "" && t != "object" {
			return t
		}
		ref := s.text("$ref")
		return ref[strings.LastIndexAny(ref, "./")+1:]
	case s.text("type") == "" || s.text("type") == "object":
		return "Object"
	}
	return s.text("type")
}

// shownValues is how many of a field's possible values are listed.
const shownValues = 4

func (p *printer) enum(s object, long bool, in int) {
	values, _ := s["enum"].([]any)
	if len(values) == 0 {
		return
	}
	var out []string
	for i, v := range values {
		if !long && i == shownValues {
			out = append(out, "....")
			break
		}
		if v == "" {
			v = `""`
		}
		out = append(out, fmt.Sprint(v))
	}
	if long {
		p.buf.WriteString("ENUM:\n    " + strings.Join(out, "\n    "))
		return
	}
	p.buf.WriteString("\n" + strings.Repeat(" ", in) + "enum: " + strings.Join(out, ", "))
}

func indent(text string, n int) string {
	pad := strings.Repeat(" ", n)
	return pad + strings.ReplaceAll(text, "\n", "\n"+pad)
}

// wrap breaks lines at spaces so that they are at most limit long, where a single word allows.
func wrap(text string, limit int) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i] = wrapLine(l, limit)
	}
	return strings.Join(lines, "\n")
}

func wrapLine(l string, limit int) string {
	var out []string
	for len(l) > limit {
		at := strings.LastIndex(l[:limit+1], " ")
		if at <= 0 {
			if at = strings.Index(l[limit:], " "); at < 0 {
				break
			}
			at += limit
		}
		out = append(out, strings.TrimRight(l[:at], " "))
		l = strings.TrimLeft(l[at:], " ")
	}
	return strings.Join(append(out, l), "\n")
}

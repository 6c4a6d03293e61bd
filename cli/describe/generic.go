package describe

import (
	"maps"
	"slices"
	"strings"
	"unicode"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// generic describes an object of any kind by its fields.
func generic(p *page, u *unstructured.Unstructured) error {
	p.meta(u)
	p.content(u.Object, "", []string{".metadata.managedFields", ".metadata.name", ".metadata.namespace", ".metadata.labels", ".metadata.annotations"})
	p.events(u, u.GetKind())
	return nil
}

// content writes fields by name; those at a path in skip are left out.
func (s *sheet) content(fields map[string]any, path string, skip []string) {
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		at := path + "." + name
		if slices.Contains(skip, at) {
			continue
		}
		switch v := fields[name].(type) {
		case map[string]any:
			s.title(label(name))
			s.in(func() { s.content(v, at, skip) })
		case []any:
			s.title(label(name))
			s.in(func() { s.items(v, at, skip) })
		default:
			s.field(label(name), v)
		}
	}
}

func (s *sheet) items(items []any, path string, skip []string) {
	for _, item := range items {
		if m, ok := item.(map[string]any); ok {
			s.content(m, path, skip)
			continue
		}
		s.line("%v", item)
	}
}

// acronyms keep their capitals.
var acronyms = []string{"API", "URL", "UID", "GUID"}

// label turns holderIdentity into Holder Identity. Names with other characters than letters stay as
// they are.
func label(field string) string {
	if strings.ContainsFunc(field, func(r rune) bool { return !unicode.IsLetter(r) && r != '-' }) {
		return field
	}
	words := camelWords(field)
	for i, w := range words {
		switch up := strings.ToUpper(w); {
		case slices.Contains(acronyms, up):
			words[i] = up
		case w == strings.ToLower(w) && w != "":
			words[i] = strings.ToUpper(w[:1]) + w[1:]
		}
	}
	return strings.Join(words, " ")
}

// camelWords splits before each capital that follows a small letter; capitals in a row stay one
// word: podCIDRs is pod, CIDRs.
func camelWords(s string) []string {
	var words []string
	start := 0
	runes := []rune(s)
	for i := 1; i < len(runes); i++ {
		if unicode.IsUpper(runes[i]) && !unicode.IsUpper(runes[i-1]) && runes[i-1] != '-' {
			words = append(words, string(runes[start:i]))
			start = i
		}
	}
	return append(words, string(runes[start:]))
}

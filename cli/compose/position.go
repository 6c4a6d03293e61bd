package compose

import (
	"fmt"
	"os"
	"path/filepath"

	yaml "go.yaml.in/yaml/v3"
)

// positions know on which lines of the files things stand.
type positions struct {
	files []string
	roots map[string]*yaml.Node
}

// readPositions parses the files once more. One that cannot be read has no lines: the loader has had
// its say about it.
func readPositions(files []string) positions {
	p := positions{roots: map[string]*yaml.Node{}}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		if root, err := parse(text); err == nil {
			p.files = append(p.files, name)
			p.roots[name] = root
		}
	}
	return p
}

// of is "FILE:LINE" of the last file that has the path, or the deepest part of it; files later in the
// order override those before.
func (p positions) of(path ...string) string {
	best, depth := "", -1
	for _, name := range p.files {
		if line, n := lineOf(p.roots[name], path); n >= depth {
			best, depth = fmt.Sprintf("%s:%d", short(name), line), n
		}
	}
	return best
}

// written reports whether a file has the whole path.
func (p positions) written(path ...string) bool {
	for _, name := range p.files {
		if _, depth := lineOf(p.roots[name], path); depth == len(path) {
			return true
		}
	}
	return false
}

// short is a path relative to the present folder where that is shorter.
func short(path string) string {
	here, err := os.Getwd()
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(here, path); err == nil && len(rel) < len(path) {
		return rel
	}
	return path
}

// lineOf follows a path as far as it leads.
func lineOf(n *yaml.Node, path []string) (line, depth int) {
	line = n.Line
	for _, key := range path {
		at, value := child(n, key)
		if value == nil {
			return line, depth
		}
		n, line, depth = value, at, depth+1
	}
	return line, depth
}

// child is the value of a key, and the line of the key.
func child(n *yaml.Node, key string) (line int, value *yaml.Node) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.MappingNode {
		return 0, nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i].Line, n.Content[i+1]
		}
	}
	return 0, nil
}

func has(n *yaml.Node, key string) bool {
	_, value := child(n, key)
	return value != nil
}

// parse returns the first document's content.
func parse(text []byte) (*yaml.Node, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, err
	}
	if len(document.Content) == 0 {
		return &yaml.Node{Kind: yaml.MappingNode}, nil
	}
	return document.Content[0], nil
}

package env

import (
	"strings"
)

// Expand replaces each $(NAME) that lookup knows. Others stay as they are. $$ stands for $, so
// $$(NAME) is not a reference.
// https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/
func Expand(s string, lookup func(name string) (string, bool)) string {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(s, "$")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		text, length := expandAfterDollar(rest, lookup)
		out.WriteString(text)
		s = rest[length:]
	}
}

// expandAfterDollar returns what a $ and the text behind it stand for, and how much of that text
// was consumed.
func expandAfterDollar(rest string, lookup func(string) (string, bool)) (text string, length int) {
	if rest == "" {
		return "$", 0
	}
	if rest[0] == '$' {
		return "$", 1
	}
	if rest[0] != '(' {
		// $x stays $x, as upstream has it.
		return "$" + rest[:1], 1
	}
	name, _, closed := strings.Cut(rest[1:], ")")
	if !closed {
		return "$(", 1
	}
	length = len(name) + 2
	if value, ok := lookup(name); ok {
		return value, length
	}
	return "$" + rest[:length], length
}

// ExpandAll expands every element. nil stays nil.
func ExpandAll(list []string, lookup func(string) (string, bool)) []string {
	if list == nil {
		return nil
	}
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = Expand(s, lookup)
	}
	return out
}

package command

import (
	"regexp"
	"strings"
)

var harmlessWord = regexp.MustCompile(`^[A-Za-z0-9_./:@%+,=-]+$`)

// Quoted is a word as a shell reads it.
func Quoted(s string) string {
	if harmlessWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

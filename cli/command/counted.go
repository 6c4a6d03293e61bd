package command

import "fmt"

// Counted is a number of things in words: "1 pod", "3 pods".
func Counted[T int | int32 | int64](n T, one, several string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, several)
}

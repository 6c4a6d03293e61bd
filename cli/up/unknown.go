package up

import (
	"fmt"
	"strings"

	"skiff/cli/command"
	"skiff/cli/resource"
)

// unknown are the objects whose kinds the server does not have.
type unknown []*resource.UnknownKindError

// refuse is the error of starting nothing because of them; nil when there are none.
func (u unknown) refuse(advice string) error {
	if len(u) == 0 {
		return nil
	}
	var b strings.Builder
	b.WriteString("error: nothing was started, because not every kind is served:\n")
	for _, e := range u {
		fmt.Fprintf(&b, "  %s: %s: %s\n", e.Manifest.Where(), e.What(), e.Reason)
	}
	return command.Verbatim{Message: b.String() + advice}
}

// skip warns that they are left out.
func (u unknown) skip(env *command.Env) {
	for _, e := range u {
		fmt.Fprintf(env.Err, "Warning: %s: %s is skipped: %s\n", e.Manifest.Where(), e.What(), e.Reason)
	}
}

// admit decides what becomes of them when the rest can be started: they are skipped where the user
// says so, and refused otherwise.
func (u unknown) admit(env *command.Env, ignore bool, rest int) error {
	switch {
	case !ignore:
		return u.refuse("Remove them, or start the rest with --ignore-unknown.\n")
	case rest == 0:
		return u.refuse("")
	}
	u.skip(env)
	return nil
}

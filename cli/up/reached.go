package up

import (
	"context"
	"fmt"

	"skiff/cli/addresses"
	"skiff/cli/client"
	"skiff/cli/terminal"
)

// showAddresses says where the services and Ingresses of the manifests are reached. They are up
// whether or not that can be found out.
func (r *runner) showAddresses(ctx context.Context) {
	var refs []client.Ref
	for _, t := range r.targets {
		refs = append(refs, t.Ref)
	}
	all, err := addresses.Finder{Client: r.client}.Of(ctx, refs)
	if err != nil {
		if ctx.Err() == nil {
			fmt.Fprintln(r.env.Err, "warning: where it is reached could not be found out:", err)
		}
		return
	}
	for _, line := range reached(r.env.Streams, addresses.Certain(all)) {
		fmt.Fprintln(r.env.Err, line)
	}
}

// reached are lines such as "ingress/shop: http://shop.localhost:7480"; on a terminal they stand in
// columns, below those of what has come up.
func reached(s terminal.Streams, all []addresses.Address) []string {
	width := 0
	for _, a := range all {
		width = max(width, len(a.Of))
	}
	var lines []string
	for _, a := range all {
		if s.Terminal.Err {
			lines = append(lines, " → "+padded(a.Of, width)+"  "+a.URL)
		} else {
			lines = append(lines, a.Of+": "+a.URL)
		}
	}
	return lines
}

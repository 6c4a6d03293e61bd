package manual

import (
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

func TestPages(t *testing.T) {
	app := &cli.App{Name: "boat", Usage: "Go by sea", Description: "It floats.\n\nExamples:\n  boat row", Flags: []cli.Flag{&cli.BoolFlag{Name: "v", Usage: "say more"}},
		Commands: []*cli.Command{
			{Name: "row-back", Usage: "Row back", ArgsUsage: "[OAR…]", Description: ".hidden at the start, a \\ and more", Flags: []cli.Flag{
				&cli.StringFlag{Name: "speed", Aliases: []string{"s"}, Value: "slow", EnvVars: []string{"BOAT_SPEED"}, Usage: "`KNOTS` to make"},
				&cli.StringFlag{Name: "secret", Hidden: true},
			}},
			{Name: "anchor", Usage: "The anchor", Subcommands: []*cli.Command{{Name: "up", Usage: "Lift it"}}},
			{Name: "__hidden", Hidden: true},
		}}
	pages := map[string]string{}
	var names []string
	for _, p := range Pages(app, "v1.2.3") {
		pages[p.Name] = p.Roff
		names = append(names, p.Name)
	}
	if got := strings.Join(names, " "); got != "boat boat-row-back boat-anchor boat-anchor-up" {
		t.Fatalf("pages %s", got)
	}
	const want = `.TH "BOAT\-ROW\-BACK" 1 "" "skiff v1.2.3" "skiff"
.SH NAME
boat\-row\-back \- Row back
.SH SYNOPSIS
.B boat row\-back
[flags]
.I [OAR\&...]
.SH DESCRIPTION
\&.hidden at the start, a \e and more
.SH OPTIONS
.TP
\fB\-\-speed\fR, \fB\-s\fR \fIKNOTS\fR
KNOTS to make (default: slow) [$BOAT_SPEED]
.SH SEE ALSO
\fBboat\fR(1)
`
	if got := pages["boat-row-back"]; got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	for _, says := range []string{".SH EXAMPLES\n.nf\nboat row\n.fi\n", `\fBboat\-anchor\fR(1)`} {
		if !strings.Contains(pages["boat"], says) {
			t.Errorf("the first page does not say %q:\n%s", says, pages["boat"])
		}
	}
}

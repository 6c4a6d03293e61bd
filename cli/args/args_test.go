package args

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// optional is a flag that may stand alone.
type optional struct {
	*cli.StringFlag
	alone string
}

func (o optional) ImpliedValue() string { return o.alone }

func testApp() *cli.App {
	filename := &cli.StringSliceFlag{Name: "filename", Aliases: []string{"f"}}
	output := &cli.StringFlag{Name: "output", Aliases: []string{"o"}}
	return &cli.App{
		Name: "skiff",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "namespace", Aliases: []string{"n"}},
			&cli.StringFlag{Name: "server", Aliases: []string{"s"}},
			&cli.IntFlag{Name: "v"},
		},
		Commands: []*cli.Command{
			{Name: "get", Flags: []cli.Flag{filename, output, &cli.StringFlag{Name: "selector", Aliases: []string{"l"}}, &cli.BoolFlag{Name: "watch", Aliases: []string{"w"}}, &cli.BoolFlag{Name: "all-namespaces", Aliases: []string{"A"}}}},
			{Name: "delete", Flags: []cli.Flag{filename, optional{&cli.StringFlag{Name: "cascade"}, "background"}, &cli.BoolFlag{Name: "wait"}}},
			{Name: "exec", Flags: []cli.Flag{&cli.BoolFlag{Name: "stdin", Aliases: []string{"i"}}, &cli.BoolFlag{Name: "tty", Aliases: []string{"t"}}, &cli.StringFlag{Name: "container", Aliases: []string{"c"}}}},
			{Name: "scale", Flags: []cli.Flag{&cli.IntFlag{Name: "replicas"}}},
			{Name: "create", Flags: []cli.Flag{filename, output}, Subcommands: []*cli.Command{
				{Name: "namespace", Aliases: []string{"ns"}, Flags: []cli.Flag{output}},
				{Name: "secret", Subcommands: []*cli.Command{{Name: "generic", Flags: []cli.Flag{&cli.StringSliceFlag{Name: "from-literal"}}}}},
			}},
			{Name: "logs", Flags: []cli.Flag{&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}}, &cli.Int64Flag{Name: "tail"}}},
		},
	}
}

func TestNormalize(t *testing.T) {
	tests := []struct {
		line, want string
		dash       int
	}{
		{"get pods -o wide", "get --output=wide -- pods", -1},
		{"get pods -owide", "get --output=wide -- pods", -1},
		{"get pods -o=wide", "get --output=wide -- pods", -1},
		{"get pods --output wide", "get --output=wide -- pods", -1},
		{"get -lapp=kubia pods", "get --selector=app=kubia -- pods", -1},
		{"get pods -l app=kubia,tier!=x", "get --selector=app=kubia,tier!=x -- pods", -1},
		{"get pods -Aw", "get --all-namespaces=true --watch=true -- pods", -1},
		{"get pods -Awojson", "get --all-namespaces=true --watch=true --output=json -- pods", -1},
		{"get pods -w=false", "get --watch=false -- pods", -1},
		{"get pods --watch=false", "get --watch=false -- pods", -1},
		{"get pods -n kube-system", "--namespace=kube-system get -- pods", -1},
		{"-n kube-system get pods", "--namespace=kube-system get -- pods", -1},
		{"get -f a.yaml -f b.yaml", "get --filename=a.yaml --filename=b.yaml", -1},
		{"get -f -", "get --filename=-", -1},
		{"delete rc kubia --cascade=false", "delete --cascade=false -- rc kubia", -1},
		{"delete rc kubia --cascade", "delete --cascade=background -- rc kubia", -1},
		{"delete --cascade rc kubia", "delete --cascade=background -- rc kubia", -1},
		{"delete rc --wait kubia", "delete --wait=true -- rc kubia", -1},
		{"scale rc kubia --replicas=3", "scale --replicas=3 -- rc kubia", -1},
		{"scale rc kubia --replicas -1", "scale --replicas=-1 -- rc kubia", -1},
		{"exec -it kubia -- sh -c ls", "exec --stdin=true --tty=true -- kubia sh -c ls", 1},
		{"exec kubia -c main -i -- tar --help", "exec --container=main --stdin=true -- kubia tar --help", 1},
		{"exec -- sh", "exec -- sh", 0},
		{"create ns staging -o name", "create namespace --output=name -- staging", -1},
		{"create -o name ns staging", "create namespace --output=name -- staging", -1},
		{"create secret generic s --from-literal=a=b=c", "create secret generic --from-literal=a=b=c -- s", -1},
		{"logs -f kubia --tail 3", "logs --follow=true --tail=3 -- kubia", -1},
		{"get -v6 pods", "--v=6 get -- pods", -1},
		{"get -v=6 pods", "--v=6 get -- pods", -1},
		{"get --help", "get --help", -1},
		{"get pods -h", "get --help", -1},
		{"help get", "get --help", -1},
		{"help", "--help", -1},
		{"", "", -1},
		{"get", "get", -1},
		{"get get get", "get -- get get", -1},
	}
	for _, test := range tests {
		t.Run(test.line, func(t *testing.T) {
			got, err := Normalize(testApp(), append([]string{"skiff"}, strings.Fields(test.line)...))
			if err != nil {
				t.Fatal(err)
			}
			if want := append([]string{"skiff"}, strings.Fields(test.want)...); !slices.Equal(got.Args, want) {
				t.Errorf("got  %q\nwant %q", got.Args, want)
			}
			if got.Dash != test.dash {
				t.Errorf("dash at %d, want %d", got.Dash, test.dash)
			}
		})
	}
}

func TestNormalizeRefuses(t *testing.T) {
	tests := []struct{ line, want string }{
		{"get pods --frob", "unknown flag: --frob\nSee 'skiff get --help' for usage."},
		{"get pods --frob=x", "unknown flag: --frob\nSee 'skiff get --help' for usage."},
		{"get pods -Z", "unknown shorthand flag: 'Z' in -Z\nSee 'skiff get --help' for usage."},
		{"get pods -wZ", "unknown shorthand flag: 'Z' in -wZ\nSee 'skiff get --help' for usage."},
		{"get pods --o wide", "unknown flag: --o\nSee 'skiff get --help' for usage."},
		{"get -o", "flag needs an argument: 'o' in -o\nSee 'skiff get --help' for usage."},
		{"get --output", "flag needs an argument: --output\nSee 'skiff get --help' for usage."},
		{"frob", "unknown command \"frob\" for \"skiff\"\nSee 'skiff --help' for usage."},
		{"frob --bar", "unknown command \"frob\" for \"skiff\"\nSee 'skiff --help' for usage."},
		{"gte --bar", "unknown command \"gte\" for \"skiff\"\n\nDid you mean this?\n\tget\n\nSee 'skiff --help' for usage."},
		{"scale x --watch", "unknown flag: --watch\nSee 'skiff scale --help' for usage."},
		{"--replicas=3 get pods", "unknown flag: --replicas\nSee 'skiff get --help' for usage."},
		{"create ns x -f y", ""},
		{"create secret generic x -o y", ""},
	}
	for _, test := range tests {
		t.Run(test.line, func(t *testing.T) {
			_, err := Normalize(testApp(), append([]string{"skiff"}, strings.Fields(test.line)...))
			if got := message(err); got != test.want {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// What the shell asks for completions must reach urfave/cli as it is.
func TestNormalizeLeavesCompletionAlone(t *testing.T) {
	line := []string{"skiff", "get", "pods", "-o", "--generate-bash-completion"}
	got, err := Normalize(testApp(), line)
	if err != nil || !reflect.DeepEqual(got.Args, line) {
		t.Errorf("got %q, %v", got.Args, err)
	}
}

// FuzzNormalize: whatever is typed, the outcome is an error or a line in the form urfave/cli reads:
// flags with values before the first "--", and every positional argument after it, none lost and in
// order.
func FuzzNormalize(f *testing.F) {
	for _, seed := range []string{"get pods -o wide", "exec -it kubia -- sh -c ls", "delete --cascade rc", "-n x get", "create ns -oname y", "get -", "--", "-", "get --=x", "get -="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		line := append([]string{"skiff"}, strings.Split(text, " ")...)
		got, err := Normalize(testApp(), line)
		if err != nil || slices.Contains(line, completion) {
			return
		}
		flags, positional, _ := cut(got.Args[1:])
		for _, a := range flags {
			if strings.HasPrefix(a, "-") && a != "--help" && !strings.Contains(a, "=") {
				t.Errorf("%q: %q has no value in %q", text, a, got.Args)
			}
		}
		rest := line[1:]
		for _, p := range positional {
			i := slices.Index(rest, p)
			if i < 0 {
				t.Fatalf("%q: %q came from nowhere in %q", text, p, got.Args)
			}
			rest = rest[i+1:]
		}
		if dash := slices.Index(line, "--"); got.Dash >= 0 && dash >= 0 && len(positional) > 0 {
			if !slices.Equal(positional[got.Dash:], line[len(line)-len(positional)+got.Dash:]) {
				t.Errorf("%q: after the dash stands %q", text, positional[got.Dash:])
			}
		}
	})
}

func cut(args []string) (before, after []string, found bool) {
	i := slices.Index(args, "--")
	if i < 0 {
		return args, nil, false
	}
	return args[:i], args[i+1:], true
}

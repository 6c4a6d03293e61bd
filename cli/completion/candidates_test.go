package completion

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v2"
	testingclock "k8s.io/utils/clock/testing"

	"skiff/cli/client"
	"skiff/cli/clitest"
)

func newLine(t *testing.T) *line {
	server := clitest.New(t, testingclock.NewFakeClock(time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)))
	for _, name := range []string{"kubia-1", "kubia-2", "web"} {
		server.Put(map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": name, "namespace": "default"}})
	}
	server.Put(map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "other", "namespace": "shop"}})
	server.Put(map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "shop"}})
	l := &line{app: &cli.App{
		Name: "skiff", Flags: []cli.Flag{&cli.StringFlag{Name: "namespace", Aliases: []string{"n"}}, &cli.StringFlag{Name: "context"}},
		Commands: []*cli.Command{
			{Name: "get", Usage: "Display", Flags: []cli.Flag{&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "`FORMAT` of it"}, &cli.BoolFlag{Name: "watch"},
				&cli.StringFlag{Name: "filename", Aliases: []string{"f"}}, &cli.StringFlag{Name: "old", Hidden: true}}},
			{Name: "logs"}, {Name: "up"}, {Name: "config", Subcommands: []*cli.Command{{Name: "use-context"}}}, {Name: "__complete", Hidden: true},
		},
	}}
	l.connect = func() (*client.Client, error) {
		return client.New(client.Options{Server: server.URL, Namespace: l.given["namespace"], NamespaceGiven: l.given["namespace"] != "", Clock: server.Clock.(*testingclock.FakeClock)})
	}
	l.contexts = func() ([]string, error) { return []string{"prod", "skiff"}, nil }
	return l
}

// Each line is what was typed, with | for the spaces between words and "_" for nothing yet.
func TestComplete(t *testing.T) {
	for typed, want := range map[string]string{
		"_":                          "get logs up config",
		"l":                          "logs",
		"get|po":                     "pods poddisruptionbudgets",
		"get|pods|_":                 "kubia-1 kubia-2 web",
		"get|pods|k":                 "kubia-1 kubia-2",
		"get|pods|kubia-1|k":         "kubia-2",
		"get|po/k":                   "po/kubia-1 po/kubia-2",
		"get|-n|shop|pods|_":         "other",
		"-n|shop|get|pods|_":         "other",
		"get|--namespace=shop|po/":   "po/other",
		"get|--namespace|=|shop|po/": "po/other",
		"get|-n|s":                   "shop",
		"get|--namespace=s":          "--namespace=shop",
		"get|pods|-o|y":              "yaml",
		"get|--watch|pods|we":        "web",
		"get|--w":                    "--watch",
		"get|--":                     "--filename --watch --output --context --namespace",
		"get|nosuch|_":               "",
		"get|-f|_":                   "",
		"up|_":                       "",
		"logs|k":                     "kubia-1 kubia-2",
		"logs|pod/w":                 "pod/web",
		"logs|web|_":                 "",
		"config|_":                   "use-context",
		"config|use-context|_":       "prod skiff",
		"--context|p":                "prod",
	} {
		words := strings.Split(typed, "|")
		if last := len(words) - 1; words[last] == "_" {
			words[last] = ""
		}
		var got []string
		for _, c := range newLine(t).complete(t.Context(), joined(words)) {
			got = append(got, c.value)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %s, want %s", typed, strings.Join(got, " "), want)
		}
	}
}

// Without a cluster there are the commands and flags, and no noise.
func TestCompleteWithoutCluster(t *testing.T) {
	l := newLine(t)
	l.connect = func() (*client.Client, error) { return nil, errors.New("none") }
	if got := l.complete(t.Context(), []string{"get", "po"}); len(got) > 0 {
		t.Errorf("got %v", got)
	}
}

func TestJoined(t *testing.T) {
	for typed, want := range map[string]string{
		"--output|=|ya": "--output|ya", "--output|=": "--output|", "a|=|b": "a|=|b", "get|pods": "get|pods",
	} {
		if got := strings.Join(joined(strings.Split(typed, "|")), "|"); got != want {
			t.Errorf("%s: %s, want %s", typed, got, want)
		}
	}
}

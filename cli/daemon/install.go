package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"skiff/cli/command"
	"skiff/daemon/config"
)

// service is how a system keeps a daemon running for a user: a file that says what to run, and the commands that
// make the system take notice of it.
type service struct {
	path, text    string
	start, remove [][]string
	// note says what else the user may want to do; "" for nothing.
	note string
}

// serviceOf is this system's service; what it runs matters to start alone.
func serviceOf(system string, env *command.Env, program []string) (service, error) {
	home := env.Getenv("HOME")
	switch {
	case system != "linux" && system != "darwin":
		return service{}, fmt.Errorf("skiff installs no service on %s: have the system start skiff daemon run when you log in", system)
	case home == "":
		return service{}, errors.New("HOME is not set, where your services are")
	case system == "linux":
		return systemd(env, home, program), nil
	}
	return launchd(env, home, program, os.Getuid()), nil
}

func installCommand(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "install", Usage: "Have the daemon started when you log in: a user unit of systemd, or a launchd agent on macOS",
		Description: "The daemon is started at once, in place of one that runs. The flags are those of skiff daemon start, and are kept with the service;\n" +
			"so are DOCKER_HOST and DOCKER_CONTEXT. Installing again changes the service.",
		Flags: append(serverFlags(), dryRunFlag("print the service, and what would be run, and do neither")),
		Action: withConfig(env, func(c *cli.Context, cfg config.Config) error {
			self, err := os.Executable()
			if err != nil {
				return fmt.Errorf("finding skiff's own program: %w", err)
			}
			s, err := serviceOf(runtime.GOOS, env, append([]string{self, "daemon", "run"}, runArgs(c, cfg)...))
			if err != nil {
				return err
			}
			if c.Bool(dryRun) {
				fmt.Fprintf(env.Out, "# %s\n%s", s.path, s.text)
				printCommands(env, s.start)
				return nil
			}
			return s.install(c.Context, env, cfg)
		}),
	}, "skiff daemon install", "skiff daemon install --front-door=80 --dry-run")
}

func uninstallCommand(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "uninstall", Usage: "Remove the service that install made, and stop its daemon; workloads keep running",
		Flags: []cli.Flag{dryRunFlag("print what would be removed and run")},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return fmt.Errorf("unexpected argument %q", c.Args().First())
			}
			s, err := serviceOf(runtime.GOOS, env, nil)
			if err != nil {
				return err
			}
			if c.Bool(dryRun) {
				fmt.Fprintf(env.Out, "# removes %s\n", s.path)
				printCommands(env, s.remove)
				return nil
			}
			return s.uninstall(c.Context, env)
		},
	}, "skiff daemon uninstall")
}

const dryRun = "dry-run"

func dryRunFlag(usage string) cli.Flag { return &cli.BoolFlag{Name: dryRun, Usage: usage} }

func printCommands(env *command.Env, all [][]string) {
	for _, words := range all {
		fmt.Fprintf(env.Out, "# %s\n", strings.Join(words, " "))
	}
}

// install writes the service's file, and has its daemon take the place of one that runs.
func (s service) install(ctx context.Context, env *command.Env, cfg config.Config) error {
	if err := os.MkdirAll(filepath.Dir(s.path), 0o755); err != nil {
		return fmt.Errorf("making the folder of the service: %w", err)
	}
	if err := os.WriteFile(s.path, []byte(s.text), 0o644); err != nil {
		return fmt.Errorf("writing the service: %w", err)
	}
	if _, err := Stop(ctx, cfg.Dir); err != nil {
		return fmt.Errorf("stopping the daemon that runs, for the service to start its own: %w", err)
	}
	if err := runAll(ctx, s.start); err != nil {
		return err
	}
	fmt.Fprintf(env.Out, "installed %s; the daemon runs, and starts when you log in\n", s.path)
	if s.note != "" {
		fmt.Fprintln(env.Err, s.note)
	}
	return nil
}

func (s service) uninstall(ctx context.Context, env *command.Env) error {
	if _, err := os.Stat(s.path); errors.Is(err, os.ErrNotExist) {
		fmt.Fprintf(env.Out, "there is no service: %s does not exist\n", s.path)
		return nil
	}
	stopped := runAll(ctx, s.remove) // a service that the system does not know is to be removed as well
	if err := os.Remove(s.path); err != nil {
		return errors.Join(fmt.Errorf("removing the service: %w", err), stopped)
	}
	fmt.Fprintf(env.Out, "removed %s; containers keep running\n", s.path)
	return stopped
}

// runAll runs commands one after the other, up to one that fails.
func runAll(ctx context.Context, all [][]string) error {
	for _, words := range all {
		out, err := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s: %w: %s", strings.Join(words, " "), err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}

// kept are the variables that a daemon of the service is to have as well: services have few of their own.
func kept(env *command.Env) [][2]string {
	var out [][2]string
	for _, name := range []string{"DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"} {
		if value := env.Getenv(name); value != "" {
			out = append(out, [2]string{name, value})
		}
	}
	return out
}

const unit = "skiff.service"

// systemd is a user unit. The daemon says itself when it is ready (sd_notify(3)).
func systemd(env *command.Env, home string, program []string) service {
	config := env.Getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(config) {
		config = filepath.Join(home, ".config")
	}
	var b strings.Builder
	b.WriteString("[Unit]\nDescription=skiff: Kubernetes workloads on the Docker Engine\nDocumentation=man:skiff-daemon(1)\n\n[Service]\nType=notify\n")
	for _, v := range kept(env) {
		fmt.Fprintf(&b, "Environment=%s\n", quoteUnit(v[0]+"="+v[1]))
	}
	words := make([]string, len(program))
	for i, w := range program {
		words[i] = quoteUnit(w)
	}
	fmt.Fprintf(&b, "ExecStart=%s\nRestart=on-failure\nRestartSec=2\n\n[Install]\nWantedBy=default.target\n", strings.Join(words, " "))
	user := []string{"systemctl", "--user"}
	return service{
		path: filepath.Join(config, "systemd", "user", unit), text: b.String(),
		start: [][]string{append(user, "daemon-reload"), append(user, "enable", unit), append(user, "restart", unit)},
		// What systemd still has of a removed file goes with the next login.
		remove: [][]string{append(user, "disable", "--now", unit)},
		note:   "It ends when you log out: loginctl enable-linger keeps your services running.",
	}
}

// quoteUnit quotes a word for a unit's file, where % and $ mean something (systemd.service(5)).
func quoteUnit(word string) string {
	word = strings.NewReplacer("%", "%%", "$", "$$").Replace(word)
	if strings.ContainsAny(word, " \t\n\"'\\;") {
		return strconv.Quote(word)
	}
	return word
}

const agent = "skiff.daemon"

// launchd is an agent of the user's (launchd.plist(5)).
func launchd(env *command.Env, home string, program []string, uid int) service {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>Label</key><string>` + agent + `</string>
	<key>ProgramArguments</key>
	<array>
`)
	for _, w := range program {
		fmt.Fprintf(&b, "\t\t<string>%s</string>\n", quoteXML(w))
	}
	b.WriteString("\t</array>\n\t<key>EnvironmentVariables</key>\n\t<dict>\n")
	for _, v := range append(kept(env), [2]string{"PATH", env.Getenv("PATH")}) {
		fmt.Fprintf(&b, "\t\t<key>%s</key><string>%s</string>\n", v[0], quoteXML(v[1]))
	}
	log := filepath.Join(home, "Library", "Logs", "skiff.log")
	fmt.Fprintf(&b, `	</dict>
	<key>RunAtLoad</key><true/>
	<key>KeepAlive</key><dict><key>SuccessfulExit</key><false/></dict>
	<key>StandardErrorPath</key><string>%s</string>
</dict>
</plist>
`, quoteXML(log))
	domain := "gui/" + strconv.Itoa(uid)
	path := filepath.Join(home, "Library", "LaunchAgents", agent+".plist")
	return service{
		path: path, text: b.String(),
		// One that is loaded already is not read again, and unloading one that is not is a failure.
		start:  [][]string{{"sh", "-c", "launchctl bootout " + domain + "/" + agent + " 2>/dev/null || true"}, {"launchctl", "bootstrap", domain, path}},
		remove: [][]string{{"launchctl", "bootout", domain + "/" + agent}},
		note:   "Its log is " + log + ".",
	}
}

func quoteXML(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}

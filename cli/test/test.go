// Package test is skiff test: an application on a daemon of its own, brought up, waited for, reported on
// and removed, for CI.
package test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/util/validation"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/report"
	"skiff/cli/up"
	"skiff/cli/version"
	"skiff/daemon/datadir"
)

// Command is skiff test.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "test", Usage: "Run an application on a daemon of its own, wait for its jobs, report, and remove it", ArgsUsage: "[-f FILE…]",
		Description: "Takes what skiff up takes: manifests, a compose file, or what is in this folder. A daemon is started for it on a free port, with its own\n" +
			"network, and is removed with everything it made, whatever happens: tests side by side on one engine do not meet. The exit code is 0 when\n" +
			"everything has come up and every job has completed. With --for it is otherwise that of the container of this job.\n\n" +
			"--report writes report.html, a page with a time line of pods, containers, events and logs, junit.xml and report.json.",
		Flags: command.Flags(up.ApplicationFlags("run"),
			&cli.StringFlag{Name: "for", Usage: "exit with the code of this job's container: `job/NAME`"},
			&cli.DurationFlag{Name: "timeout", Value: 5 * time.Minute, Usage: "fail if it is not done after this time; 0 for no limit"},
			&cli.StringFlag{Name: "report", Usage: "write the report to this `FOLDER`"},
			&cli.BoolFlag{Name: "keep", Usage: "leave everything running, and say how to look at it and how to remove it"}),
		Action: func(c *cli.Context) error { return run(c, env) },
	},
		"skiff test -f manifests/ --report out/",
		"skiff test -f app.yaml -f tests.yaml --for job/tests --timeout 2m",
		"skiff test                                 # the compose file of this folder")
}

// trial is one run.
type trial struct {
	env    *command.Env
	dir    datadir.Dir
	client *client.Client
	began  time.Time
	job    string
	groups groups
}

func run(c *cli.Context, env *command.Env) error {
	if err := forgetDefaults(c); err != nil {
		return err
	}
	if !env.OwnCluster(c) || env.EnsureDaemon == nil || env.ResetDaemon == nil {
		return errors.New("skiff test starts a daemon of its own: --context, --kubeconfig, --cluster and --server have no place here")
	}
	t := &trial{env: env, began: env.Now(), groups: newGroups(env)}
	var err error
	if t.job, err = readFor(c.String("for")); err != nil {
		return err
	}
	if err := t.start(c); err != nil {
		return err
	}
	err = t.runAndReport(c)
	return command.Join(err, t.end(c))
}

// forgetDefaults drops what the configuration file says of clusters: it is about others than the one to come.
func forgetDefaults(c *cli.Context) error {
	for _, name := range []string{"kubeconfig", "context", "cluster", "server", "user", "token", "namespace"} {
		if c.IsSet(name) {
			continue
		}
		if err := c.Set(name, ""); err != nil {
			return fmt.Errorf("--%s: %w", name, err)
		}
	}
	return nil
}

func readFor(value string) (job string, err error) {
	if value == "" {
		return "", nil
	}
	kind, name, found := strings.Cut(value, "/")
	if !found || kind != "job" && kind != "jobs" && kind != "job.batch" || len(validation.IsDNS1123Subdomain(name)) > 0 {
		return "", fmt.Errorf("--for is job/NAME, not %q", value)
	}
	return name, nil
}

// start runs a daemon in a directory of its own. Commands inside this one find it there.
func (t *trial) start(c *cli.Context) error {
	path, err := os.MkdirTemp("", "skiff-test-")
	if err != nil {
		return fmt.Errorf("making the daemon's directory: %w", err)
	}
	t.dir = datadir.Dir(path)
	if err := c.Set("data-dir", path); err != nil {
		return err
	}
	if _, err := t.env.EnsureDaemon(c.Context, t.dir, "127.0.0.1:0"); err != nil {
		return command.Join(fmt.Errorf("starting the skiff daemon: %w", err), t.remove(c.Context))
	}
	return nil
}

// runAndReport brings the application up, waits for its jobs, and writes down what happened.
func (t *trial) runAndReport(c *cli.Context) (err error) {
	if t.client, err = t.env.Connect(c); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(c.Context))
	recorder := report.NewRecorder(t.client, t.env.Clock)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return recorder.Run(ctx) })
	t.groups.begin("skiff up")
	outcome := up.Bring(c, t.env)
	t.groups.end()
	message, code := command.Explain(outcome)
	if message == "" && code != 0 {
		message = "interrupted\n"
	}
	collecting, enough := context.WithTimeout(ctx, collection)
	r, err := recorder.Finish(collecting, outcome == nil, message)
	enough()
	stop()
	err = command.Join(err, group.Wait())
	if r == nil {
		return command.Join(outcome, err)
	}
	r.Title, r.Version, r.Began = title(c), version.Own(), t.began
	t.groups.logs(r)
	if folder := c.String("report"); folder != "" {
		if werr := r.Write(folder); werr != nil {
			err = command.Join(err, werr)
		} else {
			fmt.Fprintf(t.env.Err, "report: %s\n", filepath.Join(folder, "report.html"))
		}
	}
	return t.outcome(outcome, err, r)
}

// collection bounds how long the report's last part may take.
const collection = 30 * time.Second

// outcome is the error that the command ends with. A failure of the report's is one, too.
func (t *trial) outcome(outcome, reporting error, r *report.Report) error {
	took := r.Ended.Sub(t.began).Seconds()
	if outcome == nil && t.job != "" && !slices.ContainsFunc(r.Workloads, func(w *report.Workload) bool { return w.Kind == "Job" && w.Name == t.job }) {
		outcome = fmt.Errorf("--for: there is no job/%s in the application", t.job)
	}
	if outcome == nil && reporting == nil {
		fmt.Fprintf(t.env.Err, "passed in %.1fs\n", took)
		return nil
	}
	message, code := command.Explain(command.Join(outcome, reporting))
	fmt.Fprintf(t.env.Err, "%sfailed after %.1fs\n", message, took)
	if code == 1 && t.hasFailed(r) {
		if of := exitCode(r, t.job); of > 0 {
			code = of
		}
	}
	return command.Exit{Code: code}
}

// hasFailed reports whether the job of --for has.
func (t *trial) hasFailed(r *report.Report) bool {
	return slices.ContainsFunc(r.Workloads, func(w *report.Workload) bool { return w.Kind == "Job" && w.Name == t.job && w.State == "failed" })
}

var exited = regexp.MustCompile(`^exit code (\d+)`)

// exitCode is that of the last container of a job that has failed; 0 if none has.
func exitCode(r *report.Report, job string) (code int) {
	for _, p := range r.Pods {
		if p.Owner != "job/"+job {
			continue
		}
		for _, c := range p.Containers {
			for _, s := range c.Spans {
				if m := exited.FindStringSubmatch(s.Note); m != nil && s.Failed {
					fmt.Sscan(m[1], &code) //nolint:errcheck // it matched
				}
			}
		}
	}
	return code
}

// title names the application as a person would.
func title(c *cli.Context) string {
	if names := command.Files(c).Names; len(names) > 0 {
		return strings.Join(names, " ")
	}
	here, err := os.Getwd()
	if err != nil {
		return "skiff test"
	}
	return filepath.Base(here)
}

// end removes everything, or says how to.
func (t *trial) end(c *cli.Context) error {
	if c.Bool("keep") {
		fmt.Fprintf(t.env.Err, "kept: KUBECONFIG=%s kubectl get pods -A\nremove it with: skiff daemon reset --yes --data-dir %s\n", t.dir.Kubeconfig(), t.dir)
		return nil
	}
	return t.remove(c.Context)
}

// removal bounds how long the end may take. It is not cut short by an interrupt: what it leaves behind
// nobody would find.
const removal = time.Minute

func (t *trial) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removal)
	defer cancel()
	if err := t.env.ResetDaemon(ctx, t.dir); err != nil {
		return fmt.Errorf("removing what the test made, which skiff daemon reset --yes --data-dir %s tries again: %w", t.dir, err)
	}
	return os.RemoveAll(string(t.dir))
}

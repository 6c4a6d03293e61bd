// Package compose reads compose files, through the official loader, and converts them to Kubernetes
// objects. What has no meaning there is refused or remarked on by name and line: nothing is silently
// left out.
package compose

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/consts"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/sirupsen/logrus"

	"skiff/cli/chart"
	"skiff/cli/kustomization"
)

// Names are those of compose files that are found without being named, the first that exists wins.
var Names = cli.DefaultFileNames

// Source says which compose files to read, and how.
type Source struct {
	// Files are merged in this order. Without any, those of the folder are found as docker compose
	// finds them, in $COMPOSE_FILE or by their usual names.
	Files []string
	// Name is the project's, "" for that in the file, of $COMPOSE_PROJECT_NAME or of the folder.
	Name     string
	Profiles []string
	// EnvFiles stand in for .env.
	EnvFiles []string
	// Environ are the variables of this process, as NAME=VALUE.
	Environ []string
}

// Load reads the project. remarks are what the loader warned of.
func (s Source) Load(ctx context.Context) (p *types.Project, remarks []string, err error) {
	for _, file := range s.Files {
		if composed, err := IsComposeFile(file); err == nil && !composed {
			return nil, nil, fmt.Errorf("%s is no compose file: it has neither services nor another section of one", file)
		}
	}
	loading.Lock()
	defer loading.Unlock()
	defer catch(&remarks)()
	o, err := s.options()
	if err != nil {
		return nil, nil, err
	}
	if p, err = o.LoadProject(ctx); err != nil {
		err = explain(err, o.ConfigPaths)
	}
	return p, remarks, err
}

// options are the loader's, in docker compose's order: the .env here may name the compose files, and that
// beside them has their variables.
func (s Source) options() (*cli.ProjectOptions, error) {
	return cli.NewProjectOptions(s.Files,
		cli.WithWorkingDirectory(s.folder()), cli.WithEnv(s.Environ), cli.WithEnvFiles(s.EnvFiles...), cli.WithDotEnv,
		cli.WithConfigFileEnv, cli.WithDefaultConfigPath, cli.WithEnvFiles(s.EnvFiles...), cli.WithDotEnv,
		cli.WithDefaultProfiles(s.Profiles...), cli.WithName(s.Name))
}

// folder is where the first file is, to which paths in the files are relative; "" leaves that to the
// loader, which then finds the files.
func (s Source) folder() string {
	if len(s.Files) > 0 && s.Files[0] != "-" {
		return filepath.Dir(s.Files[0])
	}
	return ""
}

// Usual are the compose files that need not be named: those of $COMPOSE_FILE, or those of this folder or of
// the nearest one above that has any. None are looked for above a folder that is itself a kustomization or a
// Helm chart.
func Usual(environ []string) ([]string, error) {
	var remarks []string
	loading.Lock()
	defer loading.Unlock()
	defer catch(&remarks)()
	here, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	o, err := Source{Environ: environ}.options()
	if err != nil {
		if !slices.ContainsFunc(environ, func(v string) bool { return strings.HasPrefix(v, consts.ComposeFilePath+"=") }) && !near(here) {
			err = nil // the .env of a folder that has nothing to do with compose files
		}
		return nil, err
	}
	named := o.Environment[consts.ComposeFilePath] != ""
	if len(o.ConfigPaths) > 0 && !named && filepath.Dir(o.ConfigPaths[0]) != here && (kustomization.Is(here) || chart.Is(here)) {
		return nil, nil
	}
	return o.ConfigPaths, nil
}

// near reports whether a folder, or one above it, has a compose file.
func near(dir string) bool {
	for {
		if slices.ContainsFunc(Names, func(name string) bool { _, err := os.Stat(filepath.Join(dir, name)); return err == nil }) {
			return true
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return false
		}
		dir = parent
	}
}

// loading guards the loader's logger, which is the process's.
var loading sync.Mutex

// catch collects what the loader logs until the function that it returns is called.
func catch(remarks *[]string) (restore func()) {
	log := logrus.StandardLogger()
	out, hooks, level := log.Out, log.ReplaceHooks(logrus.LevelHooks{}), log.GetLevel()
	log.SetOutput(nowhere{})
	log.SetLevel(logrus.WarnLevel)
	log.AddHook(&catcher{remarks})
	return func() {
		log.SetOutput(out)
		log.ReplaceHooks(hooks)
		log.SetLevel(level)
	}
}

type nowhere struct{}

func (nowhere) Write(p []byte) (int, error) { return len(p), nil }

type catcher struct{ remarks *[]string }

func (c *catcher) Levels() []logrus.Level { return []logrus.Level{logrus.WarnLevel, logrus.ErrorLevel} }

func (c *catcher) Fire(e *logrus.Entry) error {
	if text := strings.TrimSpace(e.Message); !slices.Contains(*c.remarks, text) {
		*c.remarks = append(*c.remarks, text)
	}
	return nil
}

// IsComposeFile reports whether a file looks like a compose file and not like a manifest: it has services
// or another section of one at its top, and no kind. A file that others are merged with may have no services.
func IsComposeFile(path string) (bool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return false, fmt.Errorf("reading %s: %w", path, err)
	}
	if root, err := parse(text); err == nil && len(root.Content) == 0 && slices.Contains(Names, filepath.Base(path)) {
		return true, nil // empty: the loader says so
	}
	return looksLikeCompose(text), nil
}

func looksLikeCompose(text []byte) bool {
	root, err := parse(text)
	if err != nil {
		// What cannot be parsed is a compose file by its first words.
		for line := range strings.Lines(string(text)) {
			switch key, _, _ := strings.Cut(line, ":"); key {
			case "apiVersion", "kind":
				return false
			case "services":
				return true
			}
		}
		return false
	}
	sections := []string{"services", "include", "volumes", "networks", "configs", "secrets"}
	return !has(root, "kind") && !has(root, "apiVersion") && slices.ContainsFunc(sections, func(name string) bool { return has(root, name) })
}

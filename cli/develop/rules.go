// Package develop says what is done when files that an application is made of change.
package develop

import (
	"errors"
	"fmt"

	"skiff/cli/recipe"
)

// Action is what is done about a change.
type Action string

// The actions, by their names in compose files.
const (
	Sync        Action = "sync"
	Rebuild     Action = "rebuild"
	Restart     Action = "restart"
	SyncRestart Action = "sync+restart"
	SyncExec    Action = "sync+exec"
)

// Syncs reports whether changed files are copied into containers.
func (a Action) Syncs() bool { return a == Sync || a == SyncRestart || a == SyncExec }

// Rule says what is done about changes of a file, or below a folder.
type Rule struct {
	// Path is absolute.
	Path   string
	Action Action
	// Target is where in the container the file, or the folder's files, are copied to.
	Target string
	// Ignore and Include are patterns as in .dockerignore, relative to Path. Without Include all is included.
	Ignore, Include []string
	// Exec is run in the containers once files have been copied.
	Exec []string
	// Initial means that all files are copied at first, and not only those that change.
	Initial bool
}

// Subject is a container of a workload's pods that files are watched for.
type Subject struct {
	// Kind, Namespace and Name are the workload's.
	Kind, Namespace, Name string
	Container             string
	// Service is what messages call it.
	Service string
	// Recipe is how its image is made; nil where it is not built here.
	Recipe *recipe.Recipe
	Rules  []Rule
}

// Check refuses subjects that cannot be kept up as their rules say.
func Check(subjects []Subject) error {
	var errs []error
	for _, s := range subjects {
		for _, r := range s.Rules {
			switch {
			case r.Action == Rebuild && s.Recipe == nil:
				errs = append(errs, fmt.Errorf("%s: changes of %s cannot rebuild it: nothing says how its image is built", s.Service, r.Path))
			case r.Action == SyncRestart && s.Recipe == nil:
				errs = append(errs, fmt.Errorf("%s: changes of %s cannot restart it with new files: that takes an image of its own, and nothing says how it is built", s.Service, r.Path))
			}
		}
	}
	return errors.Join(errs...)
}

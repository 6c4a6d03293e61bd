package compose

import (
	"fmt"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"

	"skiff/cli/develop"
	"skiff/cli/recipe"
)

// actions are those that there are, by their names in the files.
var actions = map[types.WatchAction]develop.Action{
	types.WatchActionSync: develop.Sync, types.WatchActionRebuild: develop.Rebuild, types.WatchActionRestart: develop.Restart,
	types.WatchActionSyncRestart: develop.SyncRestart, types.WatchActionSyncExec: develop.SyncExec,
}

// addWatch notes what skiff up --watch does about changes of files.
func (s *service) addWatch() {
	if s.Develop == nil || len(s.Develop.Watch) == 0 {
		return
	}
	subject := develop.Subject{Kind: s.kind(), Namespace: s.namespace, Name: s.object, Container: s.object, Service: s.Name}
	if i := slices.IndexFunc(s.app.Builds, func(b recipe.Recipe) bool { return b.Service == s.Name }); i >= 0 {
		made := s.app.Builds[i]
		subject.Recipe = &made
	}
	for i, t := range s.Develop.Watch {
		path := s.at("develop", "watch", fmt.Sprint(i))
		action, known := actions[t.Action]
		if !known {
			s.refuse(path, "the action %q is not supported", t.Action)
			continue
		}
		if e := t.Exec; e.User != "" || e.WorkingDir != "" || e.Privileged || len(e.Environment) > 0 {
			s.remark(path, "the command is run as the container's own user, with its folder and variables")
		}
		subject.Rules = append(subject.Rules, develop.Rule{
			Path: t.Path, Action: action, Target: t.Target, Ignore: t.Ignore, Include: t.Include, Exec: t.Exec.Command, Initial: t.InitialSync,
		})
	}
	s.app.Watched = append(s.app.Watched, subject)
}

package doctor

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"skiff/cli/command"
	"skiff/cli/daemon"
	"skiff/daemon/config"
	"skiff/daemon/datadir"
	"skiff/manifests/servicefacts"
)

// answers is how long a daemon or a name server may take to answer.
const answers = 3 * time.Second

// look gathers the findings. What can not be looked at is no error, but a finding.
func look(c *cli.Context, env *command.Env) (findings, error) {
	dir, err := env.DataDir(c)
	if err != nil {
		return findings{}, err
	}
	f := findings{dir: string(dir), now: env.Now()}
	if env.Examine == nil {
		f.engineErr = errors.New("this program can not ask for one")
	} else {
		f.engine, f.engineErr = env.Examine(c.Context, c.String("engine"))
	}
	f.now = env.Now() // the engine may have taken its time
	f.dataDisk = diskOf(existing(string(dir)))
	if f.dataDisk != nil {
		f.dataDisk.full = dir.Full()
	}
	if f.engine.Local && f.engine.Root != "" {
		f.engineDisk = diskOf(f.engine.Root)
	}
	if dir.IsInstance() {
		f.instance, _ = dir.InstanceID() // an unreadable one says nothing here; the daemon will
	}
	f.daemon = lookAtDaemon(c.Context, dir)
	if f.daemon.pid == 0 {
		f.taken = takenPorts(c.Context)
	}
	f.known, f.trials = directories(dir)
	f.context = staleContext(dir)
	f.localhost, f.localhostErr = resolveLocal(c.Context)
	return f, nil
}

// existing is a folder, or the nearest above it that is there.
func existing(path string) string {
	for {
		if _, err := os.Stat(path); err == nil || path == filepath.Dir(path) {
			return path
		}
		path = filepath.Dir(path)
	}
}

// diskOf is nil where the folder can not be seen, as that of an engine in a virtual machine.
func diskOf(path string) *disk {
	free, err := datadir.FreeBytes(path)
	if err != nil {
		return nil
	}
	return &disk{path: path, free: free}
}

func lookAtDaemon(ctx context.Context, dir datadir.Dir) (d daemonFindings) {
	if d.pid, d.lockErr = dir.Holder(); d.pid == 0 {
		return d
	}
	d.other = otherProgram(d.pid)
	if d.address, d.api = dir.Address(); d.api != nil {
		return d
	}
	code, body, err := ask(ctx, dir, "/readyz?verbose")
	switch {
	case err != nil:
		d.api = fmt.Errorf("its API does not answer: %w", err)
		return d
	case code != http.StatusOK:
		d.api = fmt.Errorf("it is not ready: %s", strings.Join(failing(string(body)), ", "))
	}
	var info corev1.ConfigMap
	if code, body, err := ask(ctx, dir, "/api/v1/namespaces/"+servicefacts.InfoNamespace+"/configmaps/"+servicefacts.InfoName); err == nil && code == http.StatusOK && json.Unmarshal(body, &info) == nil {
		d.network, d.door = info.Data[servicefacts.InfoNetwork], info.Data[servicefacts.InfoFrontDoor]
	}
	return d
}

// failing are the lines of /readyz that are not well.
func failing(text string) []string {
	var out []string
	for _, l := range strings.Split(text, "\n") {
		if bad, ok := strings.CutPrefix(l, "[-]"); ok {
			out = append(out, bad)
		}
	}
	return out
}

// ask asks the daemon's API, which may hang.
func ask(ctx context.Context, dir datadir.Dir, path string) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, answers)
	defer cancel()
	return daemon.Get(ctx, dir, path)
}

// otherProgram says in what a daemon's program differs from this one, "" when it does not, or when that
// can not be seen.
func otherProgram(pid int) string {
	path := fmt.Sprintf("/proc/%d/exe", pid)
	self, err := os.Executable()
	if err != nil {
		return ""
	}
	own, err := os.Stat(self)
	if err != nil {
		return ""
	}
	its, err := os.Stat(path)
	if err != nil || os.SameFile(own, its) {
		return ""
	}
	mine, theirs := revision(self), revision(path)
	if mine != "" && mine == theirs && own.Size() == its.Size() {
		return ""
	}
	where, _ := os.Readlink(path)
	return strings.TrimSpace(fmt.Sprintf("the daemon runs another skiff than this one: %s %s", where, theirs))
}

// revision is what a program was built from, "" when it does not say.
func revision(path string) string {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}

// takenPorts are the usual addresses on which some program listens.
func takenPorts(ctx context.Context) map[string]string {
	taken := map[string]string{}
	for what, address := range map[string]string{"the API": config.Listen, "the front door": net.JoinHostPort(config.PublishAddress, strconv.Itoa(config.FrontDoorPort))} {
		var listen net.ListenConfig
		l, err := listen.Listen(ctx, "tcp", address)
		if err == nil {
			l.Close()
		} else if errors.Is(err, syscall.EADDRINUSE) {
			taken[what] = address
		}
	}
	return taken
}

// directories are the instances of the data directories that are known, and those of skiff test that have
// no daemon.
func directories(own datadir.Dir) (known, trials []string) {
	all := append([]datadir.Dir{own}, daemons()...)
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), "skiff-test-*")) // the pattern is a good one
	for _, path := range left {
		dir := datadir.Dir(path)
		if !dir.IsInstance() {
			continue
		}
		all = append(all, dir)
		if pid, err := dir.Holder(); err == nil && pid == 0 {
			trials = append(trials, path)
		}
	}
	for _, dir := range all {
		if !dir.IsInstance() {
			continue
		}
		if id, err := dir.InstanceID(); err == nil {
			known = append(known, id)
		}
	}
	return known, trials
}

// daemons are the data directories of all daemons of this machine, as far as this user sees them.
func daemons() []datadir.Dir {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is a good one
	var out []datadir.Dir
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		args := strings.Split(strings.TrimRight(string(raw), "\x00"), "\x00")
		if len(args) < 3 || args[1] != "daemon" || args[2] != "run" {
			continue
		}
		environ, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "environ")) // another user's says nothing
		dir, err := datadir.Find(flagValue(args, "--data-dir"), func(name string) (string, bool) {
			for _, v := range bytes.Split(environ, []byte{0}) {
				if value, ok := bytes.CutPrefix(v, []byte(name+"=")); ok {
					return string(value), true
				}
			}
			return "", false
		})
		if err == nil {
			out = append(out, dir)
		}
	}
	return out
}

// flagValue is the value of a flag, as --flag=value or as two words.
func flagValue(args []string, name string) string {
	for i, a := range args {
		if value, ok := strings.CutPrefix(a, name+"="); ok {
			return value
		}
		if a == name && i+1 < len(args) {
			return args[i+1]
		}
	}
	return ""
}

// staleContext says what is wrong with the context skiff in the user's own kubeconfig.
func staleContext(dir datadir.Dir) string {
	user, err := clientcmd.NewDefaultPathOptions().GetStartingConfig()
	if err != nil {
		return fmt.Sprintf("your kubeconfig can not be read: %v", err)
	}
	mine := user.Clusters[datadir.ContextName]
	if mine == nil {
		return ""
	}
	now, err := dir.ReadKubeconfig()
	if err != nil {
		return fmt.Sprintf("its context %q leads to %s, where no daemon of this data directory runs", datadir.ContextName, mine.Server)
	}
	return differs(mine, now.Clusters[datadir.ContextName])
}

func differs(mine, now *clientcmdapi.Cluster) string {
	switch {
	case now == nil:
		return ""
	case mine.Server != now.Server:
		return fmt.Sprintf("its context %q leads to %s, but the daemon is at %s", datadir.ContextName, mine.Server, now.Server)
	case !bytes.Equal(mine.CertificateAuthorityData, now.CertificateAuthorityData):
		return fmt.Sprintf("its context %q has the certificates of an earlier daemon", datadir.ContextName)
	}
	return ""
}

// resolveLocal asks this system for a name under .localhost, as other programs do: by its C library where
// that can be asked.
func resolveLocal(ctx context.Context) ([]string, error) {
	const name = "skiff-doctor.localhost"
	ctx, cancel := context.WithTimeout(ctx, answers)
	defer cancel()
	if getent, err := exec.LookPath("getent"); err == nil {
		out, err := exec.CommandContext(ctx, getent, "ahosts", name).Output()
		var addresses []string
		for _, l := range strings.Split(string(out), "\n") {
			if fields := strings.Fields(l); len(fields) > 1 && fields[1] == "STREAM" {
				addresses = append(addresses, fields[0])
			}
		}
		return addresses, err
	}
	return net.DefaultResolver.LookupHost(ctx, name)
}

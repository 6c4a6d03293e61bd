package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"skiff/cli/command"
	"skiff/daemon/config"
)

// findings are what was seen. They are judged without another look.
type findings struct {
	dir string
	// instance is the data directory's, "" before a daemon has used it.
	instance  string
	now       time.Time
	engine    config.Engine
	engineErr error
	// dataDisk and engineDisk are the disks of the data directory and of the engine; nil where they can
	// not be seen.
	dataDisk, engineDisk *disk
	daemon               daemonFindings
	// taken are the usual addresses on which another program listens, by what skiff has them for. They
	// are looked at only while no daemon has them.
	taken map[string]string
	// known are the instances of the data directories that are known: of this one, and of running daemons.
	known []string
	// trials are the data directories that skiff test has left without a daemon.
	trials []string
	// context is what is wrong with the context skiff in the user's kubeconfig, "" for nothing.
	context string
	// localhost are the addresses of a name under .localhost, or why there are none.
	localhost    []string
	localhostErr error
}

// daemonFindings are what was seen of the daemon.
type daemonFindings struct {
	// pid is 0 when none runs.
	pid     int
	lockErr error
	// address is that of its API, "" when it can not be known.
	address string
	// api is why the API does not answer, or is not ready.
	api error
	// network is how the pods' network is, in the daemon's words, and door where the front door is.
	network, door string
	// other is in what the daemon's program differs from this one; "" when it is the same, or not known.
	other string
}

// disk is how much is free, in bytes.
type disk struct {
	path string
	free uint64
	full error
}

// judge says what of the findings is wrong.
func judge(f findings) []Check {
	checks := []Check{f.engineCheck()}
	if f.engineErr == nil {
		checks = append(checks, f.limitsCheck(), f.clockCheck())
	}
	checks = append(checks, f.dataCheck())
	if f.engineDisk != nil {
		checks = append(checks, f.rootCheck())
	}
	checks = append(checks, f.daemonCheck())
	if f.daemon.pid != 0 {
		checks = append(checks, f.versionCheck(), f.networkCheck())
	}
	checks = append(checks, f.portsCheck())
	if f.engineErr == nil {
		checks = append(checks, f.leftCheck())
	}
	checks = append(checks, f.trialsCheck(), f.kubeconfigCheck(), f.namesCheck())
	return slices.DeleteFunc(checks, func(c Check) bool { return c.Says == "" })
}

func (f *findings) engineCheck() Check {
	c := Check{Name: "engine", Level: OK}
	if f.engineErr == nil {
		kind := ""
		switch {
		case f.engine.Rootless:
			kind = ", rootless"
		case strings.Contains(f.engine.OS, "Docker Desktop"):
			kind = ", Docker Desktop"
		}
		c.Says = fmt.Sprintf("Docker Engine %s, API %s%s, at %s (%s)", f.engine.Version, f.engine.API, kind, f.engine.Host, f.engine.Named)
		return c
	}
	c.Level, c.Says = Fault, fmt.Sprintf("%v (%s)", f.engineErr, f.engine.Named)
	switch said := f.engineErr.Error(); {
	case errors.Is(f.engineErr, fs.ErrPermission), strings.Contains(said, "permission denied"), strings.Contains(said, "not permitted"):
		c.Do = []string{"sudo usermod -aG docker $USER, then log in anew (whoever is in that group rules over the machine)"}
	case f.engine.Host == "" || f.engine.Named != "the default socket":
		c.Do = []string{"docker context ls; see whether " + f.engine.Named + " names the right engine"}
	default:
		c.Do = []string{"sudo systemctl start docker, or start Docker Desktop"}
	}
	return c
}

func (f *findings) limitsCheck() Check {
	var missing []string
	for what, there := range map[string]bool{"memory": f.engine.MemoryLimit, "processes": f.engine.PidsLimit, "CPU": f.engine.CPULimit} {
		if !there {
			missing = append(missing, what)
		}
	}
	slices.Sort(missing)
	c := Check{Name: "limits", Level: OK, Says: fmt.Sprintf("memory, CPU and processes are limited (cgroup v%s, driver %s)", f.engine.CgroupVersion, f.engine.CgroupDriver)}
	if len(missing) > 0 {
		c.Level, c.Says = Warning, fmt.Sprintf("limits of %s have no effect: the kernel lacks the cgroup controllers (cgroup v%s, driver %s)",
			strings.Join(missing, " and "), f.engine.CgroupVersion, f.engine.CgroupDriver)
		c.Do = []string{"boot the kernel with cgroup_enable=memory swapaccount=1; a rootless engine needs cgroup v2 and systemd's delegation"}
	}
	return c
}

// maxDrift is how far the engine's clock may be from this machine's: times of containers are the engine's.
const maxDrift = 2 * time.Second

func (f *findings) clockCheck() Check {
	if f.engine.Time.IsZero() {
		return Check{}
	}
	drift := f.now.Sub(f.engine.Time).Abs()
	if drift <= maxDrift {
		return Check{Name: "clock", Level: OK, Says: "the engine's and this machine's agree"}
	}
	return Check{Name: "clock", Level: Warning, Says: fmt.Sprintf("the engine's and this machine's differ by %s: ages and back-offs are off by as much", drift.Round(time.Second)),
		Do: []string{"set the clocks (timedatectl set-ntp true), or restart the engine's virtual machine"}}
}

// Free space, in bytes, below which builds and pulls soon fail.
const (
	little = 1 << 30
	none   = 64 << 20
)

func (d *disk) check(name string) Check {
	c := Check{Name: name, Level: OK, Says: fmt.Sprintf("%s free at %s", size(d.free), d.path)}
	switch {
	case d.full != nil:
		c.Level, c.Says = Fault, d.full.Error()
	case d.free < none:
		c.Level = Fault
	case d.free < little:
		c.Level = Warning
	}
	if c.Level != OK {
		c.Do = []string{"docker system df; docker image prune; docker builder prune"}
	}
	return c
}

func size(n uint64) string {
	if n >= 1<<30 {
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	}
	return fmt.Sprintf("%d MiB", n>>20)
}

func (f *findings) dataCheck() Check {
	if f.dataDisk == nil {
		return Check{}
	}
	return f.dataDisk.check("data disk")
}

func (f *findings) rootCheck() Check { return f.engineDisk.check("engine disk") }

func (f *findings) daemonCheck() Check {
	c := Check{Name: "daemon", Level: OK}
	d := &f.daemon
	own := f.remains(f.instance)
	switch {
	case d.lockErr != nil:
		c.Level, c.Says, c.Do = Fault, d.lockErr.Error(), []string{"see to whom " + f.dir + " belongs, or choose another one with --data-dir"}
	case d.pid == 0 && own.Running > 0:
		c.Level, c.Says = Warning, fmt.Sprintf("not running, but %d of its containers are: nobody restarts or probes them (data directory %s)", own.Running, f.dir)
		c.Do = []string{"skiff daemon start, which takes them over", "or skiff daemon reset --yes, which removes them and their data"}
	case d.pid == 0:
		c.Says = fmt.Sprintf("not running; skiff up starts it (data directory %s)", f.dir)
	case d.api != nil:
		c.Level, c.Says = Fault, fmt.Sprintf("process %d holds %s, but %v", d.pid, f.dir, d.api)
		c.Do = []string{"skiff daemon logs", "skiff daemon stop && skiff daemon start"}
	default:
		c.Says = fmt.Sprintf("running as process %d, ready, API at %s (data directory %s)", d.pid, d.address, f.dir)
	}
	return c
}

func (f *findings) versionCheck() Check {
	if f.daemon.other == "" {
		return Check{Name: "version", Level: OK, Says: "the daemon is this very program"}
	}
	return Check{Name: "version", Level: Warning, Says: f.daemon.other, Do: []string{"skiff daemon stop && skiff daemon start; workloads keep running"}}
}

func (f *findings) networkCheck() Check {
	c := Check{Name: "network", Level: OK, Says: f.daemon.network}
	switch {
	case f.daemon.api != nil:
		return Check{}
	case f.daemon.network == "":
		c.Level, c.Says, c.Do = Warning, "there is none yet", []string{"skiff daemon logs, if that lasts"}
	case strings.HasPrefix(f.daemon.network, "waiting"):
		c.Level, c.Do = Warning, []string{"skiff daemon logs, if that lasts"}
	case strings.Contains(f.daemon.network, ", userland;"):
		c.Level, c.Do = Warning, []string{"sudo modprobe nf_tables, on the engine's machine: without it Services are slower"}
	}
	return c
}

func (f *findings) portsCheck() Check {
	if f.daemon.pid != 0 {
		says := "the API is at " + f.daemon.address
		if f.daemon.door != "" {
			says += ", the front door at http://" + f.daemon.door
		}
		return Check{Name: "ports", Level: OK, Says: says}
	}
	c := Check{Name: "ports", Level: OK, Says: fmt.Sprintf("%s (API) and %s:%d (front door) are free", config.Listen, config.PublishAddress, config.FrontDoorPort)}
	var taken []string
	for _, what := range []string{"the API", "the front door"} {
		if address := f.taken[what]; address != "" {
			taken = append(taken, fmt.Sprintf("%s, for %s", address, what))
			_, port, _ := strings.Cut(address, ":")
			c.Do = append(c.Do, "ss -ltnp 'sport = :"+port+"' names who; skiff takes another port")
		}
	}
	if taken != nil {
		c.Level, c.Says = Warning, "another program listens on "+strings.Join(taken, " and on ")
	}
	return c
}

// remains are what an instance has on the engine.
func (f *findings) remains(instance string) config.Remains {
	i := slices.IndexFunc(f.engine.Remains, func(r config.Remains) bool { return r.Instance == instance })
	if i < 0 || instance == "" {
		return config.Remains{}
	}
	return f.engine.Remains[i]
}

func (f *findings) leftCheck() Check {
	c := Check{Name: "left over", Level: OK, Says: "nothing on the engine is of a data directory that is gone"}
	var strays []string
	for _, r := range f.engine.Remains {
		if slices.Contains(f.known, r.Instance) {
			continue
		}
		strays = append(strays, fmt.Sprintf("%s: %s (%d running), %s, %s", r.Instance, command.Counted(r.Containers, "container", "containers"), r.Running, command.Counted(r.Networks, "network", "networks"), command.Counted(r.Volumes, "volume", "volumes")))
		c.Do = append(c.Do, removal(r)...)
	}
	if strays != nil {
		c.Level, c.Says = Warning, "the engine has things of instances whose data directory is not known here ("+strings.Join(strays, "; ")+")"
		c.Do = append([]string{"skiff daemon reset --yes --data-dir DIRECTORY, if they are of a directory that is still there; otherwise:"}, c.Do...)
	}
	return c
}

// removal are the commands that remove what an instance has on the engine.
func removal(r config.Remains) []string {
	label := "--filter label=skiff/instance=" + r.Instance
	var out []string
	for what, n := range map[string]int{
		"1docker rm -f $(docker ps -aq " + label + ")":             r.Containers,
		"2docker network rm $(docker network ls -q " + label + ")": r.Networks,
		"3docker volume rm $(docker volume ls -q " + label + ")":   r.Volumes,
	} {
		if n > 0 {
			out = append(out, what)
		}
	}
	slices.Sort(out)
	for i := range out {
		out[i] = out[i][1:]
	}
	return out
}

func (f *findings) trialsCheck() Check {
	if len(f.trials) == 0 {
		return Check{}
	}
	c := Check{Name: "tests", Level: Warning, Says: fmt.Sprintf("skiff test has left data directories whose daemon is gone: %d", len(f.trials))}
	for _, dir := range f.trials {
		c.Do = append(c.Do, "skiff daemon reset --yes --data-dir "+dir)
	}
	return c
}

func (f *findings) kubeconfigCheck() Check {
	if f.context == "" {
		return Check{}
	}
	c := Check{Name: "kubeconfig", Level: Warning, Says: f.context, Do: []string{"skiff kubeconfig --merge"}}
	if f.daemon.pid == 0 {
		c.Do = []string{"skiff daemon start && skiff kubeconfig --merge, or kubectl config delete-context skiff"}
	}
	return c
}

func (f *findings) namesCheck() Check {
	c := Check{Name: "names", Level: OK, Says: "*.localhost is this machine, for all programs"}
	local := len(f.localhost) > 0 && !slices.ContainsFunc(f.localhost, func(a string) bool { return !strings.HasPrefix(a, "127.") && a != "::1" })
	if f.localhostErr == nil && local {
		return c
	}
	c.Level = Warning
	c.Says = "*.localhost is not found by this system: browsers and curl know that it is this machine, other programs do not"
	if len(f.localhost) > 0 {
		c.Says = "*.localhost leads to " + strings.Join(f.localhost, ", ") + " by this system's name server: browsers and curl know better, other programs do not"
	}
	c.Do = []string{"install libnss-myhostname (Debian, Ubuntu) or use systemd-resolved, or add names to /etc/hosts: 127.0.0.1 web.localhost"}
	return c
}

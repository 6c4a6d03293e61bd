package compose

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"
)

// defaultGrace is how long docker compose lets a container end.
const defaultGrace = 10 * time.Second

// convertPod makes the pod's specification.
func (s *service) convertPod() {
	c := corev1.Container{
		Name: s.object, Image: s.image(), ImagePullPolicy: s.pullPolicy(), Command: s.words("entrypoint", s.Entrypoint), Args: s.words("command", s.Command),
		WorkingDir: s.WorkingDir, Env: s.env(), Resources: s.resources(), SecurityContext: s.security(), TTY: s.Tty, Stdin: s.StdinOpen, Lifecycle: s.lifecycle(),
	}
	for _, p := range s.ports() {
		containerPort := corev1.ContainerPort{ContainerPort: p.number}
		if p.protocol != corev1.ProtocolTCP {
			containerPort.Protocol = p.protocol
		}
		c.Ports = append(c.Ports, containerPort)
	}
	s.addProbes(&c)
	s.pod = corev1.PodSpec{
		// Variables such as DB_PORT=tcp://… would reach programs that mean something else by them.
		EnableServiceLinks:            ptr.To(false),
		TerminationGracePeriodSeconds: ptr.To(int64(duration(s.StopGracePeriod, defaultGrace) / time.Second)),
		Hostname:                      s.hostname(),
	}
	s.addVolumes(&c)
	s.addPodSecurity()
	s.addNetwork()
	s.place()
	s.pod.Containers = []corev1.Container{c}
	if c.Lifecycle != nil && c.Lifecycle.StopSignal != nil {
		s.pod.OS = &corev1.PodOS{Name: corev1.Linux}
	}
}

// hostname is the first label of the name: the others are the pod's namespace and the cluster's domain.
func (s *service) hostname() string {
	name, _, dotted := strings.Cut(s.Hostname, ".")
	if dotted {
		s.remark(s.at("hostname"), "is cut to %s: the host name of a pod is one label", name)
	}
	return name
}

// image is the service's image, that of its build where it names none.
func (s *service) image() string {
	if s.Build == nil {
		if s.Image == "" {
			s.refuse(s.path, "has neither an image nor a build section")
		}
		return s.Image
	}
	image := cmp.Or(s.Image, s.project.Name+"-"+s.Name)
	s.addBuild(image)
	return image
}

func (s *service) pullPolicy() corev1.PullPolicy {
	switch s.PullPolicy {
	case types.PullPolicyAlways:
		return corev1.PullAlways
	case types.PullPolicyNever:
		return corev1.PullNever
	case "", types.PullPolicyMissing, types.PullPolicyIfNotPresent, types.PullPolicyBuild:
		return corev1.PullIfNotPresent
	}
	s.remark(s.at("pull_policy"), "%s is taken for missing: what is there is used", s.PullPolicy)
	return corev1.PullIfNotPresent
}

// words are a command line. An empty one would undo the image's, which a pod can't.
func (s *service) words(field string, command types.ShellCommand) []string {
	if command != nil && len(command) == 0 {
		s.remark(s.at(field), "is empty and has no effect: a pod can't take away what the image has")
	}
	return escaped(command)
}

// escaped keeps Kubernetes from expanding $(NAME) and $$, which the files do not know.
func escaped(words []string) []string {
	var out []string
	for _, w := range words {
		out = append(out, escape(w))
	}
	return out
}

func escape(text string) string {
	var b strings.Builder
	for i := range len(text) {
		b.WriteByte(text[i])
		if text[i] == '$' && i+1 < len(text) && (text[i+1] == '$' || text[i+1] == '(') {
			b.WriteByte('$')
		}
	}
	return b.String()
}

// env are the variables. One without a value that the caller does not have either is left out.
func (s *service) env() []corev1.EnvVar {
	var out []corev1.EnvVar
	for _, name := range sorted(s.Environment) {
		if value := s.Environment[name]; value != nil {
			out = append(out, corev1.EnvVar{Name: name, Value: escape(*value)})
		}
	}
	return out
}

// resources are the limits. Without a reservation nothing is requested: a limit is there to be kept,
// not to be set aside.
func (s *service) resources() corev1.ResourceRequirements {
	limits := amounts{float64(s.CPUS), int64(s.MemLimit)}
	reserved := amounts{0, int64(s.MemReservation)}
	if s.Deploy != nil {
		limits = s.amounts("limits", s.Deploy.Resources.Limits, limits)
		reserved = s.amounts("reservations", s.Deploy.Resources.Reservations, reserved)
	}
	out := corev1.ResourceRequirements{Limits: limits.list(), Requests: reserved.list()}
	for name := range out.Limits {
		if _, ok := out.Requests[name]; !ok {
			if out.Requests == nil {
				out.Requests = corev1.ResourceList{}
			}
			out.Requests[name] = resource.MustParse("0")
		}
	}
	return out
}

type amounts struct {
	cpus  float64
	bytes int64
}

func (s *service) amounts(field string, r *types.Resource, otherwise amounts) amounts {
	if r == nil {
		return otherwise
	}
	path := s.at("deploy", "resources", field)
	if r.Pids != 0 {
		s.remark(append(path, "pids"), "%s", engineOnly)
	}
	if len(r.Devices) > 0 || len(r.GenericResources) > 0 {
		s.remark(path, "devices of the machine can't be given to pods: the container does not have them")
	}
	return amounts{cmp.Or(float64(r.NanoCPUs), otherwise.cpus), cmp.Or(int64(r.MemoryBytes), otherwise.bytes)}
}

func (a amounts) list() corev1.ResourceList {
	out := corev1.ResourceList{}
	if a.cpus > 0 {
		out[corev1.ResourceCPU] = *resource.NewMilliQuantity(int64(a.cpus*1000+0.5), resource.DecimalSI)
	}
	if a.bytes > 0 {
		out[corev1.ResourceMemory] = *resource.NewQuantity(a.bytes, resource.BinarySI)
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// lifecycle are the hooks and the signal.
func (s *service) lifecycle() *corev1.Lifecycle {
	l := &corev1.Lifecycle{PostStart: s.hook("post_start", s.PostStart), PreStop: s.hook("pre_stop", s.PreStop)}
	if s.StopSignal != "" {
		l.StopSignal = ptr.To(signal(s.StopSignal))
	}
	if *l == (corev1.Lifecycle{}) {
		return nil
	}
	return l
}

// signal is a signal's name, of which the files may have the number, or the name in another form.
func signal(text string) corev1.Signal {
	if n, err := strconv.Atoi(text); err == nil {
		return linuxSignal(n)
	}
	return corev1.Signal("SIG" + strings.TrimPrefix(strings.ToUpper(text), "SIG"))
}

func (s *service) hook(field string, hooks []types.ServiceHook) *corev1.LifecycleHandler {
	switch {
	case len(hooks) == 0:
		return nil
	case len(hooks) > 1:
		s.refuse(s.at(field), "a container has one such hook, and not %d", len(hooks))
	}
	h := hooks[0]
	if h.User != "" || h.Privileged || h.WorkingDir != "" || len(h.Environment) > 0 {
		s.remark(s.at(field), "runs as the container does: user, privileged, working_dir and environment have no effect")
	}
	return &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: h.Command}} // hooks are not expanded
}

// security is what the container may do.
func (s *service) security() *corev1.SecurityContext {
	c := &corev1.SecurityContext{}
	if s.Privileged {
		c.Privileged = ptr.To(true)
	}
	if s.ReadOnly {
		c.ReadOnlyRootFilesystem = ptr.To(true)
	}
	if len(s.CapAdd)+len(s.CapDrop) > 0 {
		c.Capabilities = &corev1.Capabilities{Add: capabilities(s.CapAdd), Drop: capabilities(s.CapDrop)}
	}
	if user, group, _ := strings.Cut(s.User, ":"); s.User != "" && numeric(user) && numeric(group) {
		c.RunAsUser, c.RunAsGroup = s.number("user", user), s.number("user", group)
	}
	for _, o := range s.SecurityOpt {
		switch strings.Replace(o, "=", ":", 1) {
		case "no-new-privileges", "no-new-privileges:true":
			c.AllowPrivilegeEscalation = ptr.To(false)
		case "no-new-privileges:false":
		case "seccomp:unconfined":
			c.SeccompProfile = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined}
		case "apparmor:unconfined":
			c.AppArmorProfile = &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined}
		default:
			s.remark(s.at("security_opt"), "%s %s", o, noCounterpart)
		}
	}
	return c
}

func capabilities(names []string) []corev1.Capability {
	var out []corev1.Capability
	for _, n := range names {
		out = append(out, corev1.Capability(strings.TrimPrefix(strings.ToUpper(n), "CAP_")))
	}
	return out
}

// numeric reports whether a user or a group is given by its number, or not at all.
func numeric(id string) bool {
	_, err := strconv.ParseInt(id, 10, 64)
	return id == "" || err == nil
}

// namedUser is the user by name, which Kubernetes has no field for; "" where it has.
func (s *service) namedUser() string {
	user, group, _ := strings.Cut(s.User, ":")
	if numeric(user) && numeric(group) {
		return ""
	}
	return s.User
}

// number is an ID. Pods know users and groups by their numbers alone.
func (s *service) number(field, text string) *int64 {
	if text == "" {
		return nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		s.refuse(s.at(field), "pods know users and groups by their numbers: give that of %q", text)
		return nil
	}
	return &n
}

// addPodSecurity is what concerns all of the pod.
func (s *service) addPodSecurity() {
	context := &corev1.PodSecurityContext{}
	for _, g := range s.GroupAdd {
		if n := s.number("group_add", g); n != nil {
			context.SupplementalGroups = append(context.SupplementalGroups, *n)
		}
	}
	for _, name := range sorted(s.Sysctls) {
		context.Sysctls = append(context.Sysctls, corev1.Sysctl{Name: name, Value: s.Sysctls[name]})
	}
	if len(context.SupplementalGroups)+len(context.Sysctls) > 0 {
		s.pod.SecurityContext = context
	}
	if ptr.Deref(s.Init, false) {
		s.pod.ShareProcessNamespace = ptr.To(true) // the pod's first process buries the dead
	}
	switch s.Pid {
	case "":
	case "host":
		s.pod.HostPID = true
	default:
		s.refuse(s.at("pid"), "is host or nothing")
	}
	switch s.Ipc {
	case "", "private", "shareable":
	case "host":
		s.pod.HostIPC = true
	default:
		s.refuse(s.at("ipc"), "is host or nothing")
	}
}

// addNetwork is the pod's network and names.
func (s *service) addNetwork() {
	switch s.NetworkMode {
	case "", "bridge", "default":
	case "host":
		s.pod.HostNetwork = true
		s.pod.DNSPolicy = corev1.DNSClusterFirstWithHostNet
	default:
		s.refuse(s.at("network_mode"), "%q is not supported: pods have a network of their own, or the host's", s.NetworkMode)
	}
	s.addHosts()
	if len(s.DNS)+len(s.DNSSearch)+len(s.DNSOpts) == 0 {
		return
	}
	s.pod.DNSConfig = &corev1.PodDNSConfig{Nameservers: s.DNS, Searches: s.DNSSearch}
	for _, o := range s.DNSOpts {
		name, value, found := strings.Cut(o, ":")
		option := corev1.PodDNSConfigOption{Name: name}
		if found {
			option.Value = &value
		}
		s.pod.DNSConfig.Options = append(s.pod.DNSConfig.Options, option)
	}
}

// hostGateway stands for the address of the engine's machine.
const hostGateway = "host-gateway"

// addHosts adds names for addresses.
func (s *service) addHosts() {
	hosts := map[string][]string{}
	for _, name := range sorted(s.ExtraHosts) {
		for _, ip := range s.ExtraHosts[name] {
			_, err := netip.ParseAddr(ip)
			switch {
			case ip == hostGateway:
				s.gateways = append(s.gateways, name)
			case err != nil:
				s.remark(s.at("extra_hosts"), "%s is left out: %s is no address", name, ip)
			default:
				hosts[ip] = append(hosts[ip], name)
			}
		}
	}
	for _, ip := range sorted(hosts) {
		s.pod.HostAliases = append(s.pod.HostAliases, corev1.HostAlias{IP: ip, Hostnames: hosts[ip]})
	}
	if len(s.gateways) > 0 {
		s.elsewhere(s.at("extra_hosts"), "%s leads to the engine's machine on skiff alone: on another cluster give an address", strings.Join(s.gateways, ", "))
	}
}

// place is which nodes it may run on.
func (s *service) place() {
	labels := map[string]string{}
	if s.Platform != "" {
		os, rest, _ := strings.Cut(s.Platform, "/")
		arch, _, _ := strings.Cut(rest, "/")
		labels[corev1.LabelOSStable] = os
		if arch != "" {
			labels[corev1.LabelArchStable] = arch
		}
	}
	if s.Deploy != nil {
		maps.Copy(labels, s.constraints())
	}
	if len(labels) > 0 {
		s.pod.NodeSelector = labels
	}
}

func (s *service) constraints() map[string]string {
	out, placement := map[string]string{}, s.Deploy.Placement
	for _, c := range placement.Constraints {
		key, value, equal := strings.Cut(strings.ReplaceAll(c, " ", ""), "==")
		label, isLabel := strings.CutPrefix(key, "node.labels.")
		switch {
		case equal && isLabel:
			out[label] = value
		case equal && key == "node.hostname":
			out[corev1.LabelHostname] = value
		default:
			s.remark(s.at("deploy", "placement", "constraints"), "%s has no effect", c)
		}
	}
	if slices.ContainsFunc(placement.Preferences, func(p types.PlacementPreferences) bool { return p.Spread != "" }) {
		s.remark(s.at("deploy", "placement", "preferences"), "have no effect")
	}
	if placement.MaxReplicas > 0 {
		s.remark(s.at("deploy", "placement", "max_replicas_per_node"), "has no effect")
	}
	return out
}

package compose

import (
	"reflect"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// treatment is what becomes of a field of the files.
type treatment struct {
	// word says why it has no effect; "" for a field that is converted.
	word string
	// refused means that the application would be another one without the field.
	refused bool
}

var converted treatment

func ignored(word string) treatment { return treatment{word: word} }

func refused(word string) treatment { return treatment{word: word, refused: true} }

const (
	noCounterpart = "has no counterpart in Kubernetes and no effect"
	windowsOnly   = "is for Windows and has no effect"
	engineOnly    = "is an option of the engine's that pods do not have; it has no effect"
)

// serviceFields names every field of a service. A test holds it to the loader's own list.
var serviceFields = map[string]treatment{
	"name": converted, "profiles": converted, "deploy": converted, "restart": converted, "scale": converted,
	"develop": converted, "attach": ignored("has no effect: the logs of all services are followed"),
	"container_name": converted, "extends": converted, "links": converted, "post_start": converted, "pre_stop": converted,
	"provider":       refused("services of providers are not supported"),
	"external_links": ignored("leads out of the project and has no effect; another project's service is reached as SERVICE.PROJECT"),
	"net":            ignored("is of the first version of the format and has no effect; use network_mode"),
	"pre_start":      refused("is not supported; make it a service of its own, with restart: \"no\", and depend on its completion"),
	"annotations":    converted,
	"blkio_config":   ignored(engineOnly), "cap_add": converted, "cap_drop": converted,
	"cgroup_parent": ignored(engineOnly), "cgroup": ignored(engineOnly), "cpu_count": ignored(windowsOnly), "cpu_percent": ignored(windowsOnly),
	"cpu_period": ignored(engineOnly), "cpu_quota": ignored(engineOnly), "cpu_rt_period": ignored(engineOnly), "cpu_rt_runtime": ignored(engineOnly),
	"cpus": converted, "cpuset": ignored(engineOnly), "cpu_shares": ignored(engineOnly), "command": converted, "configs": converted,
	"credential_spec": ignored(windowsOnly), "device_cgroup_rules": ignored(engineOnly),
	"devices": ignored("devices of the machine can't be given to pods: the container does not have them"), "dns": converted, "dns_opt": converted, "dns_search": converted,
	"domainname": ignored(noCounterpart), "entrypoint": converted, "environment": converted, "env_file": converted, "extra_hosts": converted,
	"group_add": converted, "gpus": ignored("GPUs can't be given to pods: the container does not have them"), "hostname": converted, "image": converted, "init": converted, "ipc": converted,
	"isolation": ignored(windowsOnly), "labels": converted, "label_file": converted,
	"logging":    ignored("has no effect: the engine keeps the logs, and skiff logs shows them"),
	"log_driver": ignored("has no effect: the engine keeps the logs, and skiff logs shows them"),
	"log_opt":    ignored("has no effect: the engine keeps the logs, and skiff logs shows them"),
	"mem_limit":  converted, "mem_reservation": converted, "memswap_limit": ignored(engineOnly), "mem_swappiness": ignored(engineOnly),
	"mac_address": ignored(engineOnly), "models": refused("models are not supported"), "network_mode": converted, "networks": converted,
	"oom_kill_disable": ignored(engineOnly), "oom_score_adj": ignored(engineOnly), "pid": converted, "pids_limit": ignored(engineOnly), "platform": converted,
	"privileged": converted, "pull_policy": converted, "pull_refresh_after": ignored(noCounterpart), "read_only": converted, "runtime": ignored(engineOnly),
	"secrets": converted, "security_opt": converted, "shm_size": converted, "stop_grace_period": converted, "stop_signal": converted,
	"storage_opt": ignored(engineOnly), "sysctls": converted, "tmpfs": converted, "ulimits": ignored(engineOnly), "umask": ignored(engineOnly),
	"use_api_socket": refused("is not supported; mount the engine's socket"), "user": converted, "userns_mode": ignored(engineOnly), "uts": ignored(engineOnly),
	"volume_driver": ignored(noCounterpart), "volumes": converted, "volumes_from": refused("is not supported; name the volumes"), "working_dir": converted,
	"build": converted, "depends_on": converted, "dockerfile": refused("is of the first version of the format; use build"),
	"expose": converted, "healthcheck": converted, "ports": converted, "stdin_open": converted, "tty": converted,
}

// deployFields names every field of a service's deploy section.
var deployFields = map[string]treatment{
	"mode": converted, "replicas": converted, "labels": converted, "update_config": converted, "resources": converted, "restart_policy": converted, "placement": converted,
	"rollback_config": ignored(noCounterpart), "endpoint_mode": ignored("has no effect: a name leads to the addresses of all replicas"),
}

// networkFields names every field of a service's part in a network.
var networkFields = map[string]treatment{
	"aliases": converted, "priority": ignored(oneNetwork), "gw_priority": ignored(oneNetwork), "driver_opts": ignored(oneNetwork), "interface_name": ignored(oneNetwork),
	"ipv4_address": ignored("has no effect: addresses are chosen; use the service's name"), "ipv6_address": ignored("has no effect: addresses are chosen; use the service's name"),
	"link_local_ips": ignored(oneNetwork), "mac_address": ignored(oneNetwork), "use_service_name_alias": ignored("has no effect: a service is always reached by its name"),
}

// beyondAPI is said of what the Engine API does not carry to BuildKit.
const beyondAPI = "is not supported: build the image with docker build, and leave the build section out"

// buildFields names every field of a service's build section.
var buildFields = map[string]treatment{
	"context": converted, "dockerfile": converted, "dockerfile_inline": converted, "args": converted, "labels": converted, "cache_from": converted,
	"no_cache": converted, "pull": converted, "extra_hosts": converted, "network": converted, "target": converted, "shm_size": converted, "tags": converted, "platforms": converted,
	"entitlements": refused(beyondAPI), "provenance": ignored(noEffect), "sbom": ignored(noEffect), "ssh": refused(beyondAPI), "cache_to": ignored(noEffect),
	"no_cache_filter": ignored(noEffect), "additional_contexts": refused(beyondAPI), "isolation": ignored(windowsOnly), "secrets": converted,
	"ulimits": ignored(noEffect), "privileged": ignored(noEffect),
}

const noEffect = "has no effect"

const oneNetwork = "has no effect: all services are in one network, with names of their own project"

// others deals with the fields of a struct that are set and not converted.
func (c *converter) others(path []string, v any, known map[string]treatment) {
	fields := fieldsOf(reflect.Indirect(reflect.ValueOf(v)))
	for _, name := range sorted(fields) {
		value := fields[name]
		if value.IsZero() || value.Kind() == reflect.Map && value.Len() == 0 || value.Kind() == reflect.Slice && value.Len() == 0 {
			continue
		}
		at := append(path[:len(path):len(path)], name)
		switch t, ok := known[name]; {
		case !ok:
			c.refuse(at, "is not supported")
		case t.refused:
			c.refuse(at, "%s", t.word)
		case t.word != "":
			c.remark(at, "%s", t.word)
		}
	}
}

// fieldsOf are the fields of a struct by their names in the files, without extensions, which mean
// something to other programs.
func fieldsOf(v reflect.Value) map[string]reflect.Value {
	out := map[string]reflect.Value{}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		tag := f.Tag.Get("yaml")
		name, _, _ := strings.Cut(tag, ",")
		switch {
		case !f.IsExported(), name == "-", f.Type == reflect.TypeFor[types.Extensions]():
		case name == "" && f.Anonymous:
			for name, value := range fieldsOf(v.Field(i)) {
				out[name] = value
			}
		default:
			out[name] = v.Field(i)
		}
	}
	return out
}

// projectRemarks deals with what stands outside services.
func (c *converter) projectRemarks() {
	if len(c.project.Models) > 0 {
		c.refuse([]string{"models"}, "models are not supported")
	}
	if len(c.project.Jobs) > 0 {
		c.refuse([]string{"jobs"}, "are not supported; make them services with restart: \"no\"")
	}
	for _, name := range sorted(c.project.Networks) {
		n := c.project.Networks[name]
		path := []string{"networks", name}
		switch {
		case bool(n.External):
			c.remark(path, "is external: services are not in it, but in skiff's own network")
		case n.Internal:
			c.remark(append(path, "internal"), "has no effect: pods reach what lies outside")
		case n.Driver != "" && n.Driver != "bridge" && n.Driver != "default", len(n.DriverOpts) > 0, len(n.Ipam.Config) > 0:
			c.remark(path, "%s", oneNetwork)
		}
	}
}

package docker

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/netip"
	"testing"
)

// created sends spec to a fake engine and gives the request's body, indented.
func created(t *testing.T, spec ContainerSpec) string {
	t.Helper()
	fake := newFake(t).start()
	var body bytes.Buffer
	fake.on("POST /containers/create", func(w http.ResponseWriter, r *http.Request) {
		if got := r.URL.Query().Get("name"); got != spec.Name {
			t.Errorf("name %q", got)
		}
		if _, err := body.ReadFrom(r.Body); err != nil {
			t.Error(err)
		}
		writeJSON(w, http.StatusCreated, map[string]any{"Id": "c"})
	})
	id, err := fake.connect(Options{}).Create(t.Context(), spec)
	check(t, err)
	if id != "c" {
		t.Errorf("id %q", id)
	}
	return body.String()
}

// wantFields compares the named fields (Go's path of the engine's request) with their JSON.
func wantFields(t *testing.T, body string, want map[string]string) {
	t.Helper()
	var request struct {
		Hostname, Domainname, User, WorkingDir, StopSignal, Image json.RawMessage
		Env, Cmd, Entrypoint, Labels, ExposedPorts, Healthcheck   json.RawMessage
		Tty, OpenStdin, StdinOnce, AttachStdin, AttachStdout      json.RawMessage
		HostConfig                                                map[string]json.RawMessage
		NetworkingConfig                                          struct{ EndpointsConfig json.RawMessage }
	}
	check(t, json.Unmarshal([]byte(body), &request))
	all := map[string]json.RawMessage{
		"Hostname": request.Hostname, "Domainname": request.Domainname, "User": request.User, "WorkingDir": request.WorkingDir,
		"StopSignal": request.StopSignal, "Image": request.Image, "Env": request.Env, "Cmd": request.Cmd,
		"Entrypoint": request.Entrypoint, "Labels": request.Labels, "ExposedPorts": request.ExposedPorts,
		"Healthcheck": request.Healthcheck, "Tty": request.Tty, "OpenStdin": request.OpenStdin, "StdinOnce": request.StdinOnce,
		"Endpoints": request.NetworkingConfig.EndpointsConfig,
	}
	for name, value := range request.HostConfig {
		all["Host."+name] = value
	}
	for name, value := range want {
		if got := string(all[name]); got != value {
			t.Errorf("%s is %s, want %s", name, got, value)
		}
	}
}

func TestCreateAsAsked(t *testing.T) {
	wantFields(t, created(t, ContainerSpec{
		Name: "web", Image: "kubia", Entrypoint: []string{"/app"}, Args: []string{"-v"}, Env: []string{"A=1"},
		WorkingDir: "/srv", User: "7:8", Groups: []string{"9"}, Labels: map[string]string{"app": "kubia"},
		TTY: true, Stdin: true, StdinOnce: true, StopSignal: "SIGINT",
		Network: Network{
			IP: netip.MustParseAddr("10.9.0.2"), Hostname: "web-0", Domain: "svc",
			Ports: []Port{{HostIP: "127.0.0.1", HostPort: 8080, ContainerPort: 80}, {HostPort: 53, ContainerPort: 53, Protocol: "udp"}},
			Hosts: []string{"a:1.2.3.4"}, DNS: []string{"1.1.1.1"}, DNSSearch: []string{"local"}, DNSOpts: []string{"ndots:5"},
		},
		Resources: Resources{CPUShares: 102, CPUQuota: 50000, CPUPeriod: 100000, Memory: 64 << 20, MemoryReservation: 32 << 20, OOMScoreAdj: 900, PidsLimit: 100},
		Mounts: []Mount{
			{Type: "bind", Source: "/a", Target: "/b", ReadOnly: true, Propagation: "rslave"},
			{Type: "volume", Source: "v", Target: "/c"},
			{Type: "volume", Source: "w", Target: "/e", Fill: true},
			{Type: "tmpfs", Target: "/d", SizeBytes: 4096},
		},
		Security:     Security{Privileged: true, CapAdd: []string{"NET_ADMIN"}, CapDrop: []string{"ALL"}, NoNewPrivileges: true, Seccomp: "unconfined", AppArmor: "own"},
		PIDContainer: "p", Sysctls: map[string]string{"net.x": "1"}, ReadOnlyRoot: true, Shm: 1 << 20,
	}), map[string]string{
		"Hostname": `"web-0"`, "Domainname": `"svc"`, "User": `"7:8"`, "WorkingDir": `"/srv"`, "StopSignal": `"SIGINT"`, "Image": `"kubia"`,
		"Env": `["A=1"]`, "Cmd": `["-v"]`, "Entrypoint": `["/app"]`,
		"Labels":       `{"app":"kubia","skiff/instance":"i"}`,
		"ExposedPorts": `{"53/udp":{},"80/tcp":{}}`,
		"Healthcheck":  `{"Test":["NONE"]}`,
		"Tty":          "true", "OpenStdin": "true", "StdinOnce": "true",
		"Endpoints":              `{"skiff-i":{"IPAMConfig":{"IPv4Address":"10.9.0.2"},"Links":null,"Aliases":null,"MacAddress":"","DriverOpts":null,"GwPriority":0,"NetworkID":"","EndpointID":"","Gateway":"","IPAddress":"","IPPrefixLen":0,"IPv6Gateway":"","GlobalIPv6Address":"","GlobalIPv6PrefixLen":0,"DNSNames":null}}`,
		"Host.NetworkMode":       `"skiff-i"`,
		"Host.PortBindings":      `{"53/udp":[{"HostIp":"","HostPort":"53"}],"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"8080"}]}`,
		"Host.RestartPolicy":     `{"Name":"no","MaximumRetryCount":0}`,
		"Host.Init":              "false",
		"Host.LogConfig":         `{"Type":"json-file","Config":{"max-file":"5","max-size":"10m"}}`,
		"Host.ExtraHosts":        `["a:1.2.3.4"]`,
		"Host.Dns":               `["1.1.1.1"]`,
		"Host.DnsSearch":         `["local"]`,
		"Host.DnsOptions":        `["ndots:5"]`,
		"Host.GroupAdd":          `["9"]`,
		"Host.CpuShares":         "102",
		"Host.CpuQuota":          "50000",
		"Host.CpuPeriod":         "100000",
		"Host.Memory":            "67108864",
		"Host.MemorySwap":        "67108864",
		"Host.MemoryReservation": "33554432",
		"Host.OomScoreAdj":       "900",
		"Host.PidsLimit":         "100",
		"Host.Mounts":            `[{"Type":"bind","Source":"/a","Target":"/b","ReadOnly":true,"BindOptions":{"Propagation":"rslave"}},{"Type":"volume","Source":"v","Target":"/c","VolumeOptions":{"NoCopy":true}},{"Type":"volume","Source":"w","Target":"/e","VolumeOptions":{}},{"Type":"tmpfs","Target":"/d","TmpfsOptions":{"SizeBytes":4096}}]`,
		"Host.SecurityOpt":       `["no-new-privileges","seccomp=unconfined","apparmor=own"]`,
		"Host.Privileged":        "true",
		"Host.CapAdd":            `["CAP_NET_ADMIN"]`,
		"Host.CapDrop":           `["ALL"]`,
		"Host.ReadonlyRootfs":    "true",
		"Host.PidMode":           `"container:p"`,
		"Host.IpcMode":           `"shareable"`,
		"Host.ShmSize":           "1048576",
		"Host.Sysctls":           `{"net.x":"1"}`,
	})
}

func TestCreateInSharedNamespaces(t *testing.T) {
	// The engine refuses a host name, ports and DNS for a container that joins another's network.
	wantFields(t, created(t, ContainerSpec{
		Name: "web", Image: "kubia", IPCContainer: "pause",
		Network: Network{Join: "pause", Hostname: "web-0", Ports: []Port{{HostPort: 1, ContainerPort: 1}}, DNS: []string{"1.1.1.1"}, Hosts: []string{"a:1.2.3.4"}},
	}), map[string]string{
		"Hostname": `""`, "ExposedPorts": "", "Endpoints": "", "Entrypoint": "null", "Cmd": "null",
		"Host.NetworkMode": `"container:pause"`, "Host.IpcMode": `"container:pause"`, "Host.PortBindings": "null",
		"Host.Dns": "null", "Host.ExtraHosts": "null", "Host.PidsLimit": "null", "Host.MemorySwap": "0",
	})
	wantFields(t, created(t, ContainerSpec{
		Name: "web", Image: "kubia", Network: Network{Host: true}, HostIPC: true, HostPID: true,
	}), map[string]string{"Host.NetworkMode": `"host"`, "Host.IpcMode": `"host"`, "Host.PidMode": `"host"`, "Endpoints": ""})
}

func TestCreateRefusesAtOnce(t *testing.T) {
	address := Network{IP: netip.MustParseAddr("10.9.0.2")}
	e := newFake(t).connect(Options{}) // no engine is needed
	for name, spec := range map[string]ContainerSpec{
		"no image":            {Network: address},
		"no network":          {Image: "kubia"},
		"two networks":        {Image: "kubia", Network: Network{Host: true, Join: "c"}},
		"negative adjustment": {Image: "kubia", Network: address, Resources: Resources{OOMScoreAdj: -1}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := e.Create(t.Context(), spec)
			wantKind(t, err, ErrInvalid)
		})
	}
}

func TestCreateFindsItsOwn(t *testing.T) {
	spec := ContainerSpec{
		Name: "web", Image: "kubia", Network: Network{IP: netip.MustParseAddr("10.9.0.2")},
		Labels: map[string]string{"attempt": "2"},
	}
	for _, test := range []struct {
		name   string
		labels map[string]string
		state  string
		status int
		err    error
	}{
		{"made before a crash", map[string]string{InstanceLabel: "i", "attempt": "2", "of": "image"}, "created", 200, nil},
		{"running already", map[string]string{InstanceLabel: "i", "attempt": "2"}, "running", 200, nil},
		{"another attempt", map[string]string{InstanceLabel: "i", "attempt": "1"}, "created", 200, ErrConflict},
		{"another instance", map[string]string{InstanceLabel: "j", "attempt": "2"}, "created", 200, ErrConflict},
		{"somebody's", map[string]string{}, "running", 200, ErrConflict},
		{"going away", map[string]string{InstanceLabel: "i", "attempt": "2"}, "removing", 200, ErrConflict},
		{"gone meanwhile", nil, "", 404, ErrConflict},
	} {
		t.Run(test.name, func(t *testing.T) {
			fake := newFake(t).start()
			fake.onError("POST /containers/create", http.StatusConflict, `Conflict. The container name "/web" is already in use`)
			fake.on("GET /containers/web/json", func(w http.ResponseWriter, _ *http.Request) {
				writeJSON(w, test.status, map[string]any{
					"message": "No such container: web",
					"Id":      "found", "State": map[string]string{"Status": test.state}, "Config": map[string]any{"Labels": test.labels},
				})
			})
			id, err := fake.connect(Options{}).Create(t.Context(), spec)
			if test.err != nil {
				wantKind(t, err, test.err)
				return
			}
			check(t, err)
			if id != "found" {
				t.Errorf("id %q", id)
			}
		})
	}
}

func TestListReadsTheSummary(t *testing.T) {
	fake := newFake(t).start()
	fake.on("GET /containers/json", func(w http.ResponseWriter, r *http.Request) {
		if q := r.URL.Query(); q.Get("all") != "1" || q.Get("filters") != `{"label":{"skiff/instance=i":true}}` {
			t.Errorf("asked %v", q)
		}
		_, _ = w.Write([]byte(`[
			{"Id":"a","Names":["/web"],"State":"exited","Status":"Exited (137) 2 hours ago","Created":1746100800,
			 "NetworkSettings":{"Networks":{"skiff-i":{"IPAMConfig":{"IPv4Address":"10.9.0.2"},"IPAddress":""}}}},
			{"Id":"b","Names":["/db"],"State":"running","Status":"Up 2 hours (137)"},
			{"Id":"c","Names":["/old"],"State":"dead","Status":"Dead"},
			{"Id":"d","Names":["/new"],"State":"created","Status":"Created"},
			{"Id":"e","Names":["/going"],"State":"removing","Status":"Removal In Progress"}]`))
	})
	list, err := fake.connect(Options{}).List(t.Context())
	check(t, err)
	var got bytes.Buffer
	for _, c := range list {
		b, _ := json.Marshal([]any{c.ID, c.Name, c.State, c.ExitCode, c.IP})
		got.Write(append(b, '\n'))
	}
	const want = `["a","web","exited",137,"10.9.0.2"]
["b","db","running",0,""]
["c","old","exited",0,""]
["d","new","created",0,""]
["e","going","removing",0,""]
`
	if got.String() != want {
		t.Errorf("got\n%swant\n%s", got.String(), want)
	}
	if list[0].CreatedAt.Unix() != 1746100800 {
		t.Errorf("created at %s", list[0].CreatedAt)
	}
}

package ps

import (
	"encoding/json"
	"io"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// container is a container as -o json has it, one object a line, as docker compose ps --format json does.
type container struct {
	Namespace    string      `json:"namespace"`
	Pod          string      `json:"pod"`
	Name         string      `json:"container"`
	ID           string      `json:"id,omitempty"`
	Image        string      `json:"image"`
	State        string      `json:"state"`
	Ready        bool        `json:"ready"`
	ExitCode     *int32      `json:"exitCode,omitempty"`
	RestartCount int32       `json:"restartCount"`
	Created      metav1.Time `json:"created"`
	Node         string      `json:"node,omitempty"`
	IP           string      `json:"ip,omitempty"`
	Ports        string      `json:"ports,omitempty"`
}

func printJSON(out io.Writer, all []corev1.Pod, every bool) error {
	w := json.NewEncoder(out)
	w.SetEscapeHTML(false)
	for i := range all {
		p := &all[i]
		for _, c := range containers(p, every) {
			one := container{Namespace: p.Namespace, Pod: p.Name, Name: c.Name, Image: c.Image, State: state(p, c.Name), ID: containerID(p, c.Name),
				RestartCount: restarts(p, c.Name), Created: p.CreationTimestamp, Node: p.Spec.NodeName, IP: p.Status.PodIP, Ports: ports(p, c)}
			if s := status(p, c.Name); s != nil {
				one.Ready = s.Ready
				if s.State.Terminated != nil {
					one.ExitCode = &s.State.Terminated.ExitCode
				}
			}
			if err := w.Encode(one); err != nil {
				return err
			}
		}
	}
	return nil
}

// containerID is a container's ID on its engine, "" as long as it has none.
func containerID(p *corev1.Pod, name string) string {
	s := status(p, name)
	if s == nil {
		return ""
	}
	_, id, _ := strings.Cut(s.ContainerID, "://")
	return id
}

// shortID is the ID as docker ps shows it.
func shortID(p *corev1.Pod, name string) string {
	id := containerID(p, name)
	return id[:min(len(id), 12)]
}

// Command demo builds skiff and the example's images, and then shows three kubia pods coming up as
// plain containers, an unhealthy one being killed and restarted, and a deleted one being replaced.
// At the end it removes everything again; with -keep it leaves the daemon running for you to play
// with. `go run ./examples/kubia` runs it.
package main

import (
	"os/exec"
	"time"

	"skiff/examples/internal/session"
	"skiff/examples/kubia/images"
)

func main() {
	session.Example{Name: "kubia", Program: images.Program, Images: images.Kubia, Show: show}.Main()
}

// show is the story: up, sick and restarted, deleted and replaced.
func show(s *session.Session) error {
	if err := s.Skiff("up", "-d", "-f", "examples/kubia/manifests/kubia-demo.yaml"); err != nil {
		return err
	}
	if err := s.Skiff("get", "pods", "-o", "wide"); err != nil {
		return err
	}
	if _, err := exec.LookPath("docker"); err == nil {
		s.Say("they are plain containers")
		if err := s.Visible("docker", "ps", "--filter", "label=app=kubia", "--format", "table {{.Names}}\t{{.Image}}\t{{.Status}}"); err != nil {
			return err
		}
	}
	s.Say("kubia-liveness answers 500 from its sixth request on: three bad probes, and it is killed and restarted")
	if err := s.Until(time.Minute, "1 true", "get", "pod", "kubia-liveness", "-o", "jsonpath={.status.containerStatuses[0].restartCount} {.status.containerStatuses[0].ready}"); err != nil {
		return err
	}
	if err := s.Skiff("describe", "pod", "kubia-liveness"); err != nil {
		return err
	}
	victim, err := s.Output("get", "pods", "-l", "app=kubia", "-o", "jsonpath={.items[0].metadata.name}")
	if err != nil {
		return err
	}
	s.Say("a deleted pod is replaced")
	if err := s.Skiff("delete", "pod", victim); err != nil {
		return err
	}
	if err := s.Until(time.Minute, "3", "get", "rc", "kubia", "-o", "jsonpath={.status.readyReplicas}"); err != nil {
		return err
	}
	if err := s.Skiff("get", "pods"); err != nil {
		return err
	}
	return s.Skiff("describe", "rc", "kubia")
}

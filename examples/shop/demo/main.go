// Command demo builds skiff and the shop's images, brings the shop up on a daemon of its own, looks at
// it from outside and from inside, and replaces pods under load without losing a request. At the end it
// removes everything again; with -keep it leaves the daemon running for you to play with. `go run
// ./examples/shop` runs it.
package main

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"skiff/examples/internal/session"
	"skiff/examples/shop/images"
)

func main() {
	session.Example{Name: "shop", Program: images.Program, Images: images.Shop, Show: show}.Main()
}

// show is the story: up, reached from outside and from inside, scaled and replaced under load.
func show(s *session.Session) error {
	for _, part := range []func(*session.Session) error{outside, inside, underLoad} {
		if err := part(s); err != nil {
			return err
		}
	}
	return nil
}

func outside(s *session.Session) error {
	if err := errors.Join(s.Skiff("up", "-d", "-f", "examples/shop/manifests"), s.Skiff("ps")); err != nil {
		return err
	}
	at, err := address(s)
	if err != nil {
		return err
	}
	s.Say("the page, as a browser gets it: curl %s", at)
	text, err := fetch(s.Context(), browser(), at)
	fmt.Print(text)
	return err
}

// address is where the Ingress is reached.
func address(s *session.Session) (*url.URL, error) {
	text, err := s.Output("open", "--print", "ingress/shop")
	if err != nil {
		return nil, err
	}
	return url.Parse(strings.TrimSpace(text))
}

func inside(s *session.Session) error {
	s.Say("in a pod, Services have names")
	for _, at := range []string{"http://api/products", "http://api.default.svc.cluster.local/healthz", "http://store-0.store:7000/keys/schema"} {
		if err := s.Skiff("exec", "deploy/web", "--", "/shop", "get", at); err != nil {
			return err
		}
	}
	return nil
}

// limit is how long a change may take.
const limit = time.Minute

func underLoad(s *session.Session) error {
	at, err := address(s)
	if err != nil {
		return err
	}
	s.Say("%d visitors ask for the page all the time; meanwhile the api grows, and loses a pod, and so does the page", workers)
	visitors := startLoad(s.Context(), at)
	changed := change(s)
	asked, err := visitors.end()
	if err := errors.Join(changed, err); err != nil {
		return err
	}
	s.Say("%d requests meanwhile, and none failed", asked)
	return s.Skiff("get", "pods")
}

func change(s *session.Session) error {
	if err := s.Skiff("scale", "deploy/api", "--replicas=4"); err != nil {
		return err
	}
	if err := s.Skiff("rollout", "status", "deploy/api"); err != nil {
		return err
	}
	for _, tier := range []string{"api", "web"} {
		victim, err := s.Output("get", "pods", "-l", "tier="+tier, "-o", "jsonpath={.items[0].metadata.name}")
		if err != nil {
			return err
		}
		if err := s.Skiff("delete", "pod", victim); err != nil {
			return err
		}
	}
	return errors.Join(
		s.Until(limit, "4", "get", "deploy", "api", "-o", "jsonpath={.status.readyReplicas}"),
		s.Until(limit, "2", "get", "deploy", "web", "-o", "jsonpath={.status.readyReplicas}"))
}

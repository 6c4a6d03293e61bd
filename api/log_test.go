package api_test

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestLogs(t *testing.T) {
	fake := newFakePods()
	h := start(t, options{pods: fake})
	must[*corev1.Pod](t)(h.client.CoreV1().Pods("default").Create(context.Background(), pod("unbound"), metav1.CreateOptions{}))
	h.runningPod("one", "c")
	h.runningPod("two", "c", "d")
	h.runningPod("new", "c")
	h.status("new")
	waiting := func(reason string) corev1.ContainerStatus {
		return corev1.ContainerStatus{Name: "c", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}}
	}
	for _, reason := range []string{"ContainerCreating", "ErrImagePull", "ImagePullBackOff"} {
		name := strings.ToLower(reason)
		h.runningPod(name, "c")
		h.status(name, waiting(reason))
	}
	restarted := waiting("CrashLoopBackOff")
	restarted.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ContainerID: "docker://abc"}
	h.runningPod("restarted", "c")
	h.status("restarted", restarted)
	h.runningPod("lost", "c")
	h.status("lost", corev1.ContainerStatus{Name: "c", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}})

	for path, want := range map[string]string{
		"/one/log": "200 the log of c, previous false, tail false, timestamps false",
		"/one/log?container=c&tailLines=3&timestamps=true": "200 the log of c, previous false, tail true, timestamps true",
		"/two/log?container=d":                             "200 the log of d, previous false, tail false, timestamps false",
		"/one/log?limitBytes=7":                            "200 the log",
		"/restarted/log":                                   "200 the log of c, previous false, tail false, timestamps false",
		"/restarted/log?previous=true":                     "200 the log of c, previous true, tail false, timestamps false",
		"/unbound/log":                                     "204",
		"/none/log":                                        `404 NotFound: pods "none" not found`,
		"/two/log":                                         "400 BadRequest: a container name must be specified for pod two, choose one of: [c d]",
		"/one/log?container=x":                             "400 BadRequest: container x is not valid for pod one",
		"/one/log?previous=true":                           `400 BadRequest: previous terminated container "c" in pod "one" not found`,
		"/new/log":                                         `400 BadRequest: container "c" in pod "new" is not available`,
		"/containercreating/log":                           `400 BadRequest: container "c" in pod "containercreating" is waiting to start: ContainerCreating`,
		"/errimagepull/log":                                `400 BadRequest: container "c" in pod "errimagepull" is waiting to start: image can't be pulled`,
		"/imagepullbackoff/log":                            `400 BadRequest: container "c" in pod "imagepullbackoff" is waiting to start: trying and failing to pull image`,
		"/lost/log":                                        `400 BadRequest: container "c" in pod "lost" is terminated`,
		"/one/log?tailLines=-1":                            `422 Invalid: PodLogOptions "one" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0`,
		"/one/log?limitBytes=0":                            `422 Invalid: PodLogOptions "one" is invalid: limitBytes: Invalid value: 0: must be greater than 0`,
		"/one/log?sinceSeconds=0":                          `422 Invalid: PodLogOptions "one" is invalid: sinceSeconds: Invalid value: 0: must be greater than 0`,
		"/one/log?sinceSeconds=1&sinceTime=2026-01-02T03:04:05Z": "422 Invalid: PodLogOptions \"one\" is invalid: []: Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified",
		"/one/log?stream=Both":               `422 Invalid: PodLogOptions "one" is invalid: stream: Unsupported value: "Both": supported values: "All", "Stderr", "Stdout"`,
		"/one/log?stream=Stdout&tailLines=1": "422 Invalid: PodLogOptions \"one\" is invalid: []: Forbidden: `tailLines` and specific `stream` are mutually exclusive for now",
		"/one/log?tailLines=many":            `400 BadRequest: strconv.ParseInt: parsing "many": invalid syntax`,
	} {
		got := h.do("GET", pods+path, "")
		equal(t, path, strings.TrimSpace(got.String()), want)
		if got.code == 200 {
			equal(t, "type", got.header.Get("Content-Type"), "text/plain")
		}
	}
}

// TestFollowedLog reads a log while it is written, and leaves.
func TestFollowedLog(t *testing.T) {
	fake := newFakePods()
	h := start(t, options{pods: fake})
	h.runningPod("p", "c")
	ctx, leave := context.WithCancel(context.Background())
	answer, lines := h.open(ctx, pods+"/p/log?follow=true")
	defer answer.Body.Close()
	first := must[string](t)(lines.ReadString('\n')) // the log goes on, so this was flushed
	equal(t, "line", first, "first\n")
	leave()
	equal(t, "log", <-fake.ended, "logs ended")
	fake.running.Wait()
}

package integration

import (
	"strings"
	"testing"
	"time"
)

// TestDaemonSet is the tutorial's chapter: a DaemonSet for nodes with an SSD, on a node that has
// none, gets one and loses it.
func TestDaemonSet(t *testing.T) {
	t.Parallel()
	walkBoth(t, func(w walk) {
		node := strings.TrimSpace(w.cli.Do("get", "node", "-o", "jsonpath={.items[0].metadata.name}"))
		w.run("create -f "+manifest("ssd-monitor-daemonset.yaml"), "daemonset.apps/ssd-monitor created")
		w.until(soon, "get ds", "NAME DESIRED CURRENT READY UP-TO-DATE AVAILABLE NODE SELECTOR AGE\nssd-monitor 0 0 0 0 0 disk=ssd *")
		w.nothing("get pods --show-labels")
		w.run("get node", "NAME STATUS ROLES AGE VERSION\n"+node+" Ready <none> * v*")

		w.run("label node "+node+" disk=ssd", "node/"+node+" labeled")
		w.run("get node --show-labels", "NAME STATUS ROLES AGE VERSION LABELS\n"+node+" Ready <none> * v* *,disk=ssd,*")
		w.until(soon, "get pods --show-labels", "NAME READY STATUS RESTARTS AGE LABELS\n"+
			"ssd-monitor-????? 1/1 Running 0 * app=ssd-monitor,controller-revision-hash=*,pod-template-generation=1")
		w.until(soon, "get ds", "NAME DESIRED CURRENT READY UP-TO-DATE AVAILABLE NODE SELECTOR AGE\nssd-monitor 1 1 1 1 1 disk=ssd *")
		w.run("describe ds ssd-monitor", describedDaemonSet)

		w.run("label node "+node+" disk=hdd --overwrite", "node/"+node+" labeled")
		w.until(soon, "get ds", "NAME DESIRED CURRENT READY UP-TO-DATE AVAILABLE NODE SELECTOR AGE\nssd-monitor 0 0 0 0 0 disk=ssd *")
		// The tutorial's app ignores SIGTERM; nobody has to wait for its 30 seconds.
		w.cli.Do("delete", "pods", "-l", "app=ssd-monitor", "--grace-period=1")
		w.nothing("get pods --show-labels")

		w.run("delete ds ssd-monitor", `daemonset.apps "ssd-monitor" deleted …`)
		w.nothing("get ds")
		w.nothing("get controllerrevisions")
	})
}

// nothing runs a command line until it finds nothing.
func (w walk) nothing(line string) {
	w.Helper()
	until := time.Now().Add(soon)
	for {
		r := w.cli.Try("", strings.Fields(line)...)
		if r.Code == 0 && r.Out == "" && r.Err == "No resources found in default namespace.\n" {
			return
		}
		if time.Now().After(until) {
			w.Fatalf("%s: exit %d\n%s%s", line, r.Code, r.Out, r.Err)
		}
	}
}

const describedDaemonSet = `
Name:           ssd-monitor
Namespace:      default
Selector:       app=ssd-monitor
Node-Selector:  disk=ssd
Labels:         <none>
Annotations:    deprecated.daemonset.template.generation: 1
Desired Number of Nodes Scheduled: 1
Current Number of Nodes Scheduled: 1
Number of Nodes Scheduled with Up-to-date Pods: 1
Number of Nodes Scheduled with Available Pods: 1
Number of Nodes Misscheduled: 0
Pods Status:  1 Running / 0 Waiting / 0 Succeeded / 0 Failed
Pod Template:
  Labels:  app=ssd-monitor
  Containers:
   main:
    Image:         ksfzhaohui/kubia
    Port:          <none>
    Host Port:     <none>
    Environment:   <none>
    Mounts:        <none>
  Volumes:         <none>
  Node-Selectors:  disk=ssd
  Tolerations:     <none>
Events:
  Type    Reason            Age   From                  Message
  ----    ------            ----  ----                  -------
  Normal  SuccessfulCreate  *     daemonset-controller  Created pod: ssd-monitor-?????`

// TestDaemonSetRollback undoes a broken update.
func TestDaemonSetRollback(t *testing.T) {
	t.Parallel()
	walkBoth(t, func(w walk) {
		w.cli.DoIn(`{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: agent}, spec: {selector: {matchLabels: {app: agent}}, template: {
			metadata: {labels: {app: agent}},
			spec: {terminationGracePeriodSeconds: 1, containers: [{name: main, image: ksfzhaohui/kubia, imagePullPolicy: Never}]}}}}`, "create", "-f", "-")
		w.until(soon, "get ds", "NAME DESIRED CURRENT READY UP-TO-DATE AVAILABLE NODE SELECTOR AGE\nagent 1 1 1 1 1 <none> *")
		w.run("set image ds agent main=skiff/none", "daemonset.apps/agent image updated")
		w.until(soon, "get pods", "NAME READY STATUS RESTARTS AGE\nagent-????? 0/1 ErrImageNeverPull 0 *")
		w.run("rollout undo ds agent", "daemonset.apps/agent rolled back")
		w.until(soon, "get ds", "NAME DESIRED CURRENT READY UP-TO-DATE AVAILABLE NODE SELECTOR AGE\nagent 1 1 1 1 1 <none> *")
		w.run("rollout history ds agent", "daemonset.apps/agent\nREVISION CHANGE-CAUSE\n2 <none>\n3 <none>")
	})
}

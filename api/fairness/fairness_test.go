package fairness

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/utils/ptr"

	"skiff/manifests"
)

// TestClassify asks where requests belong by the schemas that exist from the start, and one more.
func TestClassify(t *testing.T) {
	schemas := manifests.FlowSchemas()
	dangling := schemas[0].DeepCopy()
	dangling.Name, dangling.Spec.MatchingPrecedence, dangling.Spec.PriorityLevelConfiguration.Name = "dangling", 1, "gone"
	dangling.Spec.Rules[0].Subjects[0].Group.Name = "*"
	schemas = append(schemas, dangling)
	for i, s := range schemas {
		s = s.DeepCopy()
		s.UID, schemas[i] = types.UID(s.Name), s
	}
	account := func(namespace, name string) *user.DefaultInfo {
		return &user.DefaultInfo{Name: "system:serviceaccount:" + namespace + ":" + name, Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"}}
	}
	get := &request.RequestInfo{IsResourceRequest: true, Verb: "get", Resource: "pods", Namespace: "default"}
	for _, c := range []struct {
		name string
		who  *user.DefaultInfo
		info *request.RequestInfo
		want string
	}{
		{"the administrator", &user.DefaultInfo{Name: "admin", Groups: []string{"system:masters"}}, get, "exempt in exempt, flow exempt/"},
		{"anybody", &user.DefaultInfo{Name: "eve", Groups: []string{"system:authenticated"}}, get, "global-default in global-default, flow global-default/eve"},
		{"nobody", &user.DefaultInfo{Name: "system:anonymous", Groups: []string{"system:unauthenticated"}}, get, "global-default in global-default, flow global-default/system:anonymous"},
		{"in no group", &user.DefaultInfo{Name: "eve"}, get, ""},
		{"a service account", account("default", "default"), get, "service-accounts in workload-low, flow service-accounts/system:serviceaccount:default:default"},
		{"one of the system's", account("kube-system", "x"), get, "kube-system-service-accounts in workload-high, flow kube-system-service-accounts/default"},
		{"a node", &user.DefaultInfo{Name: "system:node:x", Groups: []string{"system:nodes", "system:authenticated"}}, get, "system-nodes in system, flow system-nodes/system:node:x"},
		{"a node's status", &user.DefaultInfo{Name: "system:node:x", Groups: []string{"system:nodes"}},
			&request.RequestInfo{IsResourceRequest: true, Verb: "patch", Resource: "nodes", Subresource: "status"}, "system-node-high in node-high, flow system-node-high/system:node:x"},
		{"a probe", &user.DefaultInfo{Name: "eve", Groups: []string{"system:authenticated"}}, &request.RequestInfo{Verb: "get", Path: "/healthz"}, "probes in exempt, flow probes/"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ""
			if in, ok := classify(schemas, manifests.PriorityLevels(), c.who, c.info); ok {
				got = fmt.Sprintf("%s in %s, flow %s", in.schema.Name, in.level.Name, in.flow)
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestPathsMatch(t *testing.T) {
	for _, c := range []struct {
		rule, path string
		want       bool
	}{{"*", "/x", true}, {"/api", "/api", true}, {"/api", "/api/v1", false}, {"/apis/*", "/apis/apps", true}, {"/apis/*", "/api", false}} {
		r := flowcontrolv1.NonResourcePolicyRule{Verbs: []string{"*"}, NonResourceURLs: []string{c.rule}}
		if got := ofPath(&request.RequestInfo{Path: c.path, Verb: "get"})(r); got != c.want {
			t.Errorf("%s for %s: %v", c.rule, c.path, got)
		}
	}
}

func limited(name string, shares, queues, hand, length int32) *flowcontrolv1.PriorityLevelConfiguration {
	l := &flowcontrolv1.PriorityLevelConfiguration{}
	l.Name, l.Spec.Type = name, flowcontrolv1.PriorityLevelEnablementLimited
	l.Spec.Limited = &flowcontrolv1.LimitedPriorityLevelConfiguration{NominalConcurrencyShares: ptr.To(shares)}
	if queues > 0 {
		l.Spec.Limited.LimitResponse = flowcontrolv1.LimitResponse{
			Type: flowcontrolv1.LimitResponseTypeQueue, Queuing: &flowcontrolv1.QueuingConfiguration{Queues: queues, HandSize: hand, QueueLengthLimit: length},
		}
	}
	return l
}

func TestSeats(t *testing.T) {
	a, b := limited("a", 30, 0, 0, 0), limited("b", 10, 0, 0, 0)
	all := []*flowcontrolv1.PriorityLevelConfiguration{a, b}
	l := newLimiter(10)
	if got := fmt.Sprint(l.seatsOf(a, all), l.seatsOf(b, all), newLimiter(1).seatsOf(b, all)); got != "8 3 1" {
		t.Error(got)
	}
}

// TestFlowsTakeTurns: while one flow has many requests, another need not wait for all of them.
func TestFlowsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		of := limited("a", 1, 4, 1, 8)
		all := []*flowcontrolv1.PriorityLevelConfiguration{of}
		l := newLimiter(1)
		leave, ok := l.enter(t.Context(), class{level: of, flow: "greedy"}, all)
		if !ok {
			t.Fatal("refused")
		}
		answered := make(chan string, 10)
		for _, flow := range []string{"greedy", "greedy", "greedy", "modest"} {
			go func() {
				leave, ok := l.enter(context.Background(), class{level: of, flow: flow}, all)
				if !ok {
					t.Error("refused")
					return
				}
				answered <- flow
				leave()
			}()
			synctest.Wait()
		}
		if len(answered) != 0 {
			t.Error("more than one at a time")
		}
		leave()
		synctest.Wait()
		close(answered)
		var order []string
		for flow := range answered {
			order = append(order, flow)
		}
		if got := strings.Join(order, " "); got != "greedy modest greedy greedy" {
			t.Error(got)
		}
		if len(l.levels) != 0 {
			t.Errorf("%d levels remembered", len(l.levels))
		}
	})
}

func TestTooMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rejects, queues := limited("rejects", 1, 0, 0, 0), limited("queues", 1, 2, 1, 1)
		all := []*flowcontrolv1.PriorityLevelConfiguration{rejects, queues}
		l := newLimiter(2)
		leave, _ := l.enter(t.Context(), class{level: rejects}, all)
		if _, ok := l.enter(t.Context(), class{level: rejects}, all); ok {
			t.Error("a level without queues lets requests wait")
		}
		leave()
		leave, _ = l.enter(t.Context(), class{level: queues}, all)
		ctx, cancel := context.WithCancel(t.Context())
		gaveUp := make(chan bool)
		go func() {
			_, ok := l.enter(ctx, class{level: queues, flow: "x"}, all)
			gaveUp <- !ok
		}()
		synctest.Wait()
		if _, ok := l.enter(t.Context(), class{level: queues, flow: "x"}, all); ok {
			t.Error("the flow's queue is full")
		}
		cancel()
		if !<-gaveUp {
			t.Error("it was answered")
		}
		leave()
		if len(l.levels) != 0 {
			t.Errorf("%d levels remembered", len(l.levels))
		}
		exempt := &flowcontrolv1.PriorityLevelConfiguration{Spec: flowcontrolv1.PriorityLevelConfigurationSpec{Type: flowcontrolv1.PriorityLevelEnablementExempt}}
		for range 5 {
			if _, ok := l.enter(t.Context(), class{level: exempt}, all); !ok {
				t.Error("an exempt request was refused")
			}
		}
	})
}

package flowschemas

import (
	"testing"
	"testing/synctest"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apimachinery/pkg/types"

	"go.uber.org/goleak"

	"skiff/orchestrator/internal/testbed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDangling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := testbed.New(t)
		b.Run(New(b.Env()).Run)
		expect := func(when, name string, want flowcontrolv1.ConditionStatus, reason string) {
			t.Helper()
			testbed.Settled()
			s, ok := testbed.Get[*flowcontrolv1.FlowSchema](b, "", name)
			if !ok || len(s.Status.Conditions) != 1 || s.Status.Conditions[0].Status != want || s.Status.Conditions[0].Reason != reason {
				t.Errorf("%s: %v", when, s.Status.Conditions)
			}
		}
		expect("from the start", "catch-all", flowcontrolv1.ConditionFalse, "Found")
		mine := &flowcontrolv1.FlowSchema{Spec: flowcontrolv1.FlowSchemaSpec{MatchingPrecedence: 500}}
		mine.Name, mine.Spec.PriorityLevelConfiguration.Name = "mine", "mine"
		testbed.Create(b, mine)
		expect("no level", "mine", flowcontrolv1.ConditionTrue, "NotFound")
		level, _ := testbed.Get[*flowcontrolv1.PriorityLevelConfiguration](b, "", "workload-low")
		level = level.DeepCopy()
		level.ObjectMeta.Name, level.UID, level.ResourceVersion = "mine", types.UID(""), ""
		testbed.Create(b, level)
		expect("it comes", "mine", flowcontrolv1.ConditionFalse, "Found")
		testbed.Delete[*flowcontrolv1.PriorityLevelConfiguration](b, "", "mine")
		expect("it goes", "mine", flowcontrolv1.ConditionTrue, "NotFound")
		before := b.Store.Revision()
		testbed.Settled()
		if after := b.Store.Revision(); after != before {
			t.Errorf("%d writes at rest", after-before)
		}
	})
}

package pod

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }

// APITime is a time in whole seconds, as the API stores it: what is read back must equal what was
// written.
func APITime(t time.Time) metav1.Time {
	if t.IsZero() {
		return metav1.Time{}
	}
	return metav1.NewTime(t.Truncate(time.Second))
}

package diagnosis

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The reason that a person looks for is that of the end, not that of the wait after it.
func TestNewestWarning(t *testing.T) {
	at := func(reason string, second int) corev1.Event {
		return corev1.Event{Reason: reason, LastTimestamp: metav1.NewTime(time.Date(2026, 11, 23, 10, 0, second, 0, time.UTC))}
	}
	for _, test := range []struct {
		want string
		all  []corev1.Event
	}{
		{"Unhealthy", []corev1.Event{at("FailedMount", 1), at("Unhealthy", 2), at("BackOff", 3)}},
		{"FailedMount", []corev1.Event{at("FailedMount", 2), at("Unhealthy", 1)}},
		{"BackOff", []corev1.Event{at("BackOff", 3)}},
	} {
		if got := newest(test.all).Reason; got != test.want {
			t.Errorf("%s, want %s", got, test.want)
		}
	}
}

package endpoints

import corev1 "k8s.io/api/core/v1"

// capacity is how many addresses Endpoints hold at most. Who has more is read from slices.
const capacity = 1000

// truncate drops addresses above the capacity, those that are not ready first, from each subset in
// proportion. It reports whether it had to.
func truncate(subsets []corev1.EndpointSubset) ([]corev1.EndpointSubset, bool) {
	ready, unready := 0, 0
	for i := range subsets {
		ready += len(subsets[i].Addresses)
		unready += len(subsets[i].NotReadyAddresses)
	}
	if ready+unready <= capacity {
		return subsets, false
	}
	if ready >= capacity {
		share := sharing(ready, capacity)
		for i := range subsets {
			s := &subsets[i]
			s.Addresses, s.NotReadyAddresses = share(s.Addresses), nil
		}
	} else {
		share := sharing(unready, capacity-ready)
		for i := range subsets {
			subsets[i].NotReadyAddresses = share(subsets[i].NotReadyAddresses)
		}
	}
	kept := subsets[:0]
	for _, s := range subsets {
		if len(s.Addresses)+len(s.NotReadyAddresses) > 0 {
			kept = append(kept, s)
		}
	}
	return kept, true
}

// sharing gives each of several lists, which have so many addresses together, its share of the room
// there is, rounded up as long as there is some left.
func sharing(total, room int) func([]corev1.EndpointAddress) []corev1.EndpointAddress {
	left := room
	return func(a []corev1.EndpointAddress) []corev1.EndpointAddress {
		n := min((len(a)*room+total-1)/total, left)
		left -= n
		return a[:n:n]
	}
}

package servicefacts

import (
	"slices"

	discoveryv1 "k8s.io/api/discovery/v1"
)

// Endpoint is one of those that a Service's port leads to.
type Endpoint struct {
	*discoveryv1.Endpoint
	// Port is the number at the endpoint.
	Port int32
}

// Ready are the ready endpoints of a Service's port, by the port's name, as its slices say. An endpoint
// that says nothing of it is ready.
func Ready(all []*discoveryv1.EndpointSlice, port string) (ready []Endpoint) {
	for _, slice := range all {
		at := slices.IndexFunc(slice.Ports, func(p discoveryv1.EndpointPort) bool {
			return p.Name != nil && *p.Name == port && p.Port != nil
		})
		if at < 0 {
			continue
		}
		for i := range slice.Endpoints {
			if e := &slice.Endpoints[i]; e.Conditions.Ready == nil || *e.Conditions.Ready {
				ready = append(ready, Endpoint{e, *slice.Ports[at].Port})
			}
		}
	}
	return ready
}

package door

import "net/http"

// continuing keeps a backend's "100 Continue" from the client: the server sends its own once the request's
// body is read, which is when the backend has asked for it. The two would race, and now and then both
// would be sent.
type continuing struct{ http.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (c continuing) WriteHeader(status int) {
	if status != http.StatusContinue {
		c.ResponseWriter.WriteHeader(status)
	}
}

// Unwrap lets http.ResponseController reach the rest of what the writer can do.
func (c continuing) Unwrap() http.ResponseWriter { return c.ResponseWriter }

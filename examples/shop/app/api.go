package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
)

// api tells what the store holds. It is ready once the store has been migrated.
type api struct {
	host  string
	store client
}

// answer is what the api tells.
type answer struct {
	// ServedBy is the pod that answered.
	ServedBy string    `json:"servedBy"`
	Products []product `json:"products"`
}

func (a api) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", well)
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		got, err := a.store.do(r.Context(), http.MethodGet, "/keys/"+schemaKey, "")
		if err == nil && string(got) != schema {
			err = fmt.Errorf("the store has schema %q, not %q", got, schema)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		well(w, r)
	})
	mux.HandleFunc("GET /products", func(w http.ResponseWriter, r *http.Request) {
		products, err := a.products(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(answer{a.host, products}) //nolint:errcheck // the other side is gone
	})
	return mux
}

func (a api) products(ctx context.Context) ([]product, error) {
	raw, err := a.store.do(ctx, http.MethodGet, "/keys?prefix=product-", "")
	if err != nil {
		return nil, err
	}
	var stored map[string]string
	if err := json.Unmarshal(raw, &stored); err != nil {
		return nil, fmt.Errorf("reading what the store answered: %w", err)
	}
	products := []product{}
	for id, text := range stored {
		var p product
		if err := json.Unmarshal([]byte(text), &p); err != nil {
			return nil, fmt.Errorf("reading %s: %w", id, err)
		}
		products = append(products, p)
	}
	slices.SortFunc(products, func(a, b product) int { return cmp.Compare(a.ID, b.ID) })
	return products, nil
}

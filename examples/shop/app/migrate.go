package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// product is what the shop sells. The price is in cents.
type product struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Price int    `json:"price"`
}

// assortment is what the migration puts into the store.
var assortment = []product{
	{"product-1", "A kettle that whistles in tune", 2450},
	{"product-2", "Socks, a pair that stays one", 790},
	{"product-3", "An umbrella for two", 3100},
	{"product-4", "A lamp that reads along", 5600},
}

// schemaKey says which migration the store has had. It is written last.
const (
	schemaKey = "schema"
	schema    = "1"
)

// How long the store may take to come up, and how often it is asked.
const (
	storeLimit = 2 * time.Minute
	storePause = 200 * time.Millisecond
)

// migrate waits for the store and fills it. Doing it twice does no harm.
func migrate(ctx context.Context, out io.Writer, store client) error {
	ctx, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	tick := time.NewTicker(storePause)
	defer tick.Stop()
	for {
		_, err := store.do(ctx, http.MethodGet, "/healthz", "")
		if err == nil {
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for the store: %w", err)
		}
	}
	for _, p := range assortment {
		raw, err := json.Marshal(p)
		if err != nil {
			return err
		}
		if _, err := store.do(ctx, http.MethodPut, "/keys/"+p.ID, string(raw)); err != nil {
			return fmt.Errorf("storing %s: %w", p.ID, err)
		}
	}
	if _, err := store.do(ctx, http.MethodPut, "/keys/"+schemaKey, schema); err != nil {
		return fmt.Errorf("noting the migration: %w", err)
	}
	_, err := fmt.Fprintf(out, "stored %d products\n", len(assortment))
	return err
}

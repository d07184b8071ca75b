package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
)

//go:embed demo/shipping.json
var demoShippingFile []byte

// seedShipping makes the demo's ways to send, unless the shop has some, and tells how many
// that were.
func (c client) seedShipping(ctx context.Context) (created int, err error) {
	var list []json.RawMessage
	if err := json.Unmarshal(demoShippingFile, &list); err != nil {
		return 0, fmt.Errorf("read the demo shipping: %w", err)
	}
	var there struct{ Data []struct{ ID string } }
	if _, _, err := c.do(ctx, http.MethodGet, "/v1/shipping/methods", nil, "", &there); err != nil || len(there.Data) > 0 {
		return 0, err
	}
	for i, method := range list {
		var answer struct{ Detail string }
		status, _, err := c.do(ctx, http.MethodPost, "/v1/shipping/methods", method, fmt.Sprintf("seed-shipping-%d", i), &answer)
		if err == nil && status != http.StatusCreated {
			err = fmt.Errorf("%d %s", status, answer.Detail)
		}
		if err != nil {
			return created, fmt.Errorf("way to send %d: %w", i+1, err)
		}
		created++
	}
	return created, nil
}

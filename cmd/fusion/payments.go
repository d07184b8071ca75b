package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// seedPayments gives the shop an account at the provider that moves no money, unless it has
// some.
func (c client) seedPayments(ctx context.Context) error {
	var there struct{ Data []struct{ ID string } }
	if _, _, err := c.do(ctx, http.MethodGet, "/v1/payments/accounts", nil, "", &there); err != nil || len(there.Data) > 0 {
		return err
	}
	var answer struct{ Detail string }
	status, _, err := c.do(ctx, http.MethodPost, "/v1/payments/accounts", json.RawMessage(`{"provider":"test","name":"To try things out"}`), "seed-payments", &answer)
	if err == nil && status != http.StatusCreated {
		err = fmt.Errorf("%d %s", status, answer.Detail)
	}
	if err != nil {
		return fmt.Errorf("payments to try out: %w", err)
	}
	return nil
}

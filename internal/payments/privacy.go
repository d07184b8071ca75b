package payments

import (
	"context"

	"github.com/fusioncommerce/fusion/internal/platform/db"
)

// PersonalData is the payments of a customer. They name them by id only, so that there is
// nothing to erase.
func (m *Module) PersonalData(ctx context.Context, customer string) (any, error) {
	list := []paymentResponse{}
	err := m.svc.db.Read(ctx, func(tx *db.Tx) error {
		for after := (*position)(nil); ; {
			f := filter{CustomerID: customer, After: after, Limit: 500}
			page, err := m.svc.store.list(ctx, tx, f)
			if err != nil {
				return err
			}
			for _, c := range page {
				list = append(list, present(c))
			}
			if len(page) < f.Limit {
				return nil
			}
			last := page[len(page)-1].payment
			after = &position{last.CreatedAt, last.ID}
		}
	})
	return list, err
}

// Claim has nothing to do: payments follow their orders.
func (*Module) Claim(context.Context, string, string) error { return nil }

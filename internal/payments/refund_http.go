package payments

import (
	"context"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

type refundResponse struct {
	ID        string    `json:"id" format:"uuid"`
	PaymentID string    `json:"paymentId" format:"uuid"`
	Amount    string    `json:"amount" example:"5.00"`
	Currency  string    `json:"currency" example:"EUR"`
	Reason    string    `json:"reason" example:"damaged"`
	Note      string    `json:"note,omitempty"`
	Status    string    `json:"status" enum:"requested,processing,requires_action,succeeded,failed,cancelled"`
	Failure   *failure  `json:"failure,omitempty"`
	Actor     string    `json:"actor,omitempty" doc:"Who asked for it; hidden from customers"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}

func presentRefund(r refund) refundResponse {
	return refundResponse{
		ID: r.ID.String(), PaymentID: r.PaymentID.String(), Amount: r.Amount.Decimal(), Currency: string(r.Amount.Currency), Reason: r.Reason, Note: r.Note, Status: r.Status,
		Failure: failureOf(r.Failure), Actor: r.Actor, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}
}

type refundBody struct {
	Amount httpx.Decimal `json:"amount,omitempty" doc:"All that is left when it is absent"`
	Reason string        `json:"reason" minLength:"1" maxLength:"100" doc:"A word for it, for reports" example:"damaged"`
	Note   string        `json:"note,omitempty" maxLength:"500" doc:"For the shop's people. It cannot be erased: write no names"`
}

// Check finds what the schema cannot say.
func (b *refundBody) Check() []fault.Field {
	fields := httpx.Line("/reason", b.Reason)
	switch b.Reason {
	case reasonFailed, reasonCancelled, reasonOverpaid, reasonElsewhere:
		fields = append(fields, fault.Field{Pointer: "/reason", Code: "not_allowed", Detail: "is what the program says by itself: choose another word"})
	}
	return fields
}

type refundInput struct {
	httpx.JSON[refundBody]
	ID string `path:"id"`
}

func (s *service) handleRefund(ctx context.Context, in *refundInput) (refundResponse, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return refundResponse{}, err
	}
	once, err := httpx.Once(ctx)
	if err != nil {
		return refundResponse{}, err
	}
	r, o, failure, err := s.refund(ctx, id, refundWish{once, in.Body.Amount, in.Body.Reason, in.Body.Note})
	if err != nil {
		return refundResponse{}, err
	}
	if failure != nil && declined(failure) == nil {
		s.log.WarnContext(ctx, "the provider did not say what became of a refund", "refund", r.ID, "err", failure)
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (refundResponse, error) {
		audit.Because(ctx, in.Body.Reason)
		if r.Status != refundRequested { // asked for before
			return presentRefund(r), nil
		}
		r, err := s.concludeRefund(ctx, tx, r.ID, r.AttemptID, o, failure)
		return presentRefund(r), err
	})
}

func (s *service) handleRefunds(ctx context.Context, in *byID) (httpx.List[refundResponse], error) {
	out := httpx.List[refundResponse]{Data: []refundResponse{}}
	id, err := httpx.ID(in.ID)
	if err != nil {
		return out, err
	}
	only := identity.OnlyOf(ctx, permissionRead)
	var list []refund
	if err := s.db.Read(ctx, func(tx *db.Tx) error {
		if _, err := s.store.findPayment(ctx, tx, id, only); err != nil {
			return err
		}
		list, err = s.store.refundsOf(ctx, tx, id)
		return err
	}); err != nil {
		return out, err
	}
	for _, r := range list {
		if only != "" {
			r.Actor, r.Note = "", ""
		}
		out.Data = append(out.Data, presentRefund(r))
	}
	return out, nil
}

package payments

import (
	"context"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
)

type webhookInput struct {
	httpx.Raw
	ID   string `path:"id"`
	Shop string `query:"shop" format:"uuid" doc:"The tenant, where the host does not say"`
}

type webhookResponse struct {
	Received bool `json:"received"`
}

func (s *service) handleWebhook(ctx context.Context, in *webhookInput) (webhookResponse, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return webhookResponse{}, err
	}
	if in.Shop != "" {
		shop, err := httpx.ID(in.Shop)
		if err != nil {
			return webhookResponse{}, err
		}
		if ctx, err = httpx.Enter(ctx, shop); err != nil {
			return webhookResponse{}, err
		}
	}
	return s.hearWebhook(ctx, &in.Raw, func(tx *db.Tx) (account, error) { return s.store.account(ctx, tx, id) })
}

type preferredWebhookInput struct{ httpx.Raw }

func (s *service) handlePreferredWebhook(ctx context.Context, in *preferredWebhookInput) (webhookResponse, error) {
	return s.hearWebhook(ctx, &in.Raw, func(tx *db.Tx) (account, error) { return s.store.oneAccount(ctx, tx, `where preferred`) })
}

func (s *service) hearWebhook(ctx context.Context, in *httpx.Raw, find func(tx *db.Tx) (account, error)) (webhookResponse, error) {
	var a account
	if err := s.db.Read(ctx, func(tx *db.Tx) (err error) {
		a, err = find(tx)
		return err
	}); err != nil {
		return webhookResponse{}, err
	}
	p, opened, err := s.opened(ctx, a)
	if err != nil {
		return webhookResponse{}, err
	}
	n, err := p.Notice(opened, in.Header(), in.RawBody, s.now())
	if err != nil {
		s.log.WarnContext(ctx, "a webhook was refused", "account", a.ID, "err", err)
		return webhookResponse{}, errSignature
	}
	return webhookResponse{Received: true}, s.receive(ctx, a, n)
}

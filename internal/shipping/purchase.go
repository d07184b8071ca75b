package shipping

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/shipping/carrier"
)

// What became of the paper of a label.
const (
	documentNone    = "none"    // the carrier gives none, or there is no label
	documentAwaited = "awaited" // the label is bought, its paper did not come
	documentKept    = "kept"
)

// purchase of a shipment's label.
type purchase struct {
	ShipmentID uuid.UUID
	AccountID  uuid.UUID
	Key        uuid.UUID     // of this try: bought again with it is the same label
	Service    string        // that an offer has to be of
	Strict     bool          // no other will do
	Rate       *carrier.Rate // nil: not chosen
	Quote      *uuid.UUID    // of the rates that somebody has chosen from; nil: it is chosen by us
	AskedAt    *time.Time    // nil: nobody has bought anything
	Reference  string        // the carrier's, of the label
	Cost       money.Amount
	Document   string
	CreatedAt  time.Time
}

// insertPurchase writes a new one, in place of one that came to nothing.
func (store) insertPurchase(ctx context.Context, tx *db.Tx, p purchase) error {
	rate, err := encodedRate(p.Rate)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `
		insert into shipping.purchase (shipment_id, account_id, key, service, strict, rate, quote, document, created_at) values ($1, $2, $3, $4, $5, $6, $8, 'none', $7)
		on conflict (tenant_id, shipment_id) do update
		set account_id = excluded.account_id, key = excluded.key, service = excluded.service, strict = excluded.strict, rate = excluded.rate, asked_at = null, created_at = excluded.created_at`,
		p.ShipmentID, p.AccountID, p.Key, p.Service, p.Strict, rate, p.CreatedAt, p.Quote); db.Violates(err, "purchase_quote") {
		return errOfferTaken
	} else if err != nil {
		return fmt.Errorf("insert purchase: %w", err)
	}
	return nil
}

func encodedRate(r *carrier.Rate) (*string, error) {
	if r == nil {
		return nil, nil
	}
	body, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode rate: %w", err)
	}
	return new(string(body)), nil
}

func (store) purchase(ctx context.Context, tx *db.Tx, shipment uuid.UUID) (p purchase, err error) {
	var r struct {
		AccountID uuid.UUID  `db:"account_id"`
		Key       uuid.UUID  `db:"key"`
		Service   string     `db:"service"`
		Strict    bool       `db:"strict"`
		Rate      []byte     `db:"rate"`
		AskedAt   *time.Time `db:"asked_at"`
		Reference *string    `db:"reference"`
		Currency  *string    `db:"currency"`
		Cost      *int64     `db:"cost_minor"`
		Document  string     `db:"document"`
		CreatedAt time.Time  `db:"created_at"`
	}
	if err := tx.Get(ctx, &r, `
		select account_id, key, service, strict, rate, asked_at, reference, currency, cost_minor, document, created_at from shipping.purchase where shipment_id = $1`, shipment); err != nil {
		return p, fmt.Errorf("read purchase: %w", err)
	}
	p = purchase{
		ShipmentID: shipment, AccountID: r.AccountID, Key: r.Key, Service: r.Service, Strict: r.Strict, AskedAt: r.AskedAt, Reference: text(r.Reference), Document: r.Document, CreatedAt: r.CreatedAt,
	}
	if r.Cost != nil {
		p.Cost = money.Amount{Minor: *r.Cost, Currency: money.Currency(text(r.Currency))}
	}
	if r.Rate != nil {
		if err := json.Unmarshal(r.Rate, &p.Rate); err != nil {
			return p, fmt.Errorf("read purchase: %w", err)
		}
	}
	return p, nil
}

// savePurchase writes what can change of a try.
func (store) savePurchase(ctx context.Context, tx *db.Tx, p purchase) error {
	rate, err := encodedRate(p.Rate)
	if err != nil {
		return err
	}
	var currency *string
	var cost *int64
	if p.Reference != "" {
		currency, cost = new(string(p.Cost.Currency)), &p.Cost.Minor
	}
	if _, err := tx.Exec(ctx, `
		update shipping.purchase set rate = $3, asked_at = $4, reference = $5, currency = $6, cost_minor = $7, document = $8 where shipment_id = $1 and key = $2`,
		p.ShipmentID, p.Key, rate, p.AskedAt, orNull(p.Reference), currency, cost, p.Document); err != nil {
		return fmt.Errorf("save purchase: %w", err)
	}
	return nil
}

func (store) insertDocument(ctx context.Context, tx *db.Tx, shipment uuid.UUID, l carrier.Label) error {
	if _, err := tx.Exec(ctx, `insert into shipping.document (shipment_id, format, body) values ($1, $2, $3) on conflict do nothing`, shipment, string(l.Format), l.Document); err != nil {
		return fmt.Errorf("keep the document of a label: %w", err)
	}
	return nil
}

// document of a label; format is empty when there is none.
func (store) document(ctx context.Context, tx *db.Tx, shipment uuid.UUID) (format carrier.Format, body []byte, err error) {
	var r struct {
		Format string `db:"format"`
		Body   []byte `db:"body"`
	}
	switch err := tx.Get(ctx, &r, `select format, body from shipping.document where shipment_id = $1`, shipment); {
	case db.IsNoRows(err):
		return "", nil, nil
	case err != nil:
		return "", nil, fmt.Errorf("read the document of a label: %w", err)
	}
	return carrier.Format(r.Format), r.Body, nil
}

package shipping

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/shipping/carrier"
)

var (
	errNoOffer    = fault.New(fault.Invalid, "unknown_rate", "The rate is none that was offered for this order.")
	errOfferOver  = fault.New(fault.Conflict, "rate_outdated", "The rate is not offered any more: POST /v1/shipments/rates once more.")
	errOfferTaken = fault.New(fault.Conflict, "rate_taken", "A label was bought of these rates before: POST /v1/shipments/rates once more.")
)

// offersLast is how long a rate can be bought.
const offersLast = time.Hour

// offer is a rate with what it was offered for. It is handed out sealed, so that whoever brings
// it back has not made it up.
type offer struct {
	Account uuid.UUID                 `json:"account"`
	Order   uuid.UUID                 `json:"order"`
	Quote   uuid.UUID                 `json:"quote"` // what the carrier was asked for: it sells one label
	Items   []ordersapi.ConsignedItem `json:"items"`
	Size    carrier.Parcel            `json:"size"`
	Route   []byte                    `json:"route"`
	Until   time.Time                 `json:"until"`
	Rate    carrier.Rate              `json:"rate"`
}

// route tells apart where parcels come from and go to.
func (s *shipment) route() ([]byte, error) {
	text, err := json.Marshal([]any{s.Sender, s.Recipient})
	if err != nil {
		return nil, fmt.Errorf("encode the route of a parcel: %w", err)
	}
	sum := sha256.Sum256(text)
	return sum[:], nil
}

// covers refuses a parcel that an offer was not made for: it may cost more, or go elsewhere.
func (o *offer) covers(p shipment) error {
	route, err := p.route()
	if err != nil {
		return err
	}
	if !bytes.Equal(route, o.Route) {
		return errOfferOver.Saying("The rate was offered for other addresses: POST /v1/shipments/rates once more.")
	}
	return nil
}

func (s *service) sealOffer(ctx context.Context, o offer) (string, error) {
	id, err := identity.From(ctx)
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(o)
	if err != nil {
		return "", fmt.Errorf("encode offer: %w", err)
	}
	sealed, err := s.vault.Seal(id.Tenant, sealedOffer, body)
	return base64.RawURLEncoding.EncodeToString(sealed), err
}

func (s *service) openOffer(ctx context.Context, text string, order uuid.UUID) (o offer, err error) {
	id, err := identity.From(ctx)
	if err != nil {
		return o, err
	}
	wrong := errNoOffer.At("/rate", errNoOffer.Code, "is none that was offered for this order")
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return o, wrong
	}
	body, err := s.vault.Open(id.Tenant, sealedOffer, sealed)
	if err != nil || json.Unmarshal(body, &o) != nil || o.Order != order {
		return o, wrong
	}
	if !s.now().Before(o.Until) {
		return o, errOfferOver
	}
	return o, nil
}

type offersBody struct {
	OrderID uuid.UUID       `json:"orderId" format:"uuid"`
	Items   []consignedBody `json:"items,omitempty" maxItems:"100" doc:"All that is left when it is absent"`
	Parcel  sizeBody        `json:"parcel,omitzero"`
}

// Check finds what the schema cannot say.
func (b *offersBody) Check() []fault.Field { return checkConsigned(b.Items) }

type offersInput struct{ httpx.JSON[offersBody] }

type offerResponse struct {
	Rate      string     `json:"rate" doc:"Buy it with this: POST /v1/shipments"`
	AccountID string     `json:"accountId" format:"uuid"`
	Provider  string     `json:"provider" example:"easypost"`
	Carrier   string     `json:"carrier" doc:"Who takes the parcel" example:"USPS"`
	Service   string     `json:"service" example:"GroundAdvantage"`
	Price     string     `json:"price" example:"7.12"`
	Currency  string     `json:"currency" example:"USD"`
	Days      int        `json:"days,omitempty" doc:"On the way; absent when it is not said"`
	Estimated *time.Time `json:"estimatedDelivery,omitempty"`
}

type silentResponse struct {
	AccountID string `json:"accountId" format:"uuid"`
	Provider  string `json:"provider" example:"shippo"`
	Code      string `json:"code" doc:"The carrier's, or carrier_unavailable, key_refused" example:"carrier_unavailable"`
}

type offersResponse struct {
	Data   []offerResponse  `json:"data" doc:"The cheapest first"`
	Silent []silentResponse `json:"silent" doc:"Accounts whose carriers make no offer, and why"`
}

// handleOffers asks all carriers of the shop at the same time: what one of them refuses, or does
// not answer in time, hides nobody else's offers.
func (s *service) handleOffers(ctx context.Context, in *offersInput) (out offersResponse, err error) {
	b := in.Body
	out = offersResponse{Data: []offerResponse{}, Silent: []silentResponse{}}
	p, accounts, err := s.offered(ctx, wanted{OrderID: b.OrderID, Items: consignedItems(b.Items), Size: carrier.Parcel(b.Parcel)})
	if err != nil {
		return out, err
	}
	route, err := p.route()
	if err != nil {
		return out, err
	}
	packs := make([]ordersapi.ConsignedItem, len(p.Items))
	for i, it := range p.Items {
		packs[i] = ordersapi.ConsignedItem{Line: it.Line, Quantity: it.Quantity}
	}
	until := s.now().Add(offersLast)
	var mu sync.Mutex
	var all sync.WaitGroup
	type made struct {
		offer
		by account
	}
	var offers []made
	for _, a := range accounts {
		all.Go(func() {
			rates, err := s.ratesOf(ctx, a, p)
			quote := clock.NewID()
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				out.Silent = append(out.Silent, silentResponse{a.ID.String(), a.Provider, codeOf(err)})
			}
			for _, r := range rates {
				offers = append(offers, made{offer{Account: a.ID, Order: b.OrderID, Quote: quote, Items: packs, Size: p.Size, Route: route, Until: until, Rate: r}, a})
			}
		})
	}
	all.Wait()
	slices.SortStableFunc(offers, func(a, b made) int {
		if a.Rate.Price.Currency != b.Rate.Price.Currency {
			return 0
		}
		return int(max(-1, min(1, a.Rate.Price.Minor-b.Rate.Price.Minor)))
	})
	for _, o := range offers {
		sealed, err := s.sealOffer(ctx, o.offer)
		if err != nil {
			return out, err
		}
		out.Data = append(out.Data, offerResponse{
			Rate: sealed, AccountID: o.Account.String(), Provider: o.by.Provider, Carrier: o.Rate.Carrier, Service: o.Rate.Service, Price: o.Rate.Price.Decimal(), Currency: string(o.Rate.Price.Currency),
			Days: o.Rate.Days, Estimated: o.Rate.EstimatedDelivery,
		})
	}
	return out, nil
}

// offered is a parcel as it would be made now, with the accounts whose carriers are asked.
func (s *service) offered(ctx context.Context, w wanted) (p shipment, accounts []account, err error) {
	p, err = measured(ctx, s, w, func(w wanted) (p shipment, err error) {
		err = s.db.Read(ctx, func(tx *db.Tx) error {
			how, err := s.store.settings(ctx, tx, "")
			if err != nil {
				return err
			}
			if how.Sender == nil {
				return errNoSender
			}
			to, err := s.orders.Consignable(ctx, tx, w.OrderID, w.Items)
			if err != nil {
				return err
			}
			if to.Address == nil || to.Address.Line1 == "" || to.Country == "" {
				return errNoAddress
			}
			p = parcelOf(w, to, how)
			if p.Size, err = s.sized(ctx, tx, w, p.Items, how); err != nil {
				return err
			}
			accounts, err = s.store.accounts(ctx, tx, `where enabled and provider <> $1 order by preferred desc, id limit 20`, inhouseName)
			return err
		})
		return p, err
	})
	return p, accounts, err
}

func (s *service) ratesOf(ctx context.Context, a account, p shipment) ([]carrier.Rate, error) {
	c, opened, err := s.opened(ctx, a)
	if err != nil {
		return nil, err
	}
	return s.rated(ctx, c, opened, &p, p.consignment(clock.NewID(), a))
}

// codeOf is why a carrier makes no offer.
func codeOf(err error) string {
	if no, declined := errors.AsType[*carrier.Declined](err); declined {
		return no.Code
	}
	if errors.Is(err, carrier.ErrKeyRefused) {
		return codeKeyRefused
	}
	return codeUnavailable
}

func consignedItems(bodies []consignedBody) (items []ordersapi.ConsignedItem) {
	for _, i := range bodies {
		items = append(items, ordersapi.ConsignedItem(i))
	}
	return items
}

func checkConsigned(items []consignedBody) (fields []fault.Field) {
	for i, it := range items {
		if (it.Line == 0) == (it.SKU == "") {
			fields = append(fields, fault.Field{Pointer: fmt.Sprintf("/items/%d", i), Code: "required", Detail: "names a line or a SKU, and not both"})
		}
	}
	return fields
}

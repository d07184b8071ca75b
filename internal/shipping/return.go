package shipping

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"strconv"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/erasure"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/shipping/carrier"
	"github.com/fusioncommerce/fusion/internal/shipping/shippingapi"
)

var (
	errHasLabel = fault.New(fault.Conflict, "return_has_label", "The return has a label. Void its shipment first.")
	// The refusal of the orders.
	errNoReturnLabel = fault.New(fault.Conflict, "return_not_possible", "A return gets a label when it was agreed to, and before it is here.")
)

// returnService is what the label of a parcel says that comes back.
const returnService = "Return"

func (m *Module) mountReturns(api *httpx.API) {
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/returns/{id}/label", ID: "createReturnLabel", Summary: "Make the label of a return", Permission: permissionWrite, Status: http.StatusCreated,
		Description: "For a parcel from the buyer to the shop. It is a shipment as any other, of the direction `return`: nothing of the order counts as shipped with it. One at a time. " +
			"With a `carrier` it is bought from the shop's account there, as any label: the shipment is `created` until the carrier has answered.",
		Refusals: []*fault.Error{errNoSender, errNoAddress, errHasLabel, errNoReturnLabel, errNoAccount, erasure.ErrErased},
	}, m.svc.handleReturnLabel)
	httpx.File(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/returns/{id}/label.pdf", ID: "getReturnLabel", Summary: "Print the label of a return", Permission: permissionRead, Own: true, Personal: true,
		Description: "For who sends it back, too: customers print those of their own returns.", Refusals: []*fault.Error{errNoLabel, errNoDocument, errOtherFormat},
	}, []string{mediaPDF}, m.svc.handleReturnPDF)
}

// handleReturnPDF is the label of a return for who sends it back.
func (s *service) handleReturnPDF(ctx context.Context, in *byID) (httpx.Download, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return httpx.Download{}, err
	}
	var list []shipment
	if err := s.db.Read(ctx, func(tx *db.Tx) error {
		list, err = s.store.shipments(ctx, tx, `where s.return_id = $1 and s.status not in ('voided', 'failed') and ($2 = '' or s.customer_id = $2)`, id, identity.OnlyOf(ctx, permissionRead))
		return err
	}); err != nil {
		return httpx.Download{}, err
	}
	if len(list) == 0 {
		return httpx.Download{}, httpx.ErrNotFound
	}
	return s.handleLabelPDF(ctx, &byID{list[0].ID.String()})
}

type returnLabelBody struct {
	Parcel  sizeBody `json:"parcel,omitzero"`
	Carrier string   `json:"carrier,omitempty" maxLength:"40" doc:"easypost, shippo, inhouse or the id of an account; inhouse when it is absent" example:"easypost"`
	Service string   `json:"service,omitempty" maxLength:"100" doc:"Of the carrier, and no other; the cheapest when it is absent" example:"GroundAdvantage"`
}

type returnLabelInput struct {
	ID   string `path:"id"`
	Body *returnLabelBody
}

func (s *service) handleReturnLabel(ctx context.Context, in *returnLabelInput) (dispatchedResponse, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return dispatchedResponse{}, err
	}
	var w returnLabelBody
	if in.Body != nil {
		w = *in.Body
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (dispatchedResponse, error) {
		p, err := s.bringBack(ctx, tx, id, w)
		return dispatchedResponse{shownTo(ctx, presentShipment(p))}, err
	})
}

// bringBack makes the parcel of a return, from the buyer to where the shop sends from, with its
// label.
func (s *service) bringBack(ctx context.Context, tx *db.Tx, returnID uuid.UUID, w returnLabelBody) (shipment, error) {
	how, err := s.store.settings(ctx, tx, "")
	if err != nil {
		return shipment{}, err
	}
	p := shipment{
		ID: clock.NewID(), Direction: shippingapi.Return, ReturnID: &returnID, Recipient: how.Sender, Size: carrier.Parcel(w.Parcel),
		Label: labelWanted, Carrier: inhouseName, Service: returnService, Token: rand.Text(), Version: 1, CreatedAt: tx.Now, UpdatedAt: tx.Now,
	}
	if p.Size.Grams == 0 {
		p.Size.Grams = how.Grams
	}
	from, err := s.orders.ConsignReturn(ctx, tx, returnID, p.ID)
	if err != nil {
		return shipment{}, err
	}
	if how.Sender == nil { // whose return it is comes first
		return shipment{}, errNoSender
	}
	if from.Address == nil || from.Address.Line1 == "" || from.Country == "" {
		return shipment{}, errNoAddress
	}
	if uuid.Validate(from.CustomerID) == nil { // guests have any other name, and no account to erase
		if err := erasure.Allow(ctx, tx, from.CustomerID); err != nil {
			return shipment{}, err
		}
	}
	others, err := s.store.shipments(ctx, tx, `where s.return_id = $1 and s.status not in ('voided', 'failed')`, returnID) // under the lock of the order
	if err != nil {
		return shipment{}, err
	}
	if len(others) > 0 {
		return shipment{}, errHasLabel.With("shipmentId", others[0].ID.String())
	}
	if p.OrderID, err = uuid.Parse(from.OrderID); err != nil {
		return shipment{}, fmt.Errorf("order of return %s: %w", returnID, err)
	}
	p.OrderNumber, p.CustomerID, p.Sender = from.Number, from.CustomerID, *from.Address
	before, err := s.store.parcels(ctx, tx, p.OrderID, p.Direction)
	if err != nil {
		return shipment{}, err
	}
	p.Parcel = before + 1
	p.take(from.Items)
	facts := []event.Event{p.news()}
	a, buys, err := s.store.accountFor(ctx, tx, cmp.Or(w.Carrier, inhouseName))
	if err != nil {
		return shipment{}, err
	}
	if buys {
		p.Carrier, p.Service = a.Provider, cmp.Or(w.Service, p.Service)
		if err := s.store.insertShipment(ctx, tx, p); err != nil {
			return shipment{}, err
		}
		if err := s.store.insertPurchase(ctx, tx, purchase{ShipmentID: p.ID, AccountID: a.ID, Key: clock.NewID(), Service: w.Service, Strict: w.Service != "", CreatedAt: s.now()}); err != nil {
			return shipment{}, err
		}
		s.timers.Set(tx, buyLabel, p.ID.String(), tx.Now)
		return p, s.events.Publish(ctx, tx, facts...)
	}
	p.stamp(how)
	p.TrackingNumber = number(p.OrderNumber) + "-R" + strconv.Itoa(p.Parcel)
	p.Version++
	facts = append(facts, p.news())
	if err := s.store.insertShipment(ctx, tx, p); err != nil {
		return shipment{}, err
	}
	return p, s.events.Publish(ctx, tx, facts...)
}

func (s *shipment) take(items []ordersapi.ConsignedLine) {
	for _, i := range items {
		s.Items = append(s.Items, packed{i.Line, i.SKU, i.Name, i.Quantity, i.Price})
	}
}

// onReturnCancelled gives up the parcels of returns that nobody has seen on their way.
func (s *service) onReturnCancelled(ctx context.Context, tx *db.Tx, batch []event.Received[ordersapi.ReturnCancelled]) error {
	returns := make([]string, len(batch))
	for i, r := range batch {
		returns[i] = r.Fact.ReturnID
	}
	list, err := s.store.shipments(ctx, tx, `where s.return_id = any($1::uuid[]) and s.status in ('created', 'labelled', 'failed') order by s.id for update of s`, db.Array(returns))
	if err != nil {
		return err
	}
	for _, p := range list {
		if _, err := s.void(ctx, tx, p); err != nil {
			return err
		}
	}
	return nil
}

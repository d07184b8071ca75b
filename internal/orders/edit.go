package orders

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/territory"
)

var (
	errNotEditable = fault.New(fault.Conflict, "order_not_editable", "The order cannot be changed any more.")
	errOtherPrice  = fault.New(fault.Conflict, "destination_priced", "What the order costs follows from where it goes. Cancel it, and place it anew.")
)

// editedAddress is what an edit says that it changed.
const editedAddress = "shippingAddress"

// edit is what staff change of an order that has not left.
type edit struct {
	Address *address
	Reason  string
}

// edit changes an order of which nothing is in a shipment: what is in one goes where its label
// says.
func (s *service) edit(ctx context.Context, tx *db.Tx, id uuid.UUID, match httpx.IfMatch, e edit) (order, error) {
	actor, err := identity.From(ctx)
	if err != nil {
		return order{}, err
	}
	o, err := s.store.lock(ctx, tx, id, "")
	if err != nil {
		return order{}, err
	}
	if err := match.Allows(o.Version); err != nil {
		return order{}, err
	}
	if err := allowed(ctx, tx, o.CustomerID); err != nil {
		return order{}, err
	}
	audit.Before(ctx, present(o))
	audit.Because(ctx, e.Reason)
	changed, err := o.redirect(e.Address)
	if err != nil || !changed {
		return o, err
	}
	o.UpdatedAt = tx.Now
	o.Version++
	if err := s.store.saveEdit(ctx, tx, o, []string{editedAddress}, e.Reason, actor.Actor); err != nil {
		return order{}, err
	}
	return o, s.events.Publish(ctx, tx, ordersapi.OrderEdited{Order: fact(o), Changed: []string{editedAddress}})
}

// redirect has the order go elsewhere. It reports whether that changes anything.
func (o *order) redirect(to *address) (bool, error) {
	switch o.Status {
	case created, confirmed, paid:
	case shipped, delivered, failed, cancelled, refunded:
		return false, errNotEditable.Saying("An order that is %s cannot be changed.", o.Status)
	}
	if lines := o.packedLines(); len(lines) > 0 {
		return false, errNotEditable.Saying("Something of the order is in a shipment: void it first.").With("lines", lines)
	}
	if o.Address != nil && *o.Address == *to {
		return false, nil
	}
	if err := o.costsTheSame(to); err != nil {
		return false, err
	}
	o.Address = to
	return true, nil
}

// packedLines are the positions of the lines of which something is in a shipment.
func (o *order) packedLines() (positions []int) {
	for i, l := range o.Lines {
		if l.Consigned > 0 {
			positions = append(positions, i+1)
		}
	}
	return positions
}

// costsTheSame refuses a place that the order may cost another amount to go to: what it is taxed
// by, and what sending costs, was agreed for where it goes.
func (o *order) costsTheSame(to *address) error {
	was := address{}
	if o.Address != nil {
		was = *o.Address
	}
	same := was.Country == to.Country && was.Region == to.Region
	taxed := !o.Tax.IsZero() || len(o.Taxes) > 0
	switch {
	case taxed && (!same || was.PostalCode != to.PostalCode):
		return errOtherPrice.Saying("The order is taxed by where it goes: country, region and postal code have to stay.")
	case o.Shipping != nil && !same:
		return errOtherPrice.Saying("What sending the order costs was agreed for where it goes: country and region have to stay.")
	}
	return nil
}

// saveEdit writes where an order goes, with the step of the timeline.
func (store) saveEdit(ctx context.Context, tx *db.Tx, o order, changed []string, reason, actor string) error {
	to, err := json.Marshal(o.Address)
	if err != nil {
		return fmt.Errorf("encode address: %w", err)
	}
	what, err := json.Marshal(changed)
	if err != nil {
		return fmt.Errorf("encode what was changed: %w", err)
	}
	if _, err := tx.Exec(ctx, `
		with o as (
			update orders.orders set shipping_address = $2, version = $3, updated_at = $4 where id = $1
		)
		insert into orders.timeline (order_id, version, status, reason, edited, actor, at) values ($1, $3, $5, $6, $7, $8, $4)`,
		o.ID, string(to), o.Version, o.UpdatedAt, string(o.Status), orNull(reason), string(what), actor); err != nil {
		return fmt.Errorf("save edited order: %w", err)
	}
	return nil
}

type editBody struct {
	ShippingAddress *address `json:"shippingAddress" personal:"true" doc:"Where the order goes, in place of what there was"`
	Reason          string   `json:"reason,omitempty" maxLength:"500" doc:"For the timeline" example:"the buyer moved"`
}

// Check finds what the schema cannot say.
func (b *editBody) Check() (fields []fault.Field) {
	if to := b.ShippingAddress; to != nil {
		fields = append(fields, territory.CheckCountry("/shippingAddress/country", to.Country)...)
	}
	return fields
}

type editInput struct {
	httpx.IfMatch
	httpx.JSON[editBody]
	ID string `path:"id"`
}

func (s *service) handleEdit(ctx context.Context, in *editInput) (orderResponse, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return orderResponse{}, err
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (orderResponse, error) {
		o, err := s.edit(ctx, tx, id, in.IfMatch, edit{in.Body.ShippingAddress, in.Body.Reason})
		return shownTo(ctx, present(o)), err
	})
}

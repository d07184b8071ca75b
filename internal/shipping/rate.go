package shipping

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/shipping/carrier"
	"github.com/fusioncommerce/fusion/internal/shipping/shippingapi"
)

func (s *service) rated(ctx context.Context, c carrier.Carrier, opened carrier.Account, of *shipment, p carrier.Consignment) ([]carrier.Rate, error) {
	if p.Abroad() {
		var err error
		if p.Items, err = of.contents(); err == nil {
			err = s.declare(ctx, p.Items)
		}
		if err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	return c.Rates(ctx, opened, p)
}

// cheapest offer of a service. Where no offer is of it, it is the cheapest of all, unless no other
// service will do. Prices in different currencies do not compare: those in the order's come first.
func cheapest(offers []carrier.Rate, service string, strict bool, currency money.Currency) (best carrier.Rate, ok bool) {
	named := slices.DeleteFunc(slices.Clone(offers), func(r carrier.Rate) bool { return !strings.EqualFold(r.Service, service) })
	if len(named) > 0 || strict {
		offers = named
	}
	if len(offers) == 0 {
		return best, false
	}
	foreign := func(r carrier.Rate) int {
		if r.Price.Currency == currency {
			return 0
		}
		return 1
	}
	return slices.MinFunc(offers, func(a, b carrier.Rate) int {
		return cmp.Or(cmp.Compare(foreign(a), foreign(b)), cmp.Compare(a.Price.Currency, b.Price.Currency), cmp.Compare(a.Price.Minor, b.Price.Minor))
	}), true
}

// consignment is a shipment as carriers are told of it.
func (s *shipment) consignment(key uuid.UUID, a account) carrier.Consignment {
	p := carrier.Consignment{
		Reference: key.String(), From: carrierAddress(s.Sender), To: carrierAddress(*s.Recipient), Parcel: s.Size, Return: s.Direction == shippingapi.Return, Format: carrier.Format(a.Format),
	}
	if p.Return {
		p.Contents = carrier.ReturnedGoods
	}
	return p
}

func carrierAddress(a ordersapi.Address) carrier.Address {
	return carrier.Address{Name: a.Name, Line1: a.Line1, Line2: a.Line2, City: a.City, Region: a.Region, PostalCode: a.PostalCode, Country: a.Country, Phone: a.Phone}
}

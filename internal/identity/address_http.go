package identity

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/mask"
)

// mountAddresses declares what customers do with their own addresses.
func (c *customers) mountAddresses(api *httpx.API) {
	const read, write = permissionCustomersRead, permissionCustomersWrite
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/me/addresses", ID: "listMyAddresses", Summary: "List your addresses", Permission: read, Own: true,
	}, c.handleAddresses)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/me/addresses", ID: "createMyAddress", Summary: "Add an address", Permission: write, Own: true, Status: http.StatusCreated,
		Description: "Postal code and region are checked where a country has rules for them. A new default takes the place of the earlier one.",
		Refusals:    []*fault.Error{errTooManyAddresses},
	}, c.handleAddAddress)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPatch, Path: "/v1/me/addresses/{id}", ID: "updateMyAddress", Summary: "Change an address", Permission: write, Own: true,
	}, c.handleUpdateAddress)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodDelete, Path: "/v1/me/addresses/{id}", ID: "deleteMyAddress", Summary: "Remove an address", Permission: write, Own: true, Status: http.StatusNoContent,
	}, c.handleDeleteAddress)
}

type addressBody struct {
	Name            string `json:"name,omitempty" personal:"true" maxLength:"200"`
	Line1           string `json:"line1" personal:"true" minLength:"1" maxLength:"200"`
	Line2           string `json:"line2,omitempty" personal:"true" maxLength:"200"`
	City            string `json:"city" personal:"true" minLength:"1" maxLength:"100"`
	Region          string `json:"region,omitempty" personal:"true" maxLength:"100"`
	PostalCode      string `json:"postalCode,omitempty" personal:"true" maxLength:"20"`
	Country         string `json:"country" pattern:"^[A-Z]{2}$" doc:"ISO 3166-1 alpha-2" example:"PT"`
	Phone           string `json:"phone,omitempty" personal:"true" maxLength:"40"`
	DefaultShipping bool   `json:"defaultShipping,omitempty"`
	DefaultBilling  bool   `json:"defaultBilling,omitempty"`
}

func (b *addressBody) address() destination {
	return destination{
		Name: b.Name, Line1: b.Line1, Line2: b.Line2, City: b.City, Region: b.Region, PostalCode: b.PostalCode, Country: b.Country, Phone: b.Phone,
		DefaultShipping: b.DefaultShipping, DefaultBilling: b.DefaultBilling,
	}
}

// Check finds what the schema cannot say.
func (b *addressBody) Check() []fault.Field { return b.address().flaws() }

type addAddressInput struct{ httpx.JSON[addressBody] }

type addressResponse struct {
	ID              string    `json:"id" format:"uuid"`
	Name            string    `json:"name" personal:"true"`
	Line1           string    `json:"line1" personal:"true"`
	Line2           string    `json:"line2" personal:"true"`
	City            string    `json:"city" personal:"true"`
	Region          string    `json:"region" personal:"true"`
	PostalCode      string    `json:"postalCode" personal:"true"`
	Country         string    `json:"country"`
	Phone           string    `json:"phone" personal:"true"`
	DefaultShipping bool      `json:"defaultShipping"`
	DefaultBilling  bool      `json:"defaultBilling"`
	CreatedAt       time.Time `json:"createdAt"`
	UpdatedAt       time.Time `json:"updatedAt"`

	version int64
}

// ETag is the address's version.
func (r addressResponse) ETag() string { return httpx.VersionTag(r.version) }

func presentAddress(a destination) addressResponse {
	return addressResponse{
		ID: a.ID.String(), Name: a.Name, Line1: a.Line1, Line2: a.Line2, City: a.City, Region: a.Region, PostalCode: a.PostalCode, Country: a.Country, Phone: a.Phone,
		DefaultShipping: a.DefaultShipping, DefaultBilling: a.DefaultBilling, CreatedAt: a.CreatedAt.UTC(), UpdatedAt: a.UpdatedAt.UTC(), version: a.Version,
	}
}

// masked leaves of an address what says how far away it is.
func (r addressResponse) masked() addressResponse {
	r.Name, r.Line1, r.Line2, r.PostalCode, r.Phone = mask.Name(r.Name), mask.Text(r.Line1), mask.Text(r.Line2), mask.Text(r.PostalCode), mask.Text(r.Phone)
	return r
}

func (c *customers) handleAddresses(ctx context.Context, _ *struct{}) (httpx.List[addressResponse], error) {
	me, err := ownID(ctx)
	if err != nil {
		return httpx.List[addressResponse]{}, err
	}
	return c.addresses(ctx, me)
}

func (c *customers) handleCustomerAddresses(ctx context.Context, in *customerByID) (httpx.List[addressResponse], error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return httpx.List[addressResponse]{}, err
	}
	out, err := c.addresses(ctx, id)
	if !identity.Can(ctx, permissionPersonal) {
		for i := range out.Data {
			out.Data[i] = out.Data[i].masked()
		}
	}
	return out, err
}

func (c *customers) addresses(ctx context.Context, customer uuid.UUID) (httpx.List[addressResponse], error) {
	out := httpx.List[addressResponse]{Data: []addressResponse{}}
	err := c.db.Read(ctx, func(tx *db.Tx) error {
		if _, err := c.store.find(ctx, tx, customer); err != nil {
			return err
		}
		list, err := c.store.addresses(ctx, tx, customer)
		for _, a := range list {
			out.Data = append(out.Data, presentAddress(a))
		}
		return err
	})
	return out, err
}

func (c *customers) handleAddAddress(ctx context.Context, in *addAddressInput) (addressResponse, error) {
	me, err := ownID(ctx)
	if err != nil {
		return addressResponse{}, err
	}
	return httpx.Command(ctx, c.db, func(tx *db.Tx) (addressResponse, error) {
		if _, err := c.store.lock(ctx, tx, me); err != nil {
			return addressResponse{}, err
		}
		there, err := c.store.addresses(ctx, tx, me)
		if err != nil {
			return addressResponse{}, err
		}
		if len(there) >= mostAddresses {
			return addressResponse{}, errTooManyAddresses
		}
		a := in.Body.address()
		a.ID, a.Version, a.CreatedAt, a.UpdatedAt = clock.NewID(), 1, tx.Now, tx.Now
		return presentAddress(a), c.store.saveAddress(ctx, tx, me, a)
	})
}

type updateAddressBody struct {
	Name            *string `json:"name,omitempty" personal:"true" maxLength:"200"`
	Line1           *string `json:"line1,omitempty" personal:"true" minLength:"1" maxLength:"200"`
	Line2           *string `json:"line2,omitempty" personal:"true" maxLength:"200"`
	City            *string `json:"city,omitempty" personal:"true" minLength:"1" maxLength:"100"`
	Region          *string `json:"region,omitempty" personal:"true" maxLength:"100"`
	PostalCode      *string `json:"postalCode,omitempty" personal:"true" maxLength:"20"`
	Country         *string `json:"country,omitempty" pattern:"^[A-Z]{2}$" doc:"ISO 3166-1 alpha-2"`
	Phone           *string `json:"phone,omitempty" personal:"true" maxLength:"40"`
	DefaultShipping *bool   `json:"defaultShipping,omitempty"`
	DefaultBilling  *bool   `json:"defaultBilling,omitempty"`
}

// change applies what is there.
func (b updateAddressBody) change(a *destination) {
	for _, f := range []struct{ to, from *string }{
		{&a.Name, b.Name},
		{&a.Line1, b.Line1},
		{&a.Line2, b.Line2},
		{&a.City, b.City},
		{&a.Region, b.Region},
		{&a.PostalCode, b.PostalCode},
		{&a.Country, b.Country},
		{&a.Phone, b.Phone},
	} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	if b.DefaultShipping != nil {
		a.DefaultShipping = *b.DefaultShipping
	}
	if b.DefaultBilling != nil {
		a.DefaultBilling = *b.DefaultBilling
	}
}

type updateAddressInput struct {
	httpx.IfMatch
	httpx.JSON[updateAddressBody]
	ID string `path:"id"`
}

func (c *customers) handleUpdateAddress(ctx context.Context, in *updateAddressInput) (addressResponse, error) {
	me, id, err := ownAddress(ctx, in.ID)
	if err != nil {
		return addressResponse{}, err
	}
	return httpx.Command(ctx, c.db, func(tx *db.Tx) (addressResponse, error) {
		a, err := c.lockAddress(ctx, tx, me, id, in.IfMatch)
		if err != nil {
			return addressResponse{}, err
		}
		before := a
		in.Body.change(&a)
		if a == before {
			return presentAddress(a), nil
		}
		// What is wrong may be a field that is not in the body, such as the code of the former country.
		if flaws := a.flaws(); len(flaws) > 0 {
			return addressResponse{}, httpx.ErrValidation(flaws...)
		}
		a.Version, a.UpdatedAt = a.Version+1, tx.Now
		return presentAddress(a), c.store.saveAddress(ctx, tx, me, a)
	})
}

type deleteAddressInput struct {
	httpx.IfMatch
	ID string `path:"id"`
}

func (c *customers) handleDeleteAddress(ctx context.Context, in *deleteAddressInput) (httpx.None, error) {
	me, id, err := ownAddress(ctx, in.ID)
	if err != nil {
		return httpx.None{}, err
	}
	return httpx.Command(ctx, c.db, func(tx *db.Tx) (httpx.None, error) {
		if _, err := c.lockAddress(ctx, tx, me, id, in.IfMatch); err != nil {
			return httpx.None{}, err
		}
		return httpx.None{}, c.store.deleteAddress(ctx, tx, id)
	})
}

func ownAddress(ctx context.Context, text string) (me, id uuid.UUID, err error) {
	if me, err = ownID(ctx); err != nil {
		return me, id, err
	}
	id, err = httpx.ID(text)
	return me, id, err
}

// lockAddress locks the customer first, as everybody does who changes addresses.
func (c *customers) lockAddress(ctx context.Context, tx *db.Tx, me, id uuid.UUID, match httpx.IfMatch) (destination, error) {
	if _, err := c.store.lock(ctx, tx, me); err != nil {
		return destination{}, err
	}
	a, err := c.store.lockAddress(ctx, tx, me, id)
	if err != nil {
		return destination{}, err
	}
	audit.Before(ctx, presentAddress(a))
	return a, match.Allows(a.Version)
}

package identity

import (
	"context"
	"net/http"
	"strings"
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

const (
	permissionCustomersRead  = "customers:read"
	permissionCustomersWrite = "customers:write"
	permissionPersonal       = "customers:pii"
)

// mountCustomers declares what the shop's people see of customers.
func (c *customers) mountCustomers(api *httpx.API) {
	const read, write = permissionCustomersRead, permissionCustomersWrite
	api.Permit(permissionPersonal)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/customers", ID: "listCustomers", Summary: "List customers", Permission: read, Personal: true,
		Description: "Newest first. Without `customers:pii` personal data is masked, and nobody can be looked for by it. A customer's orders: `GET /v1/orders?customerId=…`.",
		Refusals:    []*fault.Error{errHidden},
	}, c.handleList)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/customers", ID: "createCustomer", Summary: "Note a customer who has no account", Permission: write, Status: http.StatusCreated,
		Description: "Needs `customers:pii` as well: what is refused tells who is a customer already.", Refusals: []*fault.Error{errUnseen, errCustomerEmail},
	}, c.handleCreate)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/customers/{id}", ID: "getCustomer", Summary: "Read a customer", Permission: read, Personal: true,
	}, c.handleGet)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPatch, Path: "/v1/customers/{id}", ID: "updateCustomer", Summary: "Change a customer", Permission: write,
		Description: "An e-mail address, a name and a phone number are for who holds `customers:pii` as well.", Refusals: []*fault.Error{errUnseen, errCustomerEmail, errAccountEmail},
	}, c.handleUpdate)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/customers/{id}/addresses", ID: "listCustomerAddresses", Summary: "List a customer's addresses", Permission: read, Personal: true,
	}, c.handleCustomerAddresses)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/customers/{id}/notes", ID: "listCustomerNotes", Summary: "List the notes about a customer", Permission: read, Personal: true,
	}, c.handleNotes)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/customers/{id}/notes", ID: "createCustomerNote", Summary: "Write a note about a customer", Permission: write, Status: http.StatusCreated,
		Description: "For the shop's people. The customer gets it with the data that is held about them.",
	}, c.handleAddNote)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/customer-groups", ID: "listCustomerGroups", Summary: "List customer groups", Permission: read,
		Description: "A group is there while somebody is in it.",
	}, c.handleGroups)
}

type customerBody struct {
	Email     string    `json:"email" personal:"true" format:"email" maxLength:"254" example:"anna@example.com"`
	Name      string    `json:"name,omitempty" personal:"true" maxLength:"200"`
	Phone     string    `json:"phone,omitempty" personal:"true" maxLength:"40"`
	Locale    string    `json:"locale,omitempty" pattern:"^([a-z]{2,3}(-[A-Z][a-z]{3})?(-[A-Z]{2})?)?$" maxLength:"12" doc:"BCP 47" example:"pt-PT"`
	Groups    *[]string `json:"groups,omitempty" maxItems:"50" minLength:"1" maxLength:"60" example:"[\"wholesale\"]"`
	Marketing *bool     `json:"marketing,omitempty" doc:"Whether they agreed to be written to about other things than their orders"`
}

func (b *customerBody) changes() profileChanges {
	return profileChanges{Email: &b.Email, Name: &b.Name, Phone: &b.Phone, Locale: &b.Locale, Groups: b.Groups, Marketing: b.Marketing}
}

// Check finds what the schema cannot say.
func (b *customerBody) Check() []fault.Field { return flawsOfProfile(b.changes()) }

type createCustomerInput struct{ httpx.JSON[customerBody] }

type customerResponse struct {
	ID          string     `json:"id" format:"uuid"`
	Registered  bool       `json:"registered" doc:"Has an account, whose address the e-mail address is"`
	Email       string     `json:"email" personal:"true"`
	Name        string     `json:"name" personal:"true"`
	Phone       string     `json:"phone" personal:"true"`
	Locale      string     `json:"locale"`
	Groups      []string   `json:"groups"`
	Marketing   bool       `json:"marketing"`
	MarketingAt *time.Time `json:"marketingAt,omitempty" doc:"When they last said whether they want to be written to"`
	Notes       int64      `json:"notes" doc:"How many there are"`
	CreatedAt   time.Time  `json:"createdAt"`
	UpdatedAt   time.Time  `json:"updatedAt"`

	version int64
	masked  bool
}

// ETag is the customer's version, as it is shown.
func (r customerResponse) ETag() string {
	if r.masked {
		return httpx.MaskedTag(r.version)
	}
	return httpx.VersionTag(r.version)
}

// createdCustomer also says where the customer is.
type createdCustomer struct{ customerResponse }

// Location of the customer.
func (r createdCustomer) Location() string { return "/v1/customers/" + r.ID }

// presentProfile shows a customer to who asks: to somebody without the permission, too
// little to recognise them.
func presentProfile(ctx context.Context, p profile) customerResponse {
	r := customerResponse{
		ID: p.ID.String(), Registered: p.Registered, Email: p.Email, Name: p.Name, Phone: p.Phone, Locale: p.Locale, Groups: p.Groups,
		Marketing: p.Marketing, MarketingAt: p.MarketingAt, Notes: p.Notes, CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt, version: p.Version,
	}
	if !identity.Can(ctx, permissionPersonal) {
		r.masked, r.Email, r.Name, r.Phone = true, mask.Email(p.Email), mask.Name(p.Name), mask.Text(p.Phone)
	}
	return r
}

func (c *customers) handleCreate(ctx context.Context, in *createCustomerInput) (createdCustomer, error) {
	if err := in.Body.changes().allowed(ctx); err != nil {
		return createdCustomer{}, err
	}
	return httpx.Command(ctx, c.db, func(tx *db.Tx) (createdCustomer, error) {
		p, err := c.create(ctx, tx, in.Body.changes())
		return createdCustomer{presentProfile(ctx, p)}, err
	})
}

type customerByID struct {
	ID string `path:"id"`
}

func (c *customers) handleGet(ctx context.Context, in *customerByID) (customerResponse, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return customerResponse{}, err
	}
	var p profile
	err = c.db.Read(ctx, func(tx *db.Tx) error {
		p, err = c.store.find(ctx, tx, id)
		return err
	})
	return presentProfile(ctx, p), err
}

type listCustomersInput struct {
	httpx.Page
	Q     string `query:"q" personal:"true" maxLength:"200" doc:"What a name or an e-mail address begins with"`
	Email string `query:"email" personal:"true" maxLength:"254" doc:"The whole e-mail address"`
	Group string `query:"group" personal:"false" maxLength:"60"`
}

func (c *customers) handleList(ctx context.Context, in *listCustomersInput) (httpx.List[customerResponse], error) {
	if (in.Q != "" || in.Email != "") && !identity.Can(ctx, permissionPersonal) {
		return httpx.List[customerResponse]{}, errHidden
	}
	f := profileFilter{Query: in.Q, Email: in.Email, Group: in.Group, Limit: in.Limit + 1}
	var err error
	if f.After, err = readPosition(in.Cursor); err != nil {
		return httpx.List[customerResponse]{}, err
	}
	var list []profile
	if err := c.db.Read(ctx, func(tx *db.Tx) (err error) {
		list, err = c.store.list(ctx, tx, f)
		return err
	}); err != nil {
		return httpx.List[customerResponse]{}, err
	}
	return httpx.ListOf(in.Page, list, func(p profile) profilePosition { return profilePosition{p.CreatedAt, p.ID} },
		func(p profile) customerResponse { return presentProfile(ctx, p) })
}

func readPosition(cursor string) (*profilePosition, error) {
	if cursor == "" {
		return nil, nil //nolint:nilnil // the beginning
	}
	p := &profilePosition{}
	return p, httpx.ReadCursor(cursor, p)
}

type updateCustomerBody struct {
	Email     *string   `json:"email,omitempty" personal:"true" format:"email" maxLength:"254"`
	Name      *string   `json:"name,omitempty" personal:"true" maxLength:"200"`
	Phone     *string   `json:"phone,omitempty" personal:"true" maxLength:"40"`
	Locale    *string   `json:"locale,omitempty" pattern:"^([a-z]{2,3}(-[A-Z][a-z]{3})?(-[A-Z]{2})?)?$" maxLength:"12" doc:"BCP 47" example:"pt-PT"`
	Groups    *[]string `json:"groups,omitempty" maxItems:"50" minLength:"1" maxLength:"60" doc:"All of them: those that are missing are left"`
	Marketing *bool     `json:"marketing,omitempty"`
}

func (b *updateCustomerBody) changes() profileChanges {
	return profileChanges{Email: b.Email, Name: b.Name, Phone: b.Phone, Locale: b.Locale, Groups: b.Groups, Marketing: b.Marketing}
}

// Check finds what the schema cannot say.
func (b *updateCustomerBody) Check() []fault.Field { return flawsOfProfile(b.changes()) }

type updateCustomerInput struct {
	httpx.IfMatch
	httpx.JSON[updateCustomerBody]
	ID string `path:"id"`
}

func (c *customers) handleUpdate(ctx context.Context, in *updateCustomerInput) (customerResponse, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return customerResponse{}, err
	}
	if err := in.Body.changes().allowed(ctx); err != nil {
		return customerResponse{}, err
	}
	return httpx.Command(ctx, c.db, func(tx *db.Tx) (customerResponse, error) {
		p, err := c.store.lock(ctx, tx, id)
		if err != nil {
			return customerResponse{}, err
		}
		audit.Before(ctx, presentProfile(ctx, p))
		if err := in.Allows(p.Version); err != nil {
			return customerResponse{}, err
		}
		p, err = c.update(ctx, tx, p, in.Body.changes())
		return presentProfile(ctx, p), err
	})
}

type noteBody struct {
	Text string `json:"text" personal:"true" minLength:"1" maxLength:"5000"`
}

// Check finds what the schema cannot say.
func (b *noteBody) Check() []fault.Field {
	if b.Text != "" && strings.TrimSpace(b.Text) == "" {
		return []fault.Field{{Pointer: "/text", Code: "required", Detail: "must not be blank"}}
	}
	return nil
}

type addNoteInput struct {
	httpx.JSON[noteBody]
	ID string `path:"id"`
}

type noteResponse struct {
	ID        string    `json:"id" format:"uuid"`
	Text      string    `json:"text" personal:"true"`
	Author    string    `json:"author" doc:"Who wrote it: user:<account> or key:<id>"`
	CreatedAt time.Time `json:"createdAt"`
}

func presentNote(ctx context.Context, n note) noteResponse {
	r := noteResponse{ID: n.ID.String(), Text: n.Text, Author: n.Author, CreatedAt: n.CreatedAt.UTC()}
	if !identity.Can(ctx, permissionPersonal) {
		r.Text = mask.Text(n.Text)
	}
	return r
}

func (c *customers) handleAddNote(ctx context.Context, in *addNoteInput) (noteResponse, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return noteResponse{}, err
	}
	who, err := identity.From(ctx)
	if err != nil {
		return noteResponse{}, err
	}
	return httpx.Command(ctx, c.db, func(tx *db.Tx) (noteResponse, error) {
		if _, err := c.store.lock(ctx, tx, id); err != nil {
			return noteResponse{}, err
		}
		n := note{ID: clock.NewID(), Text: in.Body.Text, Author: who.Actor, CreatedAt: tx.Now}
		return presentNote(ctx, n), c.store.insertNote(ctx, tx, id, n)
	})
}

type listNotesInput struct {
	httpx.Page
	ID string `path:"id"`
}

func (c *customers) handleNotes(ctx context.Context, in *listNotesInput) (httpx.List[noteResponse], error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return httpx.List[noteResponse]{}, err
	}
	after, err := readPosition(in.Cursor)
	if err != nil {
		return httpx.List[noteResponse]{}, err
	}
	var list []note
	if err := c.db.Read(ctx, func(tx *db.Tx) error {
		if _, err := c.store.find(ctx, tx, id); err != nil {
			return err
		}
		list, err = c.store.notes(ctx, tx, id, after, in.Limit+1)
		return err
	}); err != nil {
		return httpx.List[noteResponse]{}, err
	}
	return httpx.ListOf(in.Page, list, func(n note) profilePosition { return profilePosition{n.CreatedAt, n.ID} },
		func(n note) noteResponse { return presentNote(ctx, n) })
}

type groupResponse struct {
	Name      string `json:"name"`
	Customers int64  `json:"customers" doc:"How many are in it"`
}

func (c *customers) handleGroups(ctx context.Context, _ *struct{}) (httpx.List[groupResponse], error) {
	out := httpx.List[groupResponse]{Data: []groupResponse{}}
	err := c.db.Read(ctx, func(tx *db.Tx) error {
		groups, err := c.store.groups(ctx, tx)
		for _, g := range groups {
			out.Data = append(out.Data, groupResponse(g))
		}
		return err
	})
	return out, err
}

// ownID is the customer who acts.
func ownID(ctx context.Context) (uuid.UUID, error) {
	who, err := identity.From(ctx)
	if err != nil {
		return uuid.Nil, err
	}
	return httpx.ID(who.Customer)
}
